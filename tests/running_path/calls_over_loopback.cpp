// Order entries through generated stubs and the loopback transport, on one thread: what instructions.py counts.
//   calls_over_loopback CALLS
#include <cstdlib>

#include "on_loopback.h"
#include "order_desk.h"

int main(int argc, char** argv) {
  const int calls = argc > 1 ? std::atoi(argv[1]) : 1000;
  running_path::OnLoopback rig;
  running_path::OrderDesk desk;
  if (!rig.serve(desk)) return 1;
  desk::Orders::Client orders{*rig.link};
  int done = 0;
  for (int i = 0; i < calls; ++i) {
    orders.Place({.id = static_cast<std::uint64_t>(i), .price = i, .quantity = 7, .party = {}})
        .then([&](const taut::Answer<desk::Ack>& ack) { done += running_path::right(ack); });
    while (done <= i) rig.client.poll();
  }
  return done == calls ? 0 : 1;
}
