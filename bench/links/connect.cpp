// Question   how long does a client wait from connect() to its first answer?
// One op     taut::connect(), one order entry, its checked answer. The link is closed, and the server has two
//            milliseconds to itself before the next one.
// Held still server and client pinned, one client at a time. Rows are measured in turn, connection by connection; the
//            servers that are not asked sleep, except the one that spins, which has its own rounds.
//
//   prepared      the listener has segments ready, as it has by default
//   not prepared  it makes the segment while the client waits
//   busy          as prepared, with a server that never sleeps and looks at its sockets once a millisecond
//
// Run        connect_bench [--connects 500] [--cpus 0,1]
#include <string>
#include <string_view>

#include "../call/orders.h"
#include "../parts.h"
#include "taut/shm/transport.h"

namespace {

using Steady = std::chrono::steady_clock;

struct Setup {
  int connects = 500;
  int cpu_client = 0;
  int cpu_server = 1;
};

struct ServerKind {
  const char* name;
  unsigned spare_segments;
  taut::Idle idle;
};

bench::Child start_server(const std::string& url, const ServerKind& kind, const Setup& setup) {
  return bench::Child([&](const auto& ready) {
    const taut::Signals stop{SIGTERM};
    bench::pin(setup.cpu_server);
    std::vector<std::unique_ptr<taut::rpc::Transport>> transports;
    transports.push_back(taut::shm::make_transport({.spare_segments = kind.spare_segments}));
    taut::rpc::Dispatcher loop(std::move(transports), {.idle = kind.idle});
    bench::OrderDesk desk(loop);
    auto listener = loop.serve(url, desk);
    if (!listener) return taut::report(listener.error());
    ready();
    loop.run_until(stop);
    return 0;
  });
}

double microseconds_to_first_answer(const std::string& url) {
  const auto begin = Steady::now();
  auto link = taut::connect(url);
  if (!link) std::exit(taut::report(link.error()));
  bench::OrderClient(*link).place(1);
  return std::chrono::duration<double, std::micro>(Steady::now() - begin).count();
}

struct Row {
  Row(const ServerKind& kind, const Setup& setup)
      : name(kind.name),
        url("shm://connect-bench-" + std::to_string(getpid()) + "-" + std::to_string(++count)),
        server(start_server(url, kind, setup)) {}
  void measure() {
    microseconds.push_back(microseconds_to_first_answer(url));
    usleep(2000);
  }
  void print() const {
    std::printf("%-14s %10.0f %10.0f %10.0f %10.0f\n", name, bench::quantile(microseconds, 0),
                bench::median(microseconds), bench::quantile(microseconds, 0.9), bench::quantile(microseconds, 1));
    std::fflush(stdout);
  }
  const char* name;
  std::string url;
  bench::Child server;
  std::vector<double> microseconds;
  static inline int count = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--connects")
      setup.connects = std::atoi(argv[i + 1]);
    else if (name == "--cpus")
      std::sscanf(argv[i + 1], "%d,%d", &setup.cpu_client, &setup.cpu_server);
    else
      return std::fprintf(stderr, "connect_bench: unknown argument %s\n", argv[i]), 2;
  }
  bench::pin(setup.cpu_client);
  std::printf("%d connects each, one at a time, cpus %d and %d; microseconds from connect() to the first answer\n",
              setup.connects, setup.cpu_client, setup.cpu_server);
  std::printf("%-14s %10s %10s %10s %10s\n", "segments", "least", "median", "p90", "most");
  {
    Row prepared({"prepared", taut::shm::TransportOptions{}.spare_segments, taut::Idle::adaptive}, setup);
    Row unprepared({"not prepared", 0, taut::Idle::adaptive}, setup);
    for (int i = 0; i < setup.connects; ++i) {
      prepared.measure();
      unprepared.measure();
    }
    prepared.print();
    unprepared.print();
  }
  Row busy({"busy", taut::shm::TransportOptions{}.spare_segments, taut::Idle::spin}, setup);
  for (int i = 0; i < setup.connects; ++i) busy.measure();
  busy.print();
  return 0;
}
