// The version before: every field of the old schema is set and read.
#include "peer.h"

namespace {

std::string text(const flatbuffers::String* string) { return string != nullptr ? string->str() : "-"; }

struct Service final : market::Market::Service {
  void Place(const market::Order& order, taut::Reply<market::Ack> reply) override {
    std::ostringstream read;
    read << "price=" << order.price() << " note=" << text(order.note()) << " legacy=" << text(order.legacy())
         << " side=" << static_cast<int>(order.side()) << " levels=" << (order.levels() ? order.levels()->size() : 0);
    const std::string line = read.str();
    reply.send({.id = order.id(), .read = line, .side = order.side(), .gone = "not read any more"});
  }
  void Ask(const market::Query& query, taut::Reply<market::Count> reply) override {
    reply.send({.count = query.depth() + 1});
  }
};

std::string place(market::Market::Client& client, std::string_view note) {
  const auto ack = client.Place({.id = 8,
                                 .price = 50,
                                 .note = note,
                                 .legacy = "of old",
                                 .side = market::Side::sell,
                                 .levels = {{1, 2}, {3, 4}, {5, 6}}},
                                taut::wait);
  return evolution::said<market::Ack>(ack, [](const market::Ack& answer) {
    return "id=" + std::to_string(answer.id()) + " side=" + std::to_string(static_cast<int>(answer.side())) +
           " gone=" + text(answer.gone()) + " read: " + answer.read()->str();
  });
}

}  // namespace

int main(int argc, char** argv) {
  Service service;
  return evolution::run(argc, argv, service,
                        {{"ask", evolution::asked},
                         {"place", [](auto& client) { return place(client, "sixteen letters!"); }},
                         {"place hold back", [](auto& client) { return place(client, "hold"); }},
                         {"place long back", [](auto& client) { return place(client, "long"); }}});
}
