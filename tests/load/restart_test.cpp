// A rolling restart under load: each server drains when it is told to end, its successor takes the name meanwhile, and
// not one call is lost or in doubt.
#include <gtest/gtest.h>
#include <sched.h>

#include <functional>
#include <iostream>

#include "support/accounting/desk.h"
#include "support/accounting/load.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "support/successor.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kServers = 8;
constexpr std::uint64_t kCallsPerServer = 500;

// As a program does it that is told to end by SIGTERM.
void serve_and_drain(Journal& journal, ChildProcess::Ready ready) {
  const Signals stop{SIGTERM};
  Dispatcher loop;
  Desk desk(loop, journal, {}, 4);  // a quarter of the orders is answered in a later turn
  Listener listener = serve_as_successor(loop, "shm://desk", desk);
  ready();
  loop.run_until(stop);
  _exit(listener.drain() ? 0 : 1);
}

// Servers come and go, one after the other, while a client process makes calls without a pause.
class Restart : public ::testing::Test {
 protected:
  // `client` makes calls until `over` and says with its exit code whether all was well.
  void run(const std::function<int()>& client) {
    ChildProcess server = start();
    ChildProcess caller([&client](ChildProcess::Ready ready) {
      ready();
      _exit(client());
    });
    for (int life = 0; life < kServers; ++life) {
      ASSERT_TRUE(server.ready());
      const std::uint64_t before = journal.entries();
      while (journal.entries() < before + kCallsPerServer && !caller.gone()) sched_yield();
      server.signal(SIGTERM);
      ChildProcess successor = start();  // before the last one is gone
      EXPECT_EQ(server.wait(), 0) << "it did not drain in time";
      server = std::move(successor);
    }
    over->store(true);
    EXPECT_EQ(caller.wait(), 0) << "what was wrong stands above";
    server.signal(SIGTERM);
    EXPECT_EQ(server.wait(), 0);
    EXPECT_EQ(journal.run_twice(), 0u);
  }
  ChildProcess start() {
    return ChildProcess([this](ChildProcess::Ready ready) { serve_and_drain(journal, ready); });
  }

  const ServiceFolder folder;
  Journal journal;
  Random random;
  std::atomic<bool>* over =
      static_cast<std::atomic<bool>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
};

TEST_F(Restart, under_load_loses_no_call_and_leaves_none_in_doubt) {
  run([this] {
    Dispatcher loop;
    auto link = loop.connect("shm://desk?timeout=60s");
    if (!link) return report(link.error());
    Load load(*link, journal, random);
    while (!over->load()) load.step();
    while (load.open() != 0) loop.poll();
    const bool well = load.books_balance() && load.ran(Ran::maybe) == 0 && load.ran(Ran::yes) == 0 &&
                      load.ended_with(Code::unavailable, Why::draining) != 0;
    if (!well) std::cout << load << std::endl;
    return well ? 0 : 1;
  });
}

// The simplest client there is: it waits for each call, and makes it again when that is safe.
TEST_F(Restart, every_call_runs_once_when_its_caller_repeats_what_did_not_run) {
  run([this] {
    auto link = connect("shm://desk?timeout=60s");
    if (!link) return report(link.error());
    desk::Orders::Client orders(*link);
    std::uint64_t id = 0;
    while (!over->load()) {
      ++id;
      while (true) {
        const auto ack = orders.Cancel({.id = id}, taut::wait);
        if (ack) break;
        if (!ack.status().safe_to_retry()) return report(ack.status());
      }
    }
    return journal.entries() == id ? 0 : 1;
  });
}

}  // namespace
}  // namespace taut::testing
