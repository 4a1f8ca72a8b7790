// The version after: every field of the new schema is set and read.
#include "peer.h"

namespace {

std::string text(const flatbuffers::String* string) { return string != nullptr ? string->str() : "-"; }

struct Service final : market::Market::Service {
  void Place(const market::Order& order, taut::Reply<market::Ack> reply) override {
    std::ostringstream read;
    read << "price=" << order.price() << " note=" << text(order.note()) << " side=" << static_cast<int>(order.side())
         << " levels=" << (order.levels() ? order.levels()->size() : 0) << " urgency=" << order.urgency()
         << " tags=" << (order.tags() ? order.tags()->size() : 0) << " part=" << (order.part() ? "there" : "-");
    // A client that asks for it gets what an old one does not know: a value of the enum, a string above its cap.
    const bool hold = text(order.note()) == "hold";
    const std::string line = text(order.note()) == "long" ? std::string(201, 'x') : read.str();
    reply.send({.id = order.id(), .read = line, .side = hold ? market::Side::hold : order.side()});
  }
  void Ask(const market::Query& query, taut::Reply<market::Count> reply) override {
    reply.send({.count = query.depth() + 1, .limit = 5});
  }
  void Cancel(const market::Query& query, taut::Reply<market::Count> reply) override {
    reply.send({.count = query.depth() + 100});
  }
};

std::string place(market::Market::Client& client, std::string_view note, market::Side side) {
  const auto ack = client.Place({.id = 9,
                                 .note = note,
                                 .side = side,
                                 .levels = {{1, 2}},
                                 .urgency = 3,
                                 .tags = {"a", "b"},
                                 .part = market::PartInit{.weight = 6}},
                                taut::wait);
  return evolution::said<market::Ack>(ack, [](const market::Ack& answer) {
    return "id=" + std::to_string(answer.id()) + " side=" + std::to_string(static_cast<int>(answer.side())) +
           " read: " + answer.read()->str();
  });
}

}  // namespace

int main(int argc, char** argv) {
  using market::Side;
  Service service;
  return evolution::run(argc, argv, service,
                        {{"ask", evolution::asked},
                         {"cancel",
                          [](auto& client) {
                            return evolution::said<market::Count>(
                                client.Cancel({.depth = 4}, taut::wait),
                                [](const market::Count& count) { return std::to_string(count.count()); });
                          }},
                         {"place", [](auto& client) { return place(client, "short", Side::sell); }},
                         {"place hold", [](auto& client) { return place(client, "short", Side::hold); }},
                         {"place long", [](auto& client) { return place(client, "seventeen letters", Side::sell); }}});
}
