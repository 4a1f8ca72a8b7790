// Order entries in a chain over the loopback transport, on one thread: what awaited_instructions.py counts.
//   awaited_over_loopback WAY CALLS
// WAY is `callbacks` (each sends the next), `coroutine` (one awaits them all) or `tasks` (one for each call, in a
// pool).
#include <cstdlib>
#include <string_view>

#include "on_loopback.h"
#include "order_desk.h"

namespace {

struct Chain {
  desk::Orders::Client orders;
  int calls;
  int done = 0;
  taut::FramePool frames{};

  void check(const taut::Answer<desk::Ack>& ack) { done += running_path::right(ack); }
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
  running_path::OnLoopback rig;
  running_path::OrderDesk desk;
  if (!rig.serve(desk)) return 1;
  Chain chain{desk::Orders::Client(*rig.link), std::atoi(argv[2])};
  if (way == "callbacks") {
    chain.call_back();
  } else if (way == "coroutine") {
    chain.await_all();
  } else if (way == "tasks") {
    chain.await_one(chain.frames);
  } else {
    return 2;
  }
  while (chain.done < chain.calls) rig.client.poll();
  return chain.done == chain.calls ? 0 : 1;
}
