// As calls_over_loopback, with what may stand beside a call: what beside.py counts.
//   beside_over_loopback plain|metadata|trace|interceptors CALLS
#include <cstdlib>
#include <cstring>

#include "on_loopback.h"
#include "order_desk.h"

namespace {

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
  running_path::OnLoopback rig;
  Doorman doorman;
  Usher usher;
  if (std::strcmp(what, "interceptors") == 0 && (!rig.server.intercept(doorman) || !rig.client.intercept(usher)))
    return 1;
  running_path::OrderDesk desk;
  if (!rig.serve(desk)) return 1;
  taut::Metadata metadata;
  if (std::strcmp(what, "metadata") == 0) metadata = {{"tenant", "blue"}};
  if (std::strcmp(what, "trace") == 0) {
    metadata.set_trace(
        *taut::TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  }
  taut::CallOptions options;
  if (!metadata.view().empty() || metadata.trace()) options.metadata = metadata;
  desk::Orders::Client orders{*rig.link};
  int done = 0;
  for (int i = 0; i < calls; ++i) {
    orders.Place({.id = static_cast<std::uint64_t>(i), .price = i, .quantity = 7, .party = {}}, options)
        .then([&](const taut::Answer<desk::Ack>& ack) { done += running_path::right(ack); });
    while (done <= i) rig.client.poll();
  }
  return done == calls ? 0 : 1;
}
