// kill -9 of the server under the accounting load, again and again, at random moments: every call ends once, and its
// verdict agrees with the journal that the dead server left behind.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <time.h>

#include <fstream>
#include <string>

#include "support/accounting/desk.h"
#include "support/accounting/load.h"
#include "support/amount.h"
#include "support/child_process.h"
#include "support/service_folder.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

// How one life of the server ends: at its `request`-th request, at once or some time later.
struct Death {
  enum class At { any_moment, before_entry, in_handler, after_answer };
  At at;
  std::uint64_t request;
  long after_ns;
};

void die_later(long after_ns) {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) _exit(2);
  itimerspec when{};
  when.it_value.tv_nsec = after_ns;
  timer_settime(timer, 0, &when, nullptr);
}

// The hook of one place: counts requests there and dies at the right one.
std::function<void(std::uint64_t)> dying(const Death& death, Death::At here) {
  if (death.at != here) return {};
  return [death, seen = std::uint64_t{0}](std::uint64_t) mutable {
    if (++seen == death.request) raise(SIGKILL);
  };
}

void serve_until_death(Journal& journal, const Death& death, ChildProcess::Ready ready) {
  Dispatcher loop;
  Hooks hooks{dying(death, Death::At::before_entry), dying(death, Death::At::in_handler),
              dying(death, Death::At::after_answer)};
  if (death.at == Death::At::any_moment) {
    hooks.before_entry = [death, seen = std::uint64_t{0}](std::uint64_t) mutable {
      if (++seen == death.request) die_later(death.after_ns);
    };
  }
  Desk desk(loop, journal, hooks);
  auto listener = loop.serve("shm://desk", desk);
  if (!listener) {
    report(listener.error());
    _exit(1);
  }
  ready();
  loop.run();
}

std::size_t lines_with(const char* file, const char* text) {
  std::ifstream in(file);
  std::size_t count = 0;
  for (std::string line; std::getline(in, line);) count += line.find(text) != std::string::npos;
  return count;
}
std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}
long resident_kib() {
  std::ifstream in("/proc/self/statm");
  long pages = 0, resident = 0;
  in >> pages >> resident;
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsComparable = false;  // freed memory waits in quarantine
#else
constexpr bool kMemoryIsComparable = true;
#endif

void kill_again_and_again(int kills) {
  const ServiceFolder folder;
  Journal journal;
  Random random;
  const auto any_death = [&random]() -> Death {
    const std::uint64_t dice = random.below(8);
    const auto at = dice < 5 ? Death::At::any_moment : static_cast<Death::At>(dice - 4);
    return {at, 1 + random.below(600), 1 + static_cast<long>(random.below(1'500'000))};
  };
  const auto start = [&] {
    const Death death = any_death();
    return ChildProcess([&, death](ChildProcess::Ready ready) { serve_until_death(journal, death, ready); });
  };

  ChildProcess server = start();
  ASSERT_TRUE(server.ready());
  Dispatcher loop({.log = [](Severity, std::string_view) {}});
  auto link = loop.connect("shm://desk?timeout=60s");
  ASSERT_TRUE(link) << link.error();
  Load load(*link, journal, random);

  std::uint64_t lives_used = 0;
  std::size_t descriptors = 0, mappings = 0;
  long resident = 0;
  const int warm_up = std::min(kills / 2, 100);
  for (int kill = 0; kill < kills; ++kill) {
    const std::uint64_t ok_before = load.ok();
    while (!server.gone()) {
      // Polled often enough, but the calls must not wait for waitpid().
      for (int i = 0; i < 64; ++i) load.step();
    }
    // What the dead server owes ends now; calls made meanwhile are refused.
    while (link->up()) load.step();
    while (load.open() != 0) link->poll();
    ASSERT_TRUE(load.books_balance()) << "after kill " << kill << ": " << load;
    ASSERT_LE(load.maybes(false), 1u) << "after kill " << kill << ": " << load;
    ASSERT_LE(load.maybes(true), 1u) << "after kill " << kill << ": " << load;
    load.forget_maybes();
    lives_used += load.ok() > ok_before;
    if (kill == warm_up) {
      descriptors = open_descriptors();
      mappings = lines_with("/proc/self/maps", "memfd:");
      resident = resident_kib();
    }
    if (kill == kills - 1) break;
    server = start();
    ASSERT_TRUE(server.ready());
    // No code to reconnect: the link is polled until it is up again.
    while (!link->up() && !server.gone()) link->poll();
  }
  std::printf("kills %d, lives that answered %llu, journal entries %llu\n%s\n", kills,
              static_cast<unsigned long long>(lives_used), static_cast<unsigned long long>(journal.entries()),
              (std::ostringstream() << load).str().c_str());
  EXPECT_EQ(journal.run_twice(), 0u);
  EXPECT_EQ(load.ended_with(Code::deadline_exceeded, Why::timeout), 0u);
  // A server may die before its first answer; most must not.
  EXPECT_GT(lives_used, static_cast<std::uint64_t>(kills) / 2) << load;
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(lines_with("/proc/self/maps", "memfd:"), mappings);
  if (kMemoryIsComparable) {
    EXPECT_LE(resident_kib(), resident + 1024);
    std::printf("resident memory: %ld KiB after %d kills, %ld KiB at the end\n", resident, warm_up, resident_kib());
  }
}

TEST(Kill, every_call_ends_once_with_the_verdict_of_the_journal) {
  kill_again_and_again(static_cast<int>(amount("TAUT_KILLS", 50)));
}

}  // namespace
}  // namespace taut::testing
