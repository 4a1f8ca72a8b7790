// Question   what does a call cost on a link whose server has many others, beside the same call to a server that has
//            none?
// One op     an order entry through generated stubs over shm, default options, waited for, its reply checked. With
//            several active links: one call on each in turn.
// Held still server and client pinned; the idle links belong to a third process, which sleeps. A pair is two servers on
//            one processor, one with the idle links and one without, called in turn batch by batch; the one that is not
//            called sleeps. A figure is the median over the batches of a pair (means of 256), then over fresh pairs.
//
// Run        links_bench [--pairs 5] [--rounds 200] [--cpus 0,1]
#include <string>
#include <string_view>

#include "../call/orders.h"
#include "../parts.h"

namespace {

using Steady = std::chrono::steady_clock;

constexpr int kBatch = 256;
constexpr int kWarmup = 64;  // calls in front of each batch: the first one wakes the server

struct Setup : bench::Arguments {
  Setup() : Arguments{5, 200} {}
};

struct Scenario {
  int active;
  int idle;
};

bench::Child start_server(const std::string& url, const Setup& setup) {
  return bench::Child([&](const auto& ready) {
    const taut::Signals stop{SIGTERM};
    bench::pin(setup.cpu_server);
    taut::Dispatcher loop;
    bench::OrderDesk desk(loop);
    auto listener = loop.serve(url, desk);
    if (!listener) return taut::report(listener.error());
    ready();
    loop.run_until(stop);
    return 0;
  });
}

// Holds links that nobody calls on, and sleeps.
bench::Child start_idlers(const std::string& url, int links_count) {
  return bench::Child([&](const auto& ready) {
    taut::Dispatcher loop;
    std::vector<taut::Link> links;
    for (int i = 0; i < links_count; ++i) {
      auto link = loop.connect(url);
      if (!link) return taut::report(link.error());
      links.push_back(std::move(*link));
    }
    ready();
    while (true) pause();
  });
}

class Caller {
 public:
  Caller(taut::Dispatcher& loop, const std::string& url, int links_count) {
    links_.reserve(static_cast<std::size_t>(links_count));  // clients hold on to their link's address
    for (int i = 0; i < links_count; ++i) {
      auto link = loop.connect(url);
      if (!link) std::exit(taut::report(link.error()));
      links_.push_back(std::move(*link));
      clients_.emplace_back(links_.back());
    }
  }
  // Nanoseconds a call.
  double batch() {
    place(kWarmup);
    const auto begin = Steady::now();
    place(kBatch);
    return std::chrono::duration<double, std::nano>(Steady::now() - begin).count() / kBatch;
  }

 private:
  void place(int calls) {
    const int links_count = static_cast<int>(clients_.size());
    if (links_count == 1) return clients_.front().place(calls);
    for (int i = 0; i < calls; ++i) clients_[static_cast<std::size_t>(i % links_count)].place(1);
  }
  std::vector<taut::Link> links_;
  std::vector<bench::OrderClient> clients_;
};

struct Figures {
  double alone, among;
};

Figures measure_pair(const Scenario& scenario, const Setup& setup) {
  const std::string url = "shm://links-bench-" + std::to_string(getpid());
  const bench::Child alone_server = start_server(url + "-alone", setup);
  const bench::Child among_server = start_server(url + "-among", setup);
  const bench::Child idlers = start_idlers(url + "-among", scenario.idle);
  taut::Dispatcher loop;
  Caller alone(loop, url + "-alone", scenario.active);
  Caller among(loop, url + "-among", scenario.active);
  std::vector<double> alone_ns, among_ns;
  for (int round = 0; round < setup.rounds; ++round) {
    alone_ns.push_back(alone.batch());
    among_ns.push_back(among.batch());
  }
  return {bench::median(alone_ns), bench::median(among_ns)};
}

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  setup.read(argc, argv);
  bench::raise_descriptor_limit();
  bench::pin(setup.cpu_client);
  std::printf("%d fresh pairs of servers, %d batches of %d calls each, cpus %d and %d\n", setup.pairs, setup.rounds,
              kBatch, setup.cpu_client, setup.cpu_server);
  std::printf("%6s %6s %12s %12s %14s   %s\n", "active", "idle", "alone, ns", "among, ns", "among / alone",
              "min..max over pairs");
  for (const Scenario scenario : {Scenario{1, 1}, {1, 64}, {1, 1024}, {8, 1}, {8, 64}, {8, 1024}}) {
    std::vector<double> alone, among, ratios;
    for (int pair = 0; pair < setup.pairs; ++pair) {
      const Figures figures = measure_pair(scenario, setup);
      alone.push_back(figures.alone);
      among.push_back(figures.among);
      ratios.push_back(figures.among / figures.alone);
    }
    std::printf("%6d %6d %12.1f %12.1f %14.3f   %.3f..%.3f\n", scenario.active, scenario.idle, bench::median(alone),
                bench::median(among), bench::median(ratios), bench::quantile(ratios, 0), bench::quantile(ratios, 1));
    std::fflush(stdout);
  }
  return 0;
}
