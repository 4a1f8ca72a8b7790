// As calls_over_loopback, with what may stand beside a call: what beside.py counts.
//   beside_over_loopback plain|metadata|trace|interceptors CALLS
#include <cstdlib>
#include <cstring>
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

// Do nothing, so that what is counted is the way to them.
struct Doorman final : taut::ServerInterceptor {
  taut::Status on_call(taut::IncomingCall&) override { return {}; }
};
struct Usher final : taut::ClientInterceptor {
  taut::Status on_call(taut::OutgoingCall&) override { return {}; }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const char* const what = argv[1];
  const int calls = std::atoi(argv[2]);
  const taut::Ticks ticks = 1;  // time stands still, so that every run does the same
  const taut::Clock clock = taut::Clock::manual(&ticks);
  taut::loopback::Network network;
  taut::rpc::Dispatcher server(only(network.transport()), {.clock = clock});
  taut::rpc::Dispatcher client(only(network.transport()), {.clock = clock});
  Doorman doorman;
  Usher usher;
  if (std::strcmp(what, "interceptors") == 0 && (!server.intercept(doorman) || !client.intercept(usher))) return 1;
  Desk desk;
  auto listener = server.serve("loopback://orders", desk);
  if (!listener) return 1;
  network.drive(server);
  auto link = client.connect("loopback://orders");
  if (!link) return 1;
  taut::Metadata metadata;
  if (std::strcmp(what, "metadata") == 0) metadata = {{"tenant", "blue"}};
  if (std::strcmp(what, "trace") == 0) {
    metadata.set_trace(
        *taut::TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  }
  taut::CallOptions options;
  if (!metadata.view().empty() || metadata.trace()) options.metadata = metadata;
  desk::Orders::Client orders{*link};
  int done = 0;
  for (int i = 0; i < calls; ++i) {
    orders.Place({.id = static_cast<std::uint64_t>(i), .price = i, .quantity = 7, .party = {}}, options)
        .then([&](const taut::Answer<desk::Ack>& ack) { done += ack && ack->open() == 7 ? 1 : 1000000; });
    while (done <= i) client.poll();
  }
  return done == calls ? 0 : 1;
}
