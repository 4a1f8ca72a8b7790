// A server to which more is offered than it can do, as processes: what is urgent overtakes, a flood leaves others their
// turns, every call has one end, and no memory is used that was not there before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orders.taut.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "support/shared_value.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* kUrl = "shm://desk?timeout=60s";
constexpr auto kWork = 5us;  // longer than a slice: each link has one handler, and then it is another's turn
constexpr int kFloods = 8;
constexpr int kGranted = 64;

struct Shared {
  std::atomic<std::uint64_t> handled;  // handlers that began
  std::atomic<std::uint64_t> answered, refused, wrong;
  std::atomic<bool> over;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsComparable = false;  // freed memory waits in quarantine
#else
constexpr bool kMemoryIsComparable = true;
#endif

std::uint64_t resident_kib() {
  std::uint64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

// Both methods answer with the number of handlers that began before. A cancelled order 0 asks for the memory in use.
class SlowDesk final : public desk::Orders::Service {
 public:
  explicit SlowDesk(Shared& shared) : shared_(shared) {}
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    const std::uint64_t before = shared_.handled.fetch_add(1);
    const Ticks until = clock_.now() + work_;
    while (clock_.now() < until) {
    }
    reply.send({.id = order.id(), .desk_id = before});
  }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override {
    reply.send({.id = cancel.id(), .desk_id = cancel.id() == 0 ? resident_kib() : shared_.handled.load()});
  }

 private:
  Shared& shared_;
  Clock clock_ = Clock::system();
  Ticks work_ = clock_.to_ticks(kWork);
};

void serve(ChildProcess::Ready ready, Shared& shared, const char* url) {
  SlowDesk desk(shared);
  Dispatcher loop;
  auto listener = loop.serve(url, desk);
  if (!listener) _exit(report(listener.error()));
  ready();
  loop.run();
}

// Keeps `depth` calls under way on each of its links; a call that is refused is made again.
class Flood {
 public:
  Flood(Shared& shared, int links_count, int depth) : shared_(shared), depth_(depth) {
    links_.reserve(static_cast<std::size_t>(links_count));
    for (int i = 0; i != links_count; ++i) {
      auto link = loop_.connect(kUrl);
      if (!link) _exit(report(link.error()));
      links_.push_back(std::move(*link));
      clients_.emplace_back(links_.back());
    }
    open_.resize(links_.size());
  }
  template <class Until>
  void run(Until until) {
    while (!until()) {
      for (std::size_t i = 0; i != clients_.size(); ++i) {
        while (open_[i] < depth_) place(i);
      }
      loop_.poll();
    }
    while (std::any_of(open_.begin(), open_.end(), [](int calls) { return calls != 0; })) loop_.poll();
  }
  [[nodiscard]] std::uint64_t made() const { return made_; }
  [[nodiscard]] desk::Orders::Client& client() { return clients_.front(); }

 private:
  void place(std::size_t i) {
    ++open_[i];
    const std::uint64_t id = ++made_;
    clients_[i].Place({.id = id, .party = party_}).then([this, i, id](const Answer<desk::Ack>& ack) {
      --open_[i];
      if (ack) {
        ++(ack->id() == id ? shared_.answered : shared_.wrong);
      } else {
        const Status& status = ack.status();
        ++(status.code() == Code::resource_exhausted && status.ran() == Ran::no ? shared_.refused : shared_.wrong);
      }
    });
  }
  Shared& shared_;
  int depth_;
  std::uint64_t made_ = 0;
  Dispatcher loop_;
  std::vector<Link> links_;
  std::vector<desk::Orders::Client> clients_;
  std::vector<int> open_;
  desk::Party party_;
};

ChildProcess start_flood(Shared& shared, int links_count) {
  return ChildProcess([&shared, links_count](ChildProcess::Ready ready) {
    Flood flood(shared, links_count, kGranted);
    ready();
    flood.run([&] { return shared.over.load(); });
  });
}

// A client of its own beside a process that floods the server.
class BesideAFlood : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server.ready() && floods.ready());
    while (shared->handled < 1000) sched_yield();
    auto made = loop.connect(kUrl);
    ASSERT_TRUE(made) << made.error();
    link.emplace(*std::move(made));
    client.emplace(*link);
    ASSERT_TRUE(client->Cancel({.id = 1}, taut::wait)) << "from here on the server knows the link";
  }

  const ServiceFolder folder;
  const SharedValue<Shared> shared;
  ChildProcess server{[this](ChildProcess::Ready ready) { serve(ready, *shared, kUrl); }};
  ChildProcess floods = start_flood(*shared, kFloods);
  Dispatcher loop;
  std::optional<Link> link;
  std::optional<desk::Orders::Client> client;
};

TEST_F(BesideAFlood, AnUrgentCallOvertakesTheFloodsOfOthers) {
  std::vector<std::uint64_t> between;  // handlers that began between the commit of a call and its own
  for (int i = 0; i != 200; ++i) {
    std::uint64_t seen = ~0ull;
    client->Cancel({.id = 1}).then([&](const Answer<desk::Ack>& ack) {
      ASSERT_TRUE(ack) << ack.status();
      seen = ack->desk_id();
    });
    const std::uint64_t sent = shared->handled;  // behind the commit
    while (seen == ~0ull) loop.poll();
    between.push_back(seen > sent ? seen - sent : 0);
  }
  shared->over = true;
  // The handler that runs has begun already, and one more may begin while the call is committed.
  std::sort(between.begin(), between.end());
  EXPECT_LE(between[between.size() / 2], 1u);
  EXPECT_LE(between[between.size() * 9 / 10], 16u + 1) << "a slice is measured over sixteen records";
  // A client that the machine held up for thousands of the server's turns has a cold link, which is looked at once a
  // poll.
  EXPECT_LE(between.back(), static_cast<std::uint64_t>(Dispatcher::kPollDefault) + 16 + 1);
}

TEST_F(BesideAFlood, AFloodLeavesOrdinaryCallsOfOthersTheirTurn) {
  desk::Party party;
  std::vector<std::uint64_t> between;  // handlers that began between the commit of a call and its own
  for (int i = 0; i != 200; ++i) {
    std::uint64_t before = ~0ull;
    client->Place({.id = 1, .party = party}).then([&](const Answer<desk::Ack>& ack) {
      ASSERT_TRUE(ack) << ack.status();
      before = ack->desk_id();
    });
    const std::uint64_t sent = shared->handled;
    while (before == ~0ull) loop.poll();
    between.push_back(before > sent ? before - sent : 0);
  }
  shared->over = true;
  // In the queues of the floods there are four times as many as the larger of these numbers.
  std::sort(between.begin(), between.end());
  EXPECT_LE(between[between.size() / 2], 2u * kFloods);
  EXPECT_LE(between.back(), 16u * kFloods);
}

// Sheds load for `time`, then holds what every call became against what was made, and the memory against what it was.
void shed(Nanoseconds time) {
  const ServiceFolder folder;
  const SharedValue<Shared> shared;
  ChildProcess server([&](ChildProcess::Ready ready) { serve(ready, *shared, "shm://desk?delay_max=40us"); });
  ASSERT_TRUE(server.ready());
  Flood flood(*shared, kFloods, 2 * kGranted);
  const auto for_a_time = [&](Nanoseconds some) {
    const auto end = std::chrono::steady_clock::now() + some;
    flood.run([end] { return std::chrono::steady_clock::now() >= end; });
  };
  const auto server_kib = [&]() -> std::uint64_t {
    const auto ack = flood.client().Cancel({.id = 0}, wait);
    EXPECT_TRUE(ack) << ack.status();
    return ack ? ack->desk_id() : 0;
  };
  for_a_time(500ms);  // buffers have the size that they need
  const std::uint64_t server_before = server_kib(), before = resident_kib();
  for_a_time(time);
  std::printf("%lu calls, %lu answered, %lu refused\n", static_cast<unsigned long>(flood.made()),
              static_cast<unsigned long>(shared->answered), static_cast<unsigned long>(shared->refused));
  EXPECT_EQ(shared->wrong, 0u);
  EXPECT_EQ(shared->answered + shared->refused, flood.made());
  EXPECT_EQ(shared->answered, shared->handled) << "what was refused did not run, and what ran was answered";
  EXPECT_GT(shared->answered, 0u);
  EXPECT_GT(shared->refused, 0u);
  if (!kMemoryIsComparable) return;
  EXPECT_LE(server_kib(), server_before + 256);
  EXPECT_LE(resident_kib(), before + 256);
}

TEST(OverloadTest, LosesNoCallAndUsesNoMoreMemory) { shed(1500ms); }

}  // namespace
}  // namespace taut::testing
