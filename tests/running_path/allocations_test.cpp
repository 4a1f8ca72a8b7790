// No call allocates, on either side, waiting, with a callback or awaited: every way into the heap is counted.
#include <gtest/gtest.h>

#include <cstdlib>

#include "counted.h"
#include "support/service_folder.h"
#include "taut/raw.h"
#include "taut/taut.h"

namespace {
void count() {
  if (running_path::g_allocations != nullptr) running_path::g_allocations->fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

// glibc's own names for what stands behind malloc(): operator new and everything else comes through here.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* malloc(std::size_t bytes) { return count(), __libc_malloc(bytes); }
void* calloc(std::size_t n, std::size_t bytes) { return count(), __libc_calloc(n, bytes); }
void* realloc(void* old, std::size_t bytes) { return count(), __libc_realloc(old, bytes); }
void* aligned_alloc(std::size_t alignment, std::size_t bytes) { return count(), __libc_memalign(alignment, bytes); }
}

namespace running_path {

std::atomic<std::uint64_t>* g_allocations = nullptr;

namespace {

constexpr std::uint64_t kWarmup = 100'000;
constexpr std::uint64_t kCalls = TAUT_CALLS;
constexpr std::uint16_t kPlace = 1;  // its id in orders.fbs

TEST(TAUT_SUITE, no_call_allocates_on_either_side) {
  const taut::testing::ServiceFolder folder;
  Shared& shared = shared_memory();
  const pid_t server = serve_counted<Desk>(shared);
  auto link = taut::connect("shm://allocations");
  ASSERT_TRUE(link) << link.error();
  desk::Orders::Client orders{*link};
  std::atomic<std::uint64_t> mine{0};
  g_allocations = &mine;

  ASSERT_TRUE(place_waiting(orders, kWarmup));
  std::uint64_t here = mine.load(), there = shared.allocations.load();
  EXPECT_TRUE(place_waiting(orders, kCalls));
  EXPECT_EQ(mine.load() - here, 0u) << "by the client, waiting";
  EXPECT_EQ(shared.allocations.load() - there, 0u) << "by the server";

  std::uint64_t sent = 0, done = 0, wrong = 0;
  const auto stream = [&](std::uint64_t calls) {
    sent = done = 0;
    while (done < calls) {
      while (sent < calls && sent - done < 64) {
        ++sent;
        orders.Place({.id = sent, .quantity = 5, .party = {}}).then([&](const taut::Answer<desk::Ack>& ack) {
          ++done;
          if (!ack || ack->open() != 5) ++wrong;
        });
      }
      link->poll();
    }
  };
  stream(kWarmup);
  here = mine.load(), there = shared.allocations.load();
  stream(kCalls);
  EXPECT_EQ(mine.load() - here, 0u) << "by the client, with callbacks";
  EXPECT_EQ(shared.allocations.load() - there, 0u) << "by the server";
  EXPECT_EQ(wrong, 0u);

  taut::raw::Client untyped{*link, "desk.Orders"};
  const taut::Message<desk::Order> order({.id = 7, .quantity = 5, .party = {}});
  here = mine.load(), there = shared.allocations.load();
  for (std::uint64_t i = 0; i != kCalls / 10; ++i) wrong += untyped.wait(kPlace, order.bytes()) ? 0 : 1;
  EXPECT_EQ(mine.load() - here, 0u) << "by an untyped client";
  EXPECT_EQ(shared.allocations.load() - there, 0u) << "by the server";
  EXPECT_EQ(wrong, 0u);
  g_allocations = nullptr;
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
}

// Each of its answers comes from a task.
struct TaskDesk final : desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    answer(frames, taut::keep(order), std::move(reply));
  }
  taut::Task answer(taut::FramePool&, taut::Message<desk::Order> order, taut::Reply<desk::Ack> reply) {
    reply.send({.id = order->id(), .desk_id = order->id() + order->quantity(), .open = order->quantity()});
    co_return;
  }
  taut::FramePool frames{{.frame_bytes = 4096, .frames = 64}};
};

// Orders until so many are done: 64 at once, half of them awaited one behind the other, half by a task each.
struct AwaitedOrders {
  desk::Orders::Client orders;
  taut::Link& link;
  taut::FramePool frames{{.frame_bytes = 4096, .frames = 64}};
  std::uint64_t sent = 0, done = 0, wrong = 0, calls = 0, in_tasks = 0;

  taut::Task await_some(taut::FramePool&) {
    while (sent < calls) {
      const auto ack = co_await orders.Place({.id = ++sent, .quantity = 5});
      count(ack);
    }
  }
  taut::Task await_one(taut::FramePool&) {
    ++in_tasks;
    const auto ack = co_await orders.Place({.id = ++sent, .quantity = 5});
    count(ack);
    --in_tasks;
  }
  void count(const taut::Answer<desk::Ack>& ack) {
    ++done;
    if (!ack || ack->open() != 5) ++wrong;
  }
  void run(std::uint64_t upto) {
    sent = done = 0;
    calls = upto;
    for (int i = 0; i != 32; ++i) await_some(frames);
    while (done < calls) {
      while (sent < calls && in_tasks < 32) await_one(frames);
      link.poll();
    }
  }
};

TEST(TAUT_SUITE, no_awaited_call_allocates_on_either_side) {
  const taut::testing::ServiceFolder folder;
  Shared& shared = shared_memory();
  const pid_t server = serve_counted<TaskDesk>(shared);
  auto link = taut::connect("shm://allocations");
  ASSERT_TRUE(link) << link.error();
  AwaitedOrders awaited{desk::Orders::Client(*link), *link};
  std::atomic<std::uint64_t> mine{0};
  g_allocations = &mine;
  awaited.run(kWarmup);
  const std::uint64_t here = mine.load(), there = shared.allocations.load();
  awaited.run(kCalls);
  EXPECT_EQ(mine.load() - here, 0u) << "by the client";
  EXPECT_EQ(shared.allocations.load() - there, 0u) << "by the server";
  g_allocations = nullptr;
  EXPECT_EQ(awaited.wrong, 0u);
  EXPECT_EQ(awaited.frames.counters().too_large + awaited.frames.counters().none_free, 0u);
  EXPECT_EQ(awaited.frames.counters().in_use, 0u);
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
}

TEST(TAUT_SUITE, a_batch_allocates_when_it_is_made_and_never_again) {
  taut::Batch<desk::Order, desk::Ack> batch({.requests_max = 64});
  const taut::Message<desk::Order> order({.id = 7, .quantity = 5, .party = {}});
  std::atomic<std::uint64_t> mine{0};
  std::uint64_t handed_over = 0;
  g_allocations = &mine;
  for (int i = 0; i != 1000; ++i) {
    for (int k = 0; k != 80; ++k) (void)batch.add(*order, {});
    batch.run([&](auto entries) { handed_over += entries.size(); });
  }
  g_allocations = nullptr;
  EXPECT_EQ(mine.load(), 0u);
  EXPECT_EQ(handed_over, 64'000u);
  EXPECT_EQ(batch.counters().refused, 16'000u);
}

}  // namespace
}  // namespace running_path
