// What docs/coroutines.md shows, run.
#include "desks.h"

namespace taut::testing {
namespace {

class Router final : public desk::Orders::Service {
 public:
  explicit Router(taut::Link& next) : next_(next) {}
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    tasks_.hold(route(frames_, taut::keep(order), std::move(reply)));
  }

 private:
  taut::Task route(taut::FramePool&, taut::Message<desk::Order> order, taut::Reply<desk::Ack> reply) {
    auto ack = co_await next_.Place({.id = order->id(), .quantity = order->quantity()}, {.timeout = reply.left()});
    if (ack) {
      reply.send({.id = ack->id(), .desk_id = ack->desk_id(), .open = ack->open()});
    } else {
      reply.refuse(ack.status().code(), "the next desk failed");
    }
  }

  desk::Orders::Client next_;
  taut::FramePool frames_{{.frame_bytes = 2048, .frames = 64}};
  taut::Tasks tasks_;  // last: it goes first
};

TEST(Page, a_handler_goes_on_in_a_task) {
  Inner inner;
  Wire wire;
  Link to_inner = wire.connect_inside(inner);
  Router router(to_inner);
  Link link = wire.connect(router);
  desk::Orders::Client orders{link};
  const auto ack = orders.Place({.id = 5, .quantity = 2}, taut::wait);
  ASSERT_TRUE(ack) << ack.status();
  EXPECT_EQ(ack->desk_id(), 1005u);
  const auto refused = orders.Place({.id = 6, .quantity = 0}, taut::wait);
  EXPECT_EQ(refused.status().code(), Code::deadline_exceeded);
}

taut::Task best_of_two(desk::Orders::Client* here, desk::Orders::Client* there, std::uint64_t* open) {
  taut::Started first{here->Place({.id = 1, .quantity = 3})};
  taut::Started second{there->Place({.id = 1, .quantity = 4})};
  auto one = co_await first;
  auto two = co_await second;
  if (one && two) *open = std::max(one->open(), two->open());
}

taut::TaskOf<std::uint64_t> place(desk::Orders::Client* orders, std::uint64_t id) {
  auto ack = co_await orders->Place({.id = id, .quantity = 1});
  co_return ack ? ack->desk_id() : 0;
}
taut::Task place_two(desk::Orders::Client* orders, std::uint64_t* sum) {
  *sum = co_await place(orders, 1) + co_await place(orders, 2);
}

taut::Task snapshot(desk::Orders::Client* orders, std::uint32_t* levels) {
  auto call = orders->Snapshot({.seq = 1, .bids = {{100, 5}, {99, 7}}});
  auto ack = co_await std::move(call);
  if (ack) *levels = ack->levels();
}

TEST(Page, calls_and_tasks_are_awaited) {
  Inner inner;
  Wire wire;
  Link link = wire.connect(inner);
  desk::Orders::Client orders{link};
  std::uint64_t open = 0, sum = 0;
  std::uint32_t levels = 0;
  best_of_two(&orders, &orders, &open);
  place_two(&orders, &sum);
  snapshot(&orders, &levels);
  wire.settle();
  EXPECT_EQ(open, 4u);
  EXPECT_EQ(sum, 2003u);
  EXPECT_EQ(levels, 2u);
}

}  // namespace
}  // namespace taut::testing
