// Question   what does a message of many bytes cost: to be handed over in an arena, and to travel in pieces?
// One op     a vector of bytes to a server that reads its first, middle and last byte and answers with them; checked.
//              hand-over  64 MiB or 64 bytes that stand built in their claims, from send to the answer's callback; the
//                         time to fill them is shown apart
//              pieces     1 MiB with default options from a container of the client, waited for, and with four in
//                         flight; beside a memcpy of the same bytes
// Held still both ends pinned; what is compared is interleaved round by round in one pair of processes. A figure is the
//            median over the rounds of a pair, then over fresh pairs.
//
// Run        large_bench [--pairs 5] [--rounds 30] [--cpus 0,1]
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "../parts.h"
#include "blobs.taut.h"
#include "taut/taut.h"

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t kLarge = 64 << 20;
constexpr std::size_t kSmall = 64;
constexpr std::size_t kMegabyte = 1 << 20;
constexpr int kMegabytes = 16;  // a round of pieces, and of memcpy
constexpr int kHandOvers = 4;   // a round of each size
constexpr int kWarmup = 3;

struct Setup : bench::Arguments {
  Setup() : Arguments{5, 30} {}
  std::string url = "shm://large-bench-" + std::to_string(getpid());
};

class Store final : public blobs::Store::Service {
  void Put(const blobs::Blob& blob, taut::Reply<blobs::Seen> reply) override {
    const auto& data = *blob.data();
    reply.send({.bytes = data.size(),
                .first = data.Get(0),
                .middle = data.Get(data.size() / 2),
                .last = data.Get(data.size() - 1)});
  }
};

bench::Child start_server(const Setup& setup) {
  return bench::Child([&](const auto& ready) {
    const taut::Signals stop{SIGTERM};
    bench::pin(setup.cpu_server);
    taut::Dispatcher loop({.idle = taut::Idle::spin});  // it must not fall asleep while 64 MiB are filled
    Store store;
    auto listener = loop.serve(setup.url, store);
    if (!listener) return taut::report(listener.error());
    ready();
    loop.run_until(stop);
    return 0;
  });
}

[[noreturn]] void fail(const taut::Status& status) {
  taut::report(status);
  std::exit(1);
}

double ns_since(Steady::time_point begin) {
  return std::chrono::duration<double, std::nano>(Steady::now() - begin).count();
}

// The figures of one pair, a value a round.
struct Figures {
  std::vector<double> small, large, build, one, four, copy;
};

class Client {
 public:
  explicit Client(taut::Link& link) : link_(link), store_{link} {}

  // Fills a claim of `bytes` and hands it over; both times in ns.
  void hand_over(std::size_t bytes, std::vector<double>& build, std::vector<double>& to) {
    const std::uint8_t mark = ++mark_;
    auto claim = store_.claim_Put(static_cast<std::uint32_t>(bytes + 64));
    if (!claim) std::fprintf(stderr, "no room for %zu bytes\n", bytes), std::exit(1);
    auto begin = Steady::now();
    const auto data = claim->data(bytes);
    std::memset(data.data(), mark, data.size());
    build.push_back(ns_since(begin));
    bool over = false;
    begin = Steady::now();
    store_.send(std::move(claim)).then([&](const taut::Answer<blobs::Seen>& seen) {
      check(seen, bytes, mark);
      over = true;
    });
    while (!over) link_.poll();
    to.push_back(ns_since(begin));
  }

  void put(const std::vector<std::uint8_t>& data) {
    const auto seen = store_.Put({.data = data}, taut::wait);
    check(seen, data.size(), data[0]);
  }
  void put_all(const std::vector<std::uint8_t>& data, int count, int in_flight) {
    int sent = 0, done = 0;
    while (done != count) {
      for (; sent != count && sent - done < in_flight; ++sent) {
        store_.Put({.data = data}).then([&](const taut::Answer<blobs::Seen>& seen) {
          check(seen, data.size(), data[0]);
          ++done;
        });
      }
      link_.poll();
    }
  }

 private:
  static void check(const taut::Answer<blobs::Seen>& seen, std::size_t bytes, std::uint8_t mark) {
    if (!seen) fail(seen.status());
    if (seen->bytes() == bytes && seen->first() == mark && seen->middle() == mark && seen->last() == mark) return;
    std::fprintf(stderr, "the server saw other bytes\n");
    std::exit(1);
  }

  taut::Link& link_;
  blobs::Store::Client store_;
  std::uint8_t mark_ = 0;
};

taut::Link connect(const std::string& url) {
  auto link = taut::connect(url);
  if (!link) std::exit(taut::report(link.error()));
  return *std::move(link);
}

Figures measure(const Setup& setup) {
  const bench::Child server = start_server(setup);
  bench::pin(setup.cpu_client);
  taut::Link with_arena = connect(setup.url + "?arena=80MiB&timeout=10s");
  taut::Link plain = connect(setup.url + "?timeout=10s");
  Client blocks(with_arena), pieces(plain);
  std::vector<std::uint8_t> data(kMegabyte, 7), other(kMegabyte, 9);
  Figures figures;
  std::vector<double> ignored;
  for (int round = -kWarmup; round != setup.rounds; ++round) {
    Figures now;
    for (int i = 0; i != kHandOvers; ++i) {
      blocks.hand_over(kSmall, ignored, now.small);
      blocks.hand_over(kLarge, now.build, now.large);
    }
    auto begin = Steady::now();
    for (int i = 0; i != kMegabytes; ++i) pieces.put(data);
    now.one.push_back(ns_since(begin) / kMegabytes);
    begin = Steady::now();
    pieces.put_all(data, kMegabytes, 4);
    now.four.push_back(ns_since(begin) / kMegabytes);
    begin = Steady::now();
    for (int i = 0; i != kMegabytes; ++i) {
      std::memcpy(other.data(), data.data(), kMegabyte);
      asm volatile("" : : "r"(other.data()) : "memory");
    }
    now.copy.push_back(ns_since(begin) / kMegabytes);
    if (round < 0) continue;
    figures.small.push_back(bench::median(now.small));
    figures.large.push_back(bench::median(now.large));
    figures.build.push_back(bench::median(now.build));
    figures.one.push_back(now.one[0]);
    figures.four.push_back(now.four[0]);
    figures.copy.push_back(now.copy[0]);
  }
  return figures;
}

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  setup.read(argc, argv);
  Figures all;
  std::vector<double> hand_over, one, four;
  for (int pair = 0; pair != setup.pairs; ++pair) {
    const Figures figures = measure(setup);
    all.small.push_back(bench::median(figures.small));
    all.build.push_back(bench::median(figures.build) / 1e6);
    all.copy.push_back(kMegabyte / bench::median(figures.copy));
    hand_over.push_back(bench::median(figures.large) / all.small.back());
    one.push_back(bench::median(figures.copy) / bench::median(figures.one));
    four.push_back(bench::median(figures.copy) / bench::median(figures.four));
  }
  bench::print_head(setup);
  bench::print_row("64 bytes handed over", all.small, "ns");
  bench::print_row("64 MiB in an arena handed over / 64 bytes", hand_over, "");
  bench::print_row("  to fill the 64 MiB, before", all.build, "ms");
  bench::print_row("memcpy of 1 MiB", all.copy, "GB/s");
  bench::print_row("1 MiB in pieces, one at a time / memcpy", one, "");
  bench::print_row("1 MiB in pieces, four in flight / memcpy", four, "");
  return 0;
}
