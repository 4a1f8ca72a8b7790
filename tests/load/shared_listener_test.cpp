// One name, several dispatchers on threads of their own: to whom links are dealt, and what becomes of calls when a
// dispatcher comes or goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "support/accounting/desk.h"
#include "support/accounting/load.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "support/shared_value.h"
#include "taut/shm/describe.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using ::testing::HasSubstr;

LogCallback silent() {
  return [](Severity, std::string_view) {};
}

// Answers with its number, from one thread.
class NumberedDesk : public desk::Orders::Service {
 public:
  explicit NumberedDesk(std::uint32_t number) : number_(number) {}
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    if (thread_ == std::thread::id()) thread_ = std::this_thread::get_id();
    if (thread_ != std::this_thread::get_id()) return reply.refuse(Code::internal, "served on two threads");
    reply.send({.id = order.id(), .desk_id = 0, .open = number_});
  }

 private:
  const std::uint32_t number_;
  std::thread::id thread_;
};

struct ThreadSafeDesk final : desk::Orders::Service {
  [[nodiscard]] bool thread_safe() const noexcept override { return true; }
};

// --- what may be shared

class Share : public ::testing::Test {
 protected:
  std::string refusal(Result<Listener> shared) {
    EXPECT_FALSE(shared);
    return shared ? "" : std::string(shared.error().what()) + "; " + std::string(shared.error().hint());
  }
  ServiceFolder folder;
  NumberedDesk desk{1}, other_desk{2};
  ThreadSafeDesk one_for_all;
  Dispatcher loop{{.log = silent()}}, other{{.log = silent()}}, third{{.log = silent()}};
};

TEST_F(Share, IsOfTheSameServices) {
  auto listener = loop.serve("shm://desk", desk);
  ASSERT_TRUE(listener) << listener.error();
  EXPECT_THAT(refusal(other.share_all(*listener, {})), HasSubstr("sharing shm://desk with other services than it has"));
  EXPECT_THAT(refusal(other.share(*listener, other_desk, one_for_all)), HasSubstr("other services"));
  auto shared = other.share(*listener, other_desk);
  ASSERT_TRUE(shared) << shared.error();
  EXPECT_STREQ(shared->url(), listener->url());
}

TEST_F(Share, TakesAnObjectForEachDispatcherUnlessItIsThreadSafe) {
  auto listener = loop.serve("shm://desk", desk);
  ASSERT_TRUE(listener) << listener.error();
  EXPECT_THAT(refusal(other.share(*listener, desk)), HasSubstr("one object of desk.Orders on two dispatchers"));
  auto share_of_another = other.share(*listener, other_desk);
  ASSERT_TRUE(share_of_another);
  EXPECT_THAT(refusal(third.share(*listener, other_desk)), HasSubstr("let the object's thread_safe() say true"));

  auto safe = loop.serve("shm://safe", one_for_all);
  ASSERT_TRUE(safe) << safe.error();
  EXPECT_TRUE(other.share(*safe, one_for_all));
}

TEST_F(Share, OfAListenerThatIsGoneIsRefused) {
  std::optional<Dispatcher> first(std::in_place, DispatcherOptions{.log = silent()});
  auto listener = first->serve("shm://desk", desk);
  ASSERT_TRUE(listener);
  first.reset();
  EXPECT_THAT(refusal(other.share(*listener, other_desk)), HasSubstr("which is not served any more"));
}

TEST_F(Share, OfATransportThatDealsNoLinksIsRefused) {
  auto listener = loop.serve("loopback://desk", desk);
  ASSERT_TRUE(listener);
  EXPECT_THAT(refusal(other.share(*listener, other_desk)), HasSubstr("gives all its links to the dispatcher"));
}

TEST_F(Share, IsTakenOnTheDispatchersThread) {
  auto listener = loop.serve("shm://desk", desk);
  ASSERT_TRUE(listener);
  std::thread([&] { other.poll(); }).join();
  EXPECT_THAT(refusal(other.share(*listener, other_desk)), HasSubstr("belongs to thread"));
}

// --- two threads, many clients

struct Tally {
  std::atomic<int> links[3], calls[3], wrong;
  std::atomic<int> guests, guest_calls;
  std::atomic<bool> over;
};

// Two dispatchers; the second one on a thread of its own.
void serve_with_two(ChildProcess::Ready ready) {
  NumberedDesk first_desk(1), second_desk(2);
  Dispatcher first({.log = silent()}), second({.log = silent()});
  auto listener = first.serve("shm://desk", first_desk);
  if (!listener) _exit(report(listener.error()));
  auto share = second.share(*listener, second_desk);
  if (!share) _exit(report(share.error()));
  std::thread thread([&] { second.run(); });
  ready();
  first.run();
}

constexpr int kCallsOnSeveral = 400;

// Opens links, calls on each in turn, and keeps them.
void call_on_several(Tally& tally, int links_count, ChildProcess::Ready ready) {
  Dispatcher loop({.log = silent()});
  std::vector<Link> links;
  std::vector<desk::Orders::Client> clients;
  std::vector<std::uint32_t> served_by(static_cast<std::size_t>(links_count), 0);
  links.reserve(served_by.size());
  for (int i = 0; i < links_count; ++i) {
    auto link = loop.connect("shm://desk?timeout=60s&connect_timeout=60s");
    if (!link) _exit(report(link.error()));
    clients.emplace_back(links.emplace_back(std::move(*link)));
  }
  for (std::uint64_t id = 1; id <= std::uint64_t{kCallsOnSeveral}; ++id) {
    const std::size_t at = id % served_by.size();
    const auto ack = clients[at].Place({.id = id}, wait);
    if (!ack || ack->id() != id || ack->open() < 1 || ack->open() > 2 ||
        (served_by[at] != 0 && served_by[at] != ack->open())) {
      ++tally.wrong;
      continue;
    }
    ++tally.calls[ack->open()];
    if (served_by[at] == 0) ++tally.links[ack->open()];
    served_by[at] = ack->open();
  }
  ready();
  pause();  // the links stay as long as the test
}

// As the service itself says.
int links_up() {
  const auto description = shm::describe("desk");
  EXPECT_TRUE(description) << description.error();
  return description ? static_cast<int>(description->links) : 0;
}

TEST(SharedListener, DealsEachLinkToTheDispatcherWithTheFewest) {
  const ServiceFolder folder;
  const SharedValue<Tally> tally;
  ChildProcess server(serve_with_two);
  ASSERT_TRUE(server.ready());
  constexpr int kProcesses = 6, kLinksEach = 8;
  std::vector<ChildProcess> clients;
  for (int i = 0; i < kProcesses; ++i) {
    clients.emplace_back([&](ChildProcess::Ready ready) { call_on_several(*tally, kLinksEach, ready); });
    ASSERT_TRUE(clients.back().ready());
  }
  EXPECT_EQ(tally->wrong, 0) << "a call was lost, or a link was served by two dispatchers";
  EXPECT_EQ(tally->links[1], kProcesses * kLinksEach / 2);
  EXPECT_EQ(tally->links[2], kProcesses * kLinksEach / 2);
  EXPECT_EQ(tally->calls[1] + tally->calls[2], kProcesses * kCallsOnSeveral);

  // Each dispatcher watches its own links: it hears of their ends.
  EXPECT_EQ(links_up(), kProcesses * kLinksEach);
  clients.clear();
  while (links_up() != 0) sched_yield();
}

// --- a dispatcher that comes and goes while links come

constexpr std::uint64_t kClients = 4, kCallsEach = 2000, kCallsPerLink = 250;

// A guest serves a few hundred calls and is destroyed, with open links, held answers, and links on their way to it.
void be_a_guest(const Listener& listener, Journal& journal, Tally& tally, bool ends_its_share_first) {
  int served = 0;
  std::optional<Dispatcher> loop(std::in_place, DispatcherOptions{.log = silent()});
  Desk desk(*loop, journal,
            Hooks{.before_entry = {}, .in_handler = [&](std::uint64_t) { ++served; }, .after_answer = {}});
  std::optional<Listener> share;
  if (auto shared = loop->share(listener, desk); shared) share.emplace(std::move(*shared));
  if (!share) ++tally.wrong;
  while (served < 300 && !tally.over) loop->poll();
  if (ends_its_share_first) share.reset();
  loop.reset();
  ++tally.guests;
  tally.guest_calls += served;
}

void serve_with_guests(Journal& journal, Tally& tally, ChildProcess::Ready ready) {
  Dispatcher home({.log = silent()});
  Desk desk(home, journal);
  auto listener = home.serve("shm://desk", desk);
  if (!listener) _exit(report(listener.error()));
  std::thread guests([&] {
    for (int i = 0; !tally.over; ++i) be_a_guest(*listener, journal, tally, i % 2 == 0);
    home.stop();
  });
  ready();
  home.run();
  guests.join();
}

void call_on_link_after_link(const Journal& journal, Tally& tally, std::uint64_t first_id, ChildProcess::Ready ready) {
  Random random;
  Dispatcher loop({.log = silent()});
  ready();
  for (std::uint64_t id = first_id; id < first_id + kCallsEach; id += kCallsPerLink) {
    auto link = loop.connect("shm://desk?timeout=60s&connect_timeout=60s");
    if (!link) _exit(report(link.error()));
    Load load(*link, journal, random, {.window = 16}, id);
    // A window, and the calls that were waited for while it was filled: the next load's ids begin behind them.
    while (load.made() + 16 + 16 < kCallsPerLink) {
      if (link->up()) load.fill();
      link->poll();
    }
    while (load.open() != 0) link->poll();
    if (!load.books_balance() || load.ended_with(Code::deadline_exceeded, Why::timeout) != 0) {
      ++tally.wrong;
      std::fprintf(stderr, "%s\n", (std::ostringstream() << load).str().c_str());
    }
  }
}

TEST(SharedListener, LosesNoCallWhenADispatcherGoesWhileLinksCome) {
  const ServiceFolder folder;
  const SharedValue<Tally> tally;
  Journal journal;
  (void)seed();  // one for all processes
  ChildProcess server([&](ChildProcess::Ready ready) { serve_with_guests(journal, *tally, ready); });
  ASSERT_TRUE(server.ready());
  std::vector<ChildProcess> clients;
  for (std::uint64_t i = 0; i < kClients; ++i) {
    clients.emplace_back(
        [&, i](ChildProcess::Ready ready) { call_on_link_after_link(journal, *tally, 1 + i * kCallsEach, ready); });
  }
  for (ChildProcess& client : clients) EXPECT_EQ(client.wait(), 0);
  tally->over = true;
  EXPECT_EQ(server.wait(), 0);
  EXPECT_EQ(tally->wrong, 0);
  EXPECT_EQ(journal.run_twice(), 0u);
  EXPECT_GT(tally->guest_calls, 300) << "guests are dealt links";
  EXPECT_GT(tally->guests, 2);
  std::printf("%d guests served %d calls of %llu\n", tally->guests.load(), tally->guest_calls.load(),
              static_cast<unsigned long long>(journal.entries()));
}

}  // namespace
}  // namespace taut::testing
