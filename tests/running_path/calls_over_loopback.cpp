// Order entries through generated stubs and the loopback transport, on one thread: what instructions.py counts.
//   calls_over_loopback CALLS
#include <cstdlib>
#include <vector>

#include "orders.taut.h"
#include "taut/loopback/loopback.h"

namespace {

std::vector<std::unique_ptr<taut::rpc::Transport>> only(std::unique_ptr<taut::rpc::Transport> transport) {
  std::vector<std::unique_ptr<taut::rpc::Transport>> transports;
  transports.push_back(std::move(transport));
  return transports;
}

struct Desk final : desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    reply.send({.id = order.id(), .desk_id = order.id() + 1, .open = order.quantity()});
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int calls = argc > 1 ? std::atoi(argv[1]) : 1000;
  // Time stands still, so that every run does the same.
  const taut::Ticks ticks = 1;
  const taut::Clock clock = taut::Clock::manual(&ticks);
  taut::loopback::Network network;
  taut::rpc::Dispatcher server(only(network.transport()), {.clock = clock});
  taut::rpc::Dispatcher client(only(network.transport()), {.clock = clock});
  Desk desk;
  auto listener = server.serve("loopback://orders", desk);
  if (!listener) return 1;
  network.drive(server);
  auto link = client.connect("loopback://orders");
  if (!link) return 1;
  desk::Orders::Client orders{*link};
  int done = 0;
  for (int i = 0; i < calls; ++i) {
    orders.Place({.id = static_cast<std::uint64_t>(i), .price = i, .quantity = 7, .party = {}})
        .then([&](const taut::Answer<desk::Ack>& ack) { done += ack && ack->open() == 7 ? 1 : 1000000; });
    while (done <= i) client.poll();
  }
  return done == calls ? 0 : 1;
}
