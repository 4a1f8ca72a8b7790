// Calls of all kinds at random over shared memory, with kills of the server, cancels and deadlines in between: every
// call ends exactly once, with a verdict that the journal bears out; no one-way message and no item is lost where both
// sides live, and none is doubled or out of order.
#include <gtest/gtest.h>

#include <iostream>

#include "kinds_load.h"
#include "support/amount.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "support/shared_value.h"

namespace taut::testing {
namespace {

TEST(AllKinds, end_once_and_lose_nothing) {
  constexpr std::uint64_t kCallsPerLife = 100'000;
  const std::uint64_t calls = amount("TAUT_CALLS", 500'000);
  const ServiceFolder folder;
  Journal journal;
  const SharedValue<Seen> seen;
  Random random;
  const auto start = [&] {
    return ChildProcess([&](ChildProcess::Ready ready) {
      Dispatcher loop;
      KindsService service(loop, journal, *seen);
      auto listener = loop.serve("shm://kinds", service);
      if (!listener) _exit(report(listener.error()));
      ready();
      loop.run();
    });
  };

  ChildProcess server = start();
  ASSERT_TRUE(server.ready());
  Dispatcher loop({.log = [](Severity, std::string_view) {}});
  auto link = loop.connect("shm://kinds");
  ASSERT_TRUE(link) << link.error();
  KindsLoad load(*link, journal, random);

  std::uint64_t kills = 0, lost = 0, told_before = 0;
  const auto all_arrived = [&] { return seen->told_in_this_life.load() == load.told() - told_before; };
  while (load.calls() < calls) {
    const std::uint64_t until = load.calls() + 1 + random.below(2 * kCallsPerLife);
    while (load.calls() < until) {
      for (int i = 0; i != 32 && load.step(); ++i) {
      }
      load.go_on();
      loop.poll();
    }
    if (random.one_in(4)) {  // a quiet moment: what was told has arrived, all of it
      while (load.open() != 0 || !all_arrived()) {
        load.go_on();
        loop.poll();
      }
    }
    server.kill();
    ++kills;
    while (link->up() || load.open() != 0) loop.poll();
    // What was in the ring when the server died; the rest has arrived, in order and without a gap.
    const std::uint64_t lost_now = load.told() - told_before - seen->told_in_this_life.load();
    ASSERT_LE(lost_now, 64u * 1024 / 64);
    lost += lost_now;
    told_before = load.told();
    ASSERT_TRUE(load.books_balance()) << load;
    ASSERT_EQ(seen->out_of_order.load(), 0u);
    server = start();
    while (!link->up()) loop.poll();
  }
  std::cout << load << "\n  " << kills << " kills, " << lost << " one-way messages lost with their servers\n";
  EXPECT_EQ(journal.run_twice(), 0u);
  EXPECT_GT(load.ends(Code::cancelled), 0u);
  EXPECT_GT(load.ends(Code::deadline_exceeded), 0u);
  EXPECT_GT(load.ends(Code::unavailable), 0u);
}

}  // namespace
}  // namespace taut::testing
