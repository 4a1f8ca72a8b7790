// Servers that drain under load, one after the other, and some that are killed before they are done. A drain names the
// last call of each lane that may run; here every call is held against that: in the order in which a link's lane sent
// them, first come those that were taken, then those that ended `draining`, and of these not one has run.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <iostream>
#include <optional>
#include <utility>
#include <vector>

#include "orders.taut.h"
#include "support/child_process.h"
#include "support/seed.h"
#include "support/service_folder.h"
#include "support/shared_value.h"
#include "support/successor.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kCallsMax = 1 << 22;
constexpr std::uint64_t kCallsPerLife = 2000;  // that ran before its server is told to end
constexpr int kLives = 24;
constexpr std::uint64_t kWindow = 48;  // open calls of the client

// What is known of calls beside what their client hears.
struct Shared {
  std::atomic<std::uint64_t> entries;
  std::array<std::atomic<std::uint8_t>, kCallsMax> ran;  // by the call's id: how often
  std::atomic<bool> over;
};

// Keeps the answers of one order in four until there are more than kHeld of them, so that a drain finds some owed.
class Desk final : public desk::Orders::Service {
 public:
  explicit Desk(Shared& shared) : shared_(shared) {}
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    ran(order.id());
    if (order.id() % 4 != 0) return reply.send({.id = order.id()});
    held_.emplace_back(order.id(), std::move(reply));
    if (held_.size() > kHeld) answer_oldest();
  }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override {
    ran(cancel.id());
    reply.send({.id = cancel.id()});
  }
  void Snapshot(const desk::Book&, Reply<desk::BookAck> reply) override { reply.send({}); }
  void answer_oldest() {
    if (held_.empty()) return;
    auto [id, reply] = std::move(held_.front());
    held_.pop_front();
    reply.send({.id = id});
  }

 private:
  static constexpr std::size_t kHeld = 8;
  void ran(std::uint64_t id) noexcept {
    shared_.ran[id].fetch_add(1, std::memory_order_relaxed);
    shared_.entries.fetch_add(1, std::memory_order_relaxed);
  }
  Shared& shared_;
  std::deque<std::pair<std::uint64_t, Reply<desk::Ack>>> held_;
};

// Until SIGTERM. Then it drains, a record and an answer at a time: to its end, or for so many, behind which it is
// killed.
ChildProcess serve(Shared& shared, std::optional<int> killed_behind) {
  return ChildProcess([&shared, killed_behind](ChildProcess::Ready ready) {
    const Signals stop{SIGTERM};
    Desk desk(shared);
    Dispatcher loop;
    Listener listener = serve_as_successor(loop, "shm://desk", desk);
    ready();
    loop.run_until(stop);
    listener.begin_drain();
    for (int done = 0; done != killed_behind.value_or(-1) && !listener.drained(); ++done) {
      loop.poll(1);
      desk.answer_oldest();
    }
    if (killed_behind) raise(SIGKILL);
    _exit(0);
  });
}

// How a call ended, by its id.
struct Call {
  enum class End : std::uint8_t { open, answered, drained, unsent, failed };
  std::uint16_t life = 0;  // of the link: which server it went to
  bool urgent = false;
  End end = End::open;
  Ran ran = Ran::no;
};

class Client {
 public:
  explicit Client(Link& link) : link_(link), orders_(link) {
    calls_.reserve(kCallsMax);
    link.on_link([this](bool up) { life_ += up ? 1 : 0; });
  }
  void step() {
    const std::uint64_t at_most = std::min(kCallsMax, kCallsMax / (kLives + 1) * (life_ + 1u));  // some for each life
    while (open_ < kWindow && calls_.size() < at_most && link_.up()) call();
    link_.poll();
  }
  void finish() {
    while (open_ != 0) link_.poll();
  }

  // What the calls say about each other and about what ran: the number of those that are wrong, each with a sentence.
  int judge(const Shared& shared) const {
    int wrong = twice_;
    const auto is_wrong = [&](std::size_t id, const char* what) {
      if (wrong++ < 20) std::cout << "call " << id << " of life " << calls_[id].life << " " << what << std::endl;
    };
    std::uint64_t answered = 0, drained = 0, entered = 0;
    struct Place {
      std::uint16_t life;
      bool drained;
    };
    Place lanes[2] = {};
    for (std::size_t id = 0; id != calls_.size(); ++id) {
      const Call& call = calls_[id];
      const int times = shared.ran[id].load(std::memory_order_relaxed);
      entered += times != 0 ? 1 : 0;
      if (times > 1) is_wrong(id, "ran twice");
      if (call.end == Call::End::open) is_wrong(id, "never ended");
      if (call.end == Call::End::unsent || call.end == Call::End::open) continue;
      Place& lane = lanes[call.urgent];
      if (lane.life != call.life) lane = {call.life, false};
      if (call.end == Call::End::drained) {
        ++drained;
        lane.drained = true;
        if (call.ran != Ran::no) is_wrong(id, "lies behind the last call, and is said to have run");
        if (times != 0) is_wrong(id, "lies behind the last call, and ran");
      } else if (call.end == Call::End::answered) {
        ++answered;
        if (times == 0) is_wrong(id, "was answered, and did not run");
        if (lane.drained) is_wrong(id, "was answered behind a call that lies behind the last one");
      } else {  // its server was killed
        if (lane.drained && call.ran != Ran::no) is_wrong(id, "may have run behind the last call");
        if (call.ran == Ran::no && times != 0) is_wrong(id, "is said not to have run, and did");
        if (call.ran == Ran::yes && times == 0) is_wrong(id, "is said to have run, and did not");
      }
    }
    if (entered != shared.entries) std::cout << ++wrong << ": a call ran that nobody made" << std::endl;
    std::cout << calls_.size() << " calls to " << life_ + 1 << " servers: " << answered << " answered, " << drained
              << " behind the last call, " << failed_ << " failed by a kill; " << entered << " ran" << std::endl;
    if (drained == 0) std::cout << ++wrong << ": no drain met a call" << std::endl;
    return wrong;
  }
  // Of servers that were not killed nothing may fail but what lies behind the last call.
  [[nodiscard]] std::uint64_t failed() const noexcept { return failed_; }
  [[nodiscard]] std::uint64_t answered() const noexcept { return answered_; }

 private:
  void call() {
    const std::uint64_t id = calls_.size();
    calls_.push_back({life_, id % 8 == 0});
    ++open_;
    const auto ended = [this, id](const Answer<desk::Ack>& answer) { end(id, answer.status()); };
    if (calls_[id].urgent) {
      orders_.Cancel({.id = id}).then(ended);
    } else {
      orders_.Place({.id = id, .party = desk::Party()}).then(ended);
    }
  }
  void end(std::uint64_t id, const Status& status) {
    Call& call = calls_[id];
    if (call.end != Call::End::open) ++twice_;
    --open_;
    call.ran = status.ran();
    const Why why = status.why();
    if (status.ok()) {
      call.end = Call::End::answered;
      ++answered_;
    } else if (why == Why::draining) {
      call.end = Call::End::drained;
    } else if (why == Why::not_connected || why == Why::calls_in_flight || why == Why::ring_full) {
      call.end = Call::End::unsent;
      if (status.ran() != Ran::no) ++twice_;
    } else {
      call.end = Call::End::failed;
      ++failed_;
    }
  }

  Link& link_;
  desk::Orders::Client orders_;
  std::vector<Call> calls_;
  std::uint16_t life_ = 0;
  std::uint64_t open_ = 0, failed_ = 0, answered_ = 0;
  int twice_ = 0;
};

class LastCallUnderLoad : public ::testing::Test {
 protected:
  // `killed_behind` says of each server how its drain ends.
  void run(const std::function<std::optional<int>()>& killed_behind,
           const std::function<bool(const Client&, const Shared&)>& well) {
    std::optional<int> kill = killed_behind();
    ChildProcess server = serve(*shared, kill);
    ChildProcess caller([&](ChildProcess::Ready ready) {
      auto link = connect("shm://desk?timeout=60s");
      if (!link) _exit(report(link.error()));
      Client client(*link);
      ready();
      while (!shared->over) client.step();
      client.finish();
      _exit(client.judge(*shared) == 0 && well(client, *shared) ? 0 : 1);
    });
    for (int life = 0; life != kLives; ++life) {
      ASSERT_TRUE(server.ready());
      const std::uint64_t before = shared->entries;
      while (shared->entries < before + kCallsPerLife && !caller.gone()) sched_yield();
      server.signal(SIGTERM);
      const std::optional<int> next = killed_behind();
      ChildProcess successor = serve(*shared, next);  // before the last one is gone
      const int end = server.wait();
      EXPECT_EQ(end, kill ? SIGKILL : 0) << "it did not end as it was told to";
      server = std::move(successor);
      kill = next;
    }
    shared->over = true;
    // It too may keep answers that only further orders, or its drain, would set free.
    ASSERT_TRUE(server.ready());
    server.signal(SIGTERM);
    EXPECT_EQ(server.wait(), kill ? SIGKILL : 0) << "it did not end as it was told to";
    EXPECT_EQ(caller.wait(), 0) << "what was wrong stands above";
  }
  const ServiceFolder folder;
  const SharedValue<Shared> shared;
  Random random;
};

TEST_F(LastCallUnderLoad, every_call_up_to_it_is_answered_and_none_behind_it_runs) {
  run([] { return std::nullopt; },
      [](const Client& client, const Shared& shared) {
        return client.failed() == 0 && client.answered() == shared.entries;
      });
}

TEST_F(LastCallUnderLoad, a_kill_in_the_drain_leaves_the_calls_behind_it_as_certain) {
  run([this] { return std::optional<int>(static_cast<int>(random.below(24))); },
      [](const Client& client, const Shared&) { return client.failed() != 0; });
}

}  // namespace
}  // namespace taut::testing
