// Question   does a typed, checked, accounted call stay at the floor? What does each feature cost?
// One op     an order entry (64-byte FlatBuffers request, 40-byte answer) between two processes, both spinning. All
// rows
//            but the last are written by hand; the last is the library, with default options.
// Held still both ends pinned; every rung in the same two processes, interleaved round by round; figures are medians
//            of batch means (256 calls at depth 1; 8192 calls at window 64), then the median over fresh pairs.
//
// Run        ladder [--pairs 7] [--rounds 30] [--cpus 0,1]
//            ladder --one-thread RUNG CALLS      (under callgrind, to count)
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "call/orders.h"
#include "rungs.h"

namespace ladder {
namespace {

constexpr int kBatch = 256;
constexpr int kStream = 8192;
constexpr int kWarmup = 5;
constexpr int kRows = rung_count + 1;

struct Line {
  alignas(128) SharedWord value{0};
};
struct Floor {
  Line ping, pong;
  Line listens, connected;  // the library's server and client
};

struct Setup {
  int pairs = 7;
  int rounds = 30;
  int cpu_client = 0;
  int cpu_server = 1;
  std::string url = "shm://ladder-" + std::to_string(getpid());
};

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

template <class T>
T& shared_memory() {
  void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) std::perror("mmap"), std::exit(1);
  return *new (memory) T;
}

void bounce(Floor& floor, u64& i) {
  for (int k = 0; k < kBatch; ++k) {
    floor.ping.value.store(++i, std::memory_order_release);
    while (floor.pong.value.load(std::memory_order_acquire) != i) {
    }
  }
}
void echo(Floor& floor, u64& i) {
  for (int k = 0; k < kBatch; ++k) {
    ++i;
    while (floor.ping.value.load(std::memory_order_acquire) != i) {
    }
    floor.pong.value.store(i, std::memory_order_release);
  }
}

template <template <int> class EndOf, int... rung, class... Args>
auto make_ends(std::integer_sequence<int, rung...>, Shared* shared, Args... args) {
  return std::tuple<std::unique_ptr<EndOf<rung>>...>{std::make_unique<EndOf<rung>>(shared[rung], args...)...};
}
using Rungs = std::make_integer_sequence<int, rung_count>;

struct Figures {
  std::vector<double> floor, call[kRows], rate[kRows];
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void run_server(Shared* shared, Floor& floor, const Setup& setup) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin(setup.cpu_server);
  taut::Dispatcher loop;
  bench::OrderDesk desk(loop);
  auto listener = loop.serve(setup.url, desk);
  if (!listener) _exit(taut::report(listener.error()));
  floor.listens.value.store(1, std::memory_order_release);
  while (floor.connected.value.load(std::memory_order_acquire) == 0) loop.poll();
  auto ends = make_ends<Server>(Rungs{}, shared, Clock::system());
  u64 i = 0;
  for (int round = 0; round < setup.rounds + kWarmup; ++round) {
    echo(floor, i);
    const auto serve = [](auto& server, int calls) {
      for (int done = 0; done < calls;) done += server->poll();
    };
    std::apply([&](auto&... server) { (serve(server, kBatch), ...); }, ends);
    std::apply([&](auto&... server) { (serve(server, kStream), ...); }, ends);
    loop.run();
  }
}

Figures run_client(Shared* shared, Floor& floor, const Setup& setup) {
  pin(setup.cpu_client);
  const Clock clock = Clock::system();
  auto ends = make_ends<Client>(Rungs{}, shared, clock);
  while (floor.listens.value.load(std::memory_order_acquire) == 0) sched_yield();
  auto link = taut::connect(setup.url);
  if (!link) std::exit(taut::report(link.error()));
  floor.connected.value.store(1, std::memory_order_release);
  bench::OrderClient library(*link);
  Figures figures;
  u64 i = 0;
  for (int round = 0; round < setup.rounds + kWarmup; ++round) {
    const auto timed = [&](auto&& run) {
      const Ticks begin = clock.now();
      run();
      return static_cast<double>(clock.now() - begin) / clock.ticks_per_ns();
    };
    const auto keep = [&](std::vector<double>& to, double value) {
      if (round >= kWarmup) to.push_back(value);
    };
    keep(figures.floor, timed([&] { bounce(floor, i); }) / kBatch);
    int rung = 0;
    const auto calls = [&](auto& client) {
      keep(figures.call[rung++], timed([&] {
                                   for (u64 k = 0; k < kBatch; ++k) client->call(k * 7919 + i);
                                 }) / kBatch);
    };
    std::apply([&](auto&... client) { (calls(client), ...); }, ends);
    rung = 0;
    const auto stream = [&](auto& client) {
      keep(figures.rate[rung++], kStream / timed([&] { client->stream(kStream, 64); }) * 1e3);
    };
    std::apply([&](auto&... client) { (stream(client), ...); }, ends);
    library.place(kBatch);  // its code and rings come back into the caches that the rungs have used
    keep(figures.call[rung], timed([&] { library.place(kBatch); }) / kBatch);
    keep(figures.rate[rung], kStream / timed([&] { library.stream(kStream, 64); }) * 1e3);
    library.end_round(false);
  }
  return figures;
}

int run_pairs(const Setup& setup) {
  std::vector<double> floors, ratios[kRows], rates[kRows];
  for (int pair = 0; pair < setup.pairs; ++pair) {
    auto* shared = static_cast<Shared*>(mmap(nullptr, sizeof(Shared) * rung_count, PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
    if (shared == MAP_FAILED) return std::perror("mmap"), 1;
    auto& floor = shared_memory<Floor>();
    const pid_t child = fork();
    if (child < 0) return std::perror("fork"), 1;
    if (child == 0) {
      run_server(shared, floor, setup);
      _exit(0);
    }
    const Figures figures = run_client(shared, floor, setup);
    waitpid(child, nullptr, 0);
    munmap(shared, sizeof(Shared) * rung_count);
    const double floor_ns = median(figures.floor);
    floors.push_back(floor_ns);
    for (int r = 0; r < kRows; ++r) {
      ratios[r].push_back(median(figures.call[r]) / floor_ns);
      rates[r].push_back(median(figures.rate[r]));
    }
  }
  const auto spread = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return std::pair{v.front(), v.back()};
  };
  std::printf("%d fresh pairs of processes, %d rounds each, cpus %d and %d\n", setup.pairs, setup.rounds,
              setup.cpu_client, setup.cpu_server);
  std::printf("%-18s %8s  %-13s %10s  %-13s\n", "cumulative", "p50/floor", "min..max", "M calls/s", "min..max");
  const auto [floor_low, floor_high] = spread(floors);
  std::printf("%-18s %8.2f  %.1f..%.1f ns (median %.1f)\n", "floor", 1.0, floor_low, floor_high, median(floors));
  for (int r = 0; r < kRows; ++r) {
    const auto [low, high] = spread(ratios[r]);
    const auto [slow, fast] = spread(rates[r]);
    const std::string_view name = r < rung_count ? kNames[r] : "the library";
    std::printf("%-18.*s %8.2f   %.2f..%.2f   %8.1f   %.1f..%.1f\n", static_cast<int>(name.size()), name.data(),
                median(ratios[r]), low, high, median(rates[r]), slow, fast);
  }
  return 0;
}

template <int... rung>
void one_thread(std::integer_sequence<int, rung...>, int wanted, u64 calls) {
  const auto run = [&]<int r>() {
    if (r != wanted) return;
    auto& shared = shared_memory<Shared>();
    Client<r> client(shared, Clock::monotonic());
    Server<r> server(shared, Clock::monotonic());
    for (u64 i = 0; i < calls; ++i) {
      if (!client.send(i)) std::abort();
      while (server.poll() == 0) {
      }
      while (!client.poll()) {
      }
    }
  };
  (run.template operator()<rung>(), ...);
}

}  // namespace
}  // namespace ladder

int main(int argc, char** argv) {
  using namespace ladder;
  Setup setup;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--one-thread" && i + 2 < argc) {
      one_thread(Rungs{}, std::atoi(argv[i + 1]), std::strtoull(argv[i + 2], nullptr, 10));
      return 0;
    }
    if (name == "--pairs" && i + 1 < argc)
      setup.pairs = std::atoi(argv[++i]);
    else if (name == "--rounds" && i + 1 < argc)
      setup.rounds = std::atoi(argv[++i]);
    else if (name == "--cpus" && i + 1 < argc)
      std::sscanf(argv[++i], "%d,%d", &setup.cpu_client, &setup.cpu_server);
    else
      return std::fprintf(stderr, "ladder: unknown argument %s\n", argv[i]), 2;
  }
  return run_pairs(setup);
}
