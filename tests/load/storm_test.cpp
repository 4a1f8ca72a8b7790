// Thousands of clients that connect at once: each gets its link, a client that was there before goes on calling, and
// what a server may not open it refuses in a sentence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "orders.taut.h"
#include "support/amount.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "support/shared_value.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using ::testing::HasSubstr;

// Small rings, so that thousands of links do not take the machine's memory.
constexpr const char* kUrl =
    "shm://desk?ring=4KiB&urgent_ring=4KiB&inflight=16&reply_max=64&timeout=60s&connect_timeout=60s";
constexpr int kProcesses = 20;
const int kLinks = static_cast<int>(amount("TAUT_STORM_LINKS", 400));

int open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<int>(std::distance(begin(all), end(all))) - 1;  // and the one that lists them
}

// Answers a cancelled order with the number of the server's descriptors.
struct StormDesk final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override { reply.send({.id = order.id()}); }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override {
    reply.send({.id = cancel.id(), .desk_id = static_cast<std::uint64_t>(open_descriptors())});
  }
};

// `descriptors_free`: beyond those that it has when it is ready to serve.
void serve(ChildProcess::Ready ready, int descriptors_free) {
  StormDesk desk;
  Dispatcher loop({.log = [](Severity, std::string_view) {}});
  auto listener = loop.serve(kUrl, desk);
  if (!listener) _exit(report(listener.error()));
  if (descriptors_free != 0) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = static_cast<rlim_t>(open_descriptors() + descriptors_free);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  ready();
  loop.run();
}

struct Tally {
  std::atomic<int> links, answered, wrong;
  std::atomic<bool> begins;
};

// Connects as fast as it can, then calls once on each link, and keeps them.
void storm(Tally& tally) {
  Dispatcher loop({.log = [](Severity, std::string_view) {}});
  std::vector<Link> links;
  while (!tally.begins) sched_yield();
  for (int i = 0; i < kLinks / kProcesses; ++i) {
    auto link = loop.connect(kUrl);
    if (!link) {
      ++tally.wrong;
      _exit(report(link.error()));
    }
    links.push_back(std::move(*link));
    ++tally.links;
  }
  for (std::uint64_t id = 1; Link & link : links) {
    const auto ack = desk::Orders::Client(link).Place({.id = id}, wait);
    ++(ack && ack->id() == id++ ? tally.answered : tally.wrong);
  }
  pause();
}

class Caller {
 public:
  Caller() : link_(connect(kUrl)) { EXPECT_TRUE(link_) << link_.error(); }
  void call() {
    const auto ack = desk::Orders::Client(*link_).Place({.id = ++id_}, wait);
    ASSERT_TRUE(ack) << ack.status();
    ASSERT_EQ(ack->id(), id_);
  }
  int server_descriptors() {
    const auto ack = desk::Orders::Client(*link_).Cancel({.id = 1}, wait);
    EXPECT_TRUE(ack) << ack.status();
    return ack ? static_cast<int>(ack->desk_id()) : -1;
  }

 private:
  Result<Link> link_;
  std::uint64_t id_ = 0;
};

TEST(Storm, of_links_leaves_the_calls_of_others_alone) {
  const ServiceFolder folder;
  const SharedValue<Tally> tally;
  ChildProcess server([](ChildProcess::Ready ready) { serve(ready, 0); });
  ASSERT_TRUE(server.ready());
  std::vector<ChildProcess> clients;
  for (int i = 0; i < kProcesses; ++i) {
    clients.emplace_back([&](ChildProcess::Ready ready) {
      ready();
      storm(*tally);
    });
  }
  Caller caller;
  caller.call();
  const int before = caller.server_descriptors();
  tally->begins = true;
  int calls_meanwhile = 0;
  while (tally->answered + tally->wrong < kLinks && !HasFatalFailure()) {
    caller.call();
    if (tally->links != 0 && tally->links != kLinks) ++calls_meanwhile;
  }
  std::printf("%d links; meanwhile %d calls of another client\n", tally->links.load(), calls_meanwhile);
  EXPECT_EQ(tally->wrong, 0);
  EXPECT_EQ(tally->links, kLinks);
  EXPECT_GE(calls_meanwhile, 4) << "calls waited for the storm";
  // Four descriptors a link, and none of them stays. The spares of the listener are made again behind the last link.
  while (caller.server_descriptors() != before + 4 * kLinks && !HasFailure()) caller.call();
  clients.clear();
  while (caller.server_descriptors() != before && !HasFailure()) caller.call();
}

TEST(Storm, beyond_the_limit_of_descriptors_is_refused_in_a_sentence) {
  const ServiceFolder folder;
  const SharedValue<Tally> tally;
  constexpr int kRoomFor = 6;
  ChildProcess server([](ChildProcess::Ready ready) { serve(ready, 4 * kRoomFor); });
  ASSERT_TRUE(server.ready());
  Caller caller;
  caller.call();
  std::vector<ChildProcess> clients;
  for (int i = 0; i < 3 * kRoomFor; ++i) {
    clients.emplace_back([&](ChildProcess::Ready ready) {
      const auto link = connect(kUrl);
      if (link) {
        ++tally->links;
      } else if (link.error().code() != Code::resource_exhausted ||
                 std::string(link.error().what()).find("RLIMIT_NOFILE") == std::string::npos) {
        ++tally->wrong;
        report(link.error());
      } else {
        ++tally->answered;
      }
      ready();
      pause();
    });
    caller.call();
  }
  EXPECT_EQ(tally->wrong, 0);
  EXPECT_GE(tally->links, 1);
  EXPECT_LE(tally->links, kRoomFor);
  EXPECT_EQ(tally->answered, 3 * kRoomFor - tally->links);
  // When some go, there is room again.
  clients.clear();
  while (!connect(kUrl)) caller.call();
}

}  // namespace
}  // namespace taut::testing
