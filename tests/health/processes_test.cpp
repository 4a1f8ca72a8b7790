// The health service between processes: supervisors that watch a server through its drain and its death, and those that
// are stopped or killed themselves.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "greeter.taut.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "support/shared_value.h"
#include "support/successor.h"
#include "taut/health.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using State = Health::State;

constexpr const char* kUrl = "shm://greeter";

struct Hello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, Reply<greeter::HelloReply> reply) override {
    reply.send({.text = request.name()->string_view()});
  }
};

// What one supervisor was told.
struct Watched {
  std::vector<State> states;
  std::optional<Status> end;
  // As a server that goes in good order tells it.
  [[nodiscard]] bool through_a_drain() const {
    return states == std::vector{State::serving, State::draining} && end && end->why() == Why::draining;
  }
};
void watch(Link& link, Watched& watched) {
  health::Health::Client(link)
      .Watch({})
      .each([&watched](const health::Report& report) { watched.states.push_back(report.state()); })
      .then([&watched](const Status& status) { watched.end = status; });
}
// Until `over`, or for ever: the watchdog of the test ends that.
void poll(Link& link, const std::function<bool()>& over) {
  while (!over()) link.poll();
}

class HealthProcesses : public ::testing::Test {
 protected:
  // Serves until SIGTERM, and goes in good order. Where the name is taken, it waits for it.
  static ChildProcess server() {
    return ChildProcess([](ChildProcess::Ready ready) {
      const Signals stop{SIGTERM};
      Hello hello;
      Health health;
      Dispatcher loop;
      Listener listener = serve_as_successor(loop, kUrl, hello, health);
      ready();
      loop.run_until(stop);
      _exit(listener.drain() ? 0 : 1);
    });
  }
  // A supervisor in a process of its own, which is ready when it was told the first state. Its exit code: what `rest`
  // says.
  static ChildProcess supervisor(const std::function<int(Link&, Watched&)>& rest) {
    return ChildProcess([&rest](ChildProcess::Ready ready) {
      auto link = connect(kUrl);
      if (!link) _exit(report(link.error()));
      Watched watched;
      watch(*link, watched);
      poll(*link, [&] { return !watched.states.empty() || watched.end; });
      ready();
      _exit(rest(*link, watched));
    });
  }
  const ServiceFolder folder;
};

// The supervisor looks at its ring only when the successor has the name: what it finds was written before.
TEST_F(HealthProcesses, a_drain_is_told_before_the_successor_has_the_name) {
  ChildProcess first = server();
  ASSERT_TRUE(first.ready());
  auto link = connect(kUrl);
  ASSERT_TRUE(link) << link.error();
  Watched watched;
  watch(*link, watched);
  poll(*link, [&] { return !watched.states.empty(); });
  first.signal(SIGTERM);
  ChildProcess successor = server();
  ASSERT_TRUE(successor.ready());
  for (int records = 0; records != 2; ++records) link->poll();
  EXPECT_TRUE(watched.through_a_drain()) << watched.states.size() << " states, " << watched.end.value_or(Status{});
  EXPECT_EQ(first.wait(), 0) << "it did not drain in time";
  // The link goes on to the successor, and there is somebody to watch again.
  poll(*link, [&] { return link->up(); });
  Watched again;
  watch(*link, again);
  poll(*link, [&] { return !again.states.empty() || again.end; });
  EXPECT_EQ(again.states, std::vector{State::serving});
}

TEST_F(HealthProcesses, a_killed_server_ends_the_watch_with_its_death) {
  ChildProcess killed = server();
  ASSERT_TRUE(killed.ready());
  auto link = connect(kUrl);
  ASSERT_TRUE(link) << link.error();
  Watched watched;
  watch(*link, watched);
  poll(*link, [&] { return !watched.states.empty(); });
  killed.kill();
  poll(*link, [&] { return watched.end.has_value(); });
  EXPECT_EQ(watched.states, std::vector{State::serving});
  EXPECT_EQ(watched.end->code(), Code::unavailable) << *watched.end;
  EXPECT_EQ(watched.end->why(), Why::peer_died) << *watched.end;
}

TEST_F(HealthProcesses, supervisors_that_stand_still_or_die_do_not_hold_up_the_drain) {
  ChildProcess server = this->server();
  ASSERT_TRUE(server.ready());
  const auto watches = [](Link& link, Watched& watched) {
    poll(link, [&] { return watched.end.has_value(); });
    return watched.through_a_drain() ? 0 : 1;
  };
  std::deque<ChildProcess> supervisors;
  for (int i = 0; i != 6; ++i) ASSERT_TRUE(supervisors.emplace_back(supervisor(watches)).ready());
  supervisors[0].kill();
  supervisors[1].kill();
  supervisors[2].signal(SIGSTOP);
  supervisors[3].signal(SIGSTOP);
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait(), 0) << "it did not drain in time";
  for (std::size_t i = 4; i != 6; ++i) EXPECT_EQ(supervisors[i].wait(), 0);
  for (std::size_t i = 2; i != 4; ++i) {  // what was sent is still in their rings
    supervisors[i].signal(SIGCONT);
    EXPECT_EQ(supervisors[i].wait(), 0);
  }
}

// Links are dealt to two dispatchers in turn; what the first one's health is told, watchers of both hear.
TEST_F(HealthProcesses, dispatchers_that_share_a_listener_tell_the_same) {
  ChildProcess server([](ChildProcess::Ready ready) {
    const Signals set{SIGUSR1}, stop{SIGTERM};
    Hello first, second;
    Health health, copy(health);
    Dispatcher loop, other;
    auto listener = loop.serve(kUrl, first, health);
    if (!listener) _exit(report(listener.error()));
    auto share = other.share(*listener, second, copy);
    if (!share) _exit(report(share.error()));
    std::thread turns([&] { other.run(); });
    ready();
    loop.run_until(set);
    health.set(State::not_serving);
    loop.run_until(stop);
    const bool drained = listener->drain();
    other.stop();
    turns.join();
    other.adopt_thread();
    _exit(drained && share->drain() ? 0 : 1);
  });
  ASSERT_TRUE(server.ready());
  Dispatcher loop;
  std::deque<Link> links;
  std::deque<Watched> all;
  for (int i = 0; i != 4; ++i) {
    auto link = loop.connect(kUrl);
    ASSERT_TRUE(link) << link.error();
    watch(links.emplace_back(*std::move(link)), all.emplace_back());
  }
  const auto each = [&all](const auto& done) { return std::all_of(all.begin(), all.end(), done); };
  const auto heard = [&](std::size_t states) {
    while (!each([=](const Watched& watched) { return watched.states.size() == states || watched.end; })) loop.poll();
  };
  heard(1);
  server.signal(SIGUSR1);
  heard(2);
  server.signal(SIGTERM);
  while (!each([](const Watched& watched) { return watched.end.has_value(); })) loop.poll();
  EXPECT_EQ(server.wait(), 0);
  for (const Watched& watched : all) {
    EXPECT_EQ(watched.states, (std::vector{State::serving, State::not_serving, State::draining}));
    EXPECT_EQ(watched.end->why(), Why::draining) << *watched.end;
  }
}

TEST_F(HealthProcesses, what_a_thread_of_the_server_sets_reaches_a_sleeping_supervisor) {
  ChildProcess server([](ChildProcess::Ready ready) {
    const Signals stop{SIGTERM};
    Hello hello;
    Health health;
    Dispatcher loop;
    auto listener = loop.serve(kUrl, hello, health);
    if (!listener) _exit(report(listener.error()));
    std::atomic<bool> over{false};
    std::thread sets([&] {
      for (int i = 0; !over; ++i) health.set(i % 2 == 0 ? State::not_serving : State::serving);
    });
    ready();
    loop.run_until(stop);
    over = true;
    sets.join();
    _exit(listener->drain() ? 0 : 1);
  });
  ASSERT_TRUE(server.ready());
  Dispatcher loop({.idle = Idle::adaptive});
  auto link = loop.connect(kUrl);
  ASSERT_TRUE(link) << link.error();
  Watched watched;
  health::Health::Client(*link)
      .Watch({}, {.credit = 4})
      .each([&](const health::Report& report) {
        watched.states.push_back(report.state());
        if (watched.states.size() == 1000) loop.stop();
      })
      .then([&](const Status& status) { watched.end = status, loop.stop(); });
  loop.run();
  EXPECT_FALSE(watched.end) << *watched.end;
  for (std::size_t i = 1; i != watched.states.size(); ++i) ASSERT_NE(watched.states[i], watched.states[i - 1]);
  server.signal(SIGTERM);
  while (!watched.end) loop.poll();
  EXPECT_EQ(watched.end->why(), Why::draining) << *watched.end;
  EXPECT_EQ(server.wait(), 0);
}

}  // namespace
}  // namespace taut::testing
