// Order entries in a chain over the loopback transport, on one thread: what awaited_instructions.py counts.
//   awaited_over_loopback WAY CALLS
// WAY is `callbacks` (each sends the next), `coroutine` (one awaits them all) or `tasks` (one for each call, in a
// pool).
#include <cstdlib>
#include <string_view>
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

struct Chain {
  desk::Orders::Client orders;
  int calls;
  int done = 0;
  taut::FramePool frames{};

  void check(const taut::Answer<desk::Ack>& ack) { done += ack && ack->open() == 7 ? 1 : 1000000; }
  desk::OrderInit next() const { return {.id = static_cast<std::uint64_t>(done), .price = done, .quantity = 7}; }

  void call_back() {
    orders.Place(next()).then([this](const taut::Answer<desk::Ack>& ack) {
      check(ack);
      if (done < calls) call_back();
    });
  }
  taut::Task await_all() {
    while (done < calls) {
      const auto ack = co_await orders.Place(next());
      check(ack);
    }
  }
  taut::Task await_one(taut::FramePool&) {
    const auto ack = co_await orders.Place(next());
    check(ack);
    if (done < calls) await_one(frames);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string_view way = argv[1];
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
  Chain chain{desk::Orders::Client(*link), std::atoi(argv[2])};
  if (way == "callbacks") {
    chain.call_back();
  } else if (way == "coroutine") {
    chain.await_all();
  } else if (way == "tasks") {
    chain.await_one(chain.frames);
  } else {
    return 2;
  }
  while (chain.done < chain.calls) client.poll();
  return chain.done == chain.calls ? 0 : 1;
}
