// Question   what is left of a server to which more is offered than it can do? And what do clients that behave badly
//            cost those that do not?
// One op     an order entry through generated stubs over shm, whose handler is busy for 2 us. Calls come at random
//            (Poisson), over 16 links of one process, and are timed from when they were meant to be sent.
// Held still server and client pinned. The peak is what 16 links with one call each get in a closed loop. Then 80 % of
//            it, twice and ten times, one after the other; then one link that keeps its grants in use, and one whose
//            answers nobody reads, beside 15 that call at a twentieth of the peak together, in turn with the same 15
//            alone.
//
// Run        overload_bench [--pairs 1] [--rounds 60: seconds for each load] [--cpus 0,1]
#include <array>
#include <cmath>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "../parts.h"
#include "latencies.h"
#include "orders.taut.h"
#include "taut/taut.h"

namespace {

using taut::Answer;
using taut::Clock;
using taut::Nanoseconds;
using taut::Ticks;
using namespace std::chrono_literals;

constexpr int kLinks = 16;
constexpr Nanoseconds kWork = 2us;
constexpr Nanoseconds kFor = 500ms;  // a stretch of the two comparisons

struct Setup : bench::Arguments {
  Setup() : Arguments{1, 60} {}
};

class BusyDesk final : public desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    const Ticks until = clock_.now() + work_;
    while (clock_.now() < until) {
    }
    reply.send({.id = order.id(), .desk_id = order.id() * 31 + order.quantity()});
  }
  // The server's resident bytes, in `desk_id`.
  void Cancel(const desk::Cancel& cancel, taut::Reply<desk::Ack> reply) override {
    reply.send({.id = cancel.id(), .desk_id = bench::resident_bytes()});
  }
  Clock clock_ = Clock::system();
  Ticks work_ = clock_.to_ticks(kWork);
};

bench::Child start_server(const std::string& url, const Setup& setup) {
  return bench::Child([&](const auto& ready) {
    const taut::Signals stop{SIGTERM};
    bench::pin(setup.cpu_server);
    taut::Dispatcher loop({.idle = taut::Idle::spin});
    BusyDesk desk;
    auto listener = loop.serve(url + "?delay_max=40us", desk);
    if (!listener) return taut::report(listener.error());
    ready();
    loop.run_until(stop);
    return 0;
  });
}

// What became of the calls of one load.
struct Tally {
  std::uint64_t offered = 0, accepted = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(taut::Why::count_)> refused{};
  bench::Latencies latencies;
  double seconds = 0;

  [[nodiscard]] double rate() const { return static_cast<double>(accepted) / seconds; }
};

// Calls over many links, all on one dispatcher.
class Callers {
 public:
  Callers(const std::string& url, int links_count) {
    links_.reserve(static_cast<std::size_t>(links_count));  // clients hold on to their link's address
    for (int i = 0; i < links_count; ++i) {
      auto link = loop_.connect(url);
      if (!link) std::exit(taut::report(link.error()));
      links_.push_back(std::move(*link));
      clients_.emplace_back(links_.back());
    }
  }

  // Each link has `depth` calls under way. A refused one is made again in the next turn.
  Tally closed(Nanoseconds time, int depth) {
    return run(time, [&](Tally& tally, Ticks now) {
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        while (open_[i] < depth) place(i, now, tally);
      }
    });
  }
  // `rate` calls a second, on `links_count` of the links. The others have `flood` calls each under way.
  Tally open(Nanoseconds time, double rate, std::size_t links_count = kLinks, int flood = 0) {
    const double mean_gap = clock_.ticks_per_ns() * 1e9 / rate;
    double due = static_cast<double>(clock_.now());
    Tally rest;
    Tally tally = run(time, [&](Tally& calls, Ticks now) {
      // A few at a time when late: answers are taken in between.
      for (int i = 0; i < 32 && due <= static_cast<double>(now); ++i) {
        if (++next_ >= links_count) next_ = 0;
        place(next_, static_cast<Ticks>(due), calls);
        due += mean_gap * gap();
      }
      for (std::size_t i = links_count; i < clients_.size(); ++i) {
        while (open_[i] < flood) place(i, now, rest);
      }
    });
    return tally;
  }
  std::uint64_t server_bytes() {
    const auto ack = clients_.front().Cancel({.id = 1}, taut::wait);
    if (!ack) std::exit(taut::report(ack.status()));
    return ack->desk_id();
  }
  // Makes calls on a link whose answers are not read as long as no dispatcher of it turns.
  void fill(int calls) {
    for (int i = 0; i < calls; ++i) place(0, clock_.now(), unread_);
  }

 private:
  template <class Offer>
  Tally run(Nanoseconds time, Offer offer) {
    Tally tally;
    const Ticks begin = clock_.now();
    const Ticks end = begin + clock_.to_ticks(time);
    Ticks now = begin;
    while (now < end) {
      offer(tally, now);
      loop_.poll();
      now = clock_.now();
    }
    tally.seconds = static_cast<double>(now - begin) / clock_.ticks_per_ns() / 1e9;
    counting_ = false;
    const auto open = [&] { return std::any_of(open_.begin(), open_.end(), [](int calls) { return calls != 0; }); };
    while (open()) loop_.poll();
    counting_ = true;
    return tally;
  }
  void place(std::size_t i, Ticks due, Tally& tally) {
    ++tally.offered;
    ++open_[i];
    const std::uint64_t id = ++count_;
    clients_[i]
        .Place({.id = id, .quantity = 5, .party = party_})
        .then([this, &tally, due, id, i](const Answer<desk::Ack>& ack) {
          --open_[i];
          if (!counting_) return;
          if (!ack) {
            ++tally.refused[static_cast<std::size_t>(ack.status().why())];
          } else if (ack->desk_id() != id * 31 + 5) {
            std::fprintf(stderr, "a wrong reply\n"), std::exit(1);
          } else {
            ++tally.accepted;
            tally.latencies.add(static_cast<double>(clock_.now() - due) / clock_.ticks_per_ns());
          }
        });
  }
  // Of a Poisson process, with a mean of 1. Drawn ahead: a logarithm costs as much as a call.
  double gap() { return gaps_[++next_gap_ % gaps_.size()]; }
  static std::vector<double> draw() {
    std::mt19937_64 random(1);
    std::exponential_distribution<double> gap(1);
    std::vector<double> gaps(1 << 16);
    for (double& one : gaps) one = gap(random);
    return gaps;
  }

  Clock clock_ = Clock::system();
  taut::Dispatcher loop_;
  std::vector<taut::Link> links_;
  std::vector<desk::Orders::Client> clients_;
  std::array<int, kLinks> open_{};
  std::vector<double> gaps_ = draw();
  std::size_t next_gap_ = 0, next_ = 0;
  std::uint64_t count_ = 0;
  bool counting_ = true;
  Tally unread_;
  desk::Party party_;
};

void print_load(const char* name, const Tally& tally, double peak) {
  std::printf("%-28s %9.0f %9.0f %6.1f%%  %8.1f %8.1f %8.1f  ", name,
              static_cast<double>(tally.offered) / tally.seconds, tally.rate(), 100 * tally.rate() / peak,
              tally.latencies.quantile(0.5) / 1e3, tally.latencies.quantile(0.99) / 1e3,
              tally.latencies.quantile(0.999) / 1e3);
  for (std::size_t why = 0; why < tally.refused.size(); ++why) {
    if (tally.refused[why] == 0) continue;
    std::printf(" %s %.1f%%", std::string(taut::to_text(static_cast<taut::Why>(why))).c_str(),
                100 * static_cast<double>(tally.refused[why]) / static_cast<double>(tally.offered));
  }
  std::printf("\n");
  std::fflush(stdout);
}

void print_memory(const char* when, Callers& callers) {
  std::printf("resident %s: server %.1f MiB, client %.1f MiB\n", when,
              static_cast<double>(callers.server_bytes()) / 1048576,
              static_cast<double>(bench::resident_bytes()) / 1048576);
}

void loads(const Setup& setup, const std::string& url) {
  const bench::Child server = start_server(url, setup);
  Callers callers(url, kLinks);
  const Nanoseconds time = std::chrono::seconds(setup.rounds);
  const double peak = callers.closed(std::min<Nanoseconds>(time, 5s), 1).rate();
  std::printf("peak %.0f calls a second\n", peak);
  std::printf("%-28s %9s %9s %7s  %8s %8s %8s   %s\n", "offered", "a second", "accepted", "of peak", "p50, us", "p99",
              "p99.9", "refused");
  print_load("80 %", callers.open(time, 0.8 * peak), peak);
  print_memory("before the overload", callers);
  print_load("twice", callers.open(time, 2 * peak), peak);
  print_load("ten times", callers.open(time, 10 * peak), peak);
  print_memory("behind it", callers);
}

// The 15 with and without their neighbour, in turn.
struct Compared {
  bench::Latencies alone, beside;
};
template <class Alone, class Beside>
Compared compare(const Setup& setup, Alone alone, Beside beside) {
  Compared compared;
  for (int i = 0; i < 2 * setup.rounds; ++i) {
    compared.alone.add(alone().latencies);
    compared.beside.add(beside().latencies);
  }
  return compared;
}
void print_compared(const char* name, const Compared& compared) {
  std::printf("%-28s", name);
  for (const double q : {0.5, 0.99, 0.999}) {
    const double alone = compared.alone.quantile(q), beside = compared.beside.quantile(q);
    std::printf("   %8.2f %8.2f %6.3f", alone / 1e3, beside / 1e3, beside / alone);
  }
  std::printf("\n");
  std::fflush(stdout);
}

void neighbours(const Setup& setup, const std::string& url) {
  constexpr double kRate = 0.05 * 1e9 / static_cast<double>(kWork.count());
  const bench::Child server = start_server(url, setup);
  std::printf("%-28s   %-24s   %-24s   %-24s\n", "15 links, us", "p50: alone, beside, ratio", "p99", "p99.9");
  {
    Callers callers(url, kLinks);
    print_compared("one floods", compare(
                                     setup, [&] { return callers.open(kFor, kRate, kLinks - 1); },
                                     [&] { return callers.open(kFor, kRate, kLinks - 1, 64); }));
  }
  Callers callers(url, kLinks - 1);
  auto unread = std::make_unique<Callers>(url, 1);
  print_compared("one is not read", compare(
                                        setup,
                                        [&] {
                                          unread.reset();
                                          return callers.open(kFor, kRate, kLinks - 1);
                                        },
                                        [&] {
                                          unread = std::make_unique<Callers>(url, 1);
                                          unread->fill(100);
                                          return callers.open(kFor, kRate, kLinks - 1);
                                        }));
}

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  setup.read(argc, argv);
  bench::pin(setup.cpu_client);
  std::printf("%d fresh pairs of processes, %d s for each load, cpus %d and %d\n", setup.pairs, setup.rounds,
              setup.cpu_client, setup.cpu_server);
  const std::string url = "shm://overload-bench-" + std::to_string(getpid());
  for (int pair = 0; pair < setup.pairs; ++pair) {
    loads(setup, url);
    neighbours(setup, url);
  }
  return 0;
}
