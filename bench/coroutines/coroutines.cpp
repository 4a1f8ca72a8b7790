// Question   what does a call cost that a coroutine awaits, beside the same call with a callback?
// One op     an order entry (constant length) through generated stubs over shm, default options, every reply computed
//            from all fields and checked. One at a time: the next is sent by the callback of the one before, or awaited
//            in a loop. In a window of 64: as many callbacks that send the next, or as many tasks that do; and a task
//            for each call, which starts the next and whose frame comes from a FramePool.
// Held still both ends pinned; callbacks and coroutines in turn, round by round, in one pair of processes, and which
//            goes first changes. A figure is the median over the rounds of a pair of the ratio of two neighbours, then
//            over fresh pairs.
//
// Run        coroutines_bench [--pairs 7] [--rounds 40] [--cpus 0,1]
#include <chrono>
#include <string>
#include <vector>

#include "../call/orders.h"
#include "../parts.h"

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::uint64_t kOne = 2048;
constexpr std::uint64_t kStream = 16384;
constexpr std::uint64_t kWindow = 64;
constexpr int kWarmup = 10;

struct Setup : bench::Arguments {
  Setup() : Arguments{7, 40} {}
  std::string url = "shm://coroutines-bench-" + std::to_string(getpid());
};

class Client {
 public:
  explicit Client(taut::Link& link) : link_(link), orders_{link} {}

  void call_back(std::uint64_t calls, std::uint64_t window) {
    begin(calls);
    for (std::uint64_t i = 0; i != window; ++i) send_one();
    poll_to_the_end();
  }
  void await(std::uint64_t calls, std::uint64_t window) {
    begin(calls);
    for (std::uint64_t i = 0; i != window; ++i) await_some();
    poll_to_the_end();
  }
  void await_in_a_task_each(std::uint64_t calls, std::uint64_t window) {
    begin(calls);
    for (std::uint64_t i = 0; i != window; ++i) await_one(frames_);
    poll_to_the_end();
  }

 private:
  void begin(std::uint64_t calls) {
    sent_ = done_ = 0;
    calls_ = calls;
  }
  void poll_to_the_end() {
    while (done_ < calls_) link_.poll();
  }
  desk::OrderInit next_order() {
    const std::uint64_t n = ++sent_;
    return {.id = n, .price = static_cast<std::int32_t>(n * 3), .quantity = static_cast<std::uint32_t>(n) & 1023};
  }
  void check(const desk::OrderInit& order, const taut::Answer<desk::Ack>& ack) {
    if (!ack) bench::fail(ack.status());
    if (ack->desk_id() != bench::answer_to(order.id, order.price, order.quantity, order.side, order.party)) {
      bench::fail("a wrong reply");
    }
    ++done_;
  }
  void send_one() {
    const auto order = next_order();
    orders_.Place(order).then([this, id = order.id, price = order.price, quantity = order.quantity](const auto& ack) {
      check({.id = id, .price = price, .quantity = quantity}, ack);
      if (sent_ < calls_) send_one();
    });
  }
  taut::Task await_some() {
    while (sent_ < calls_) {
      const auto order = next_order();
      const auto ack = co_await orders_.Place(order);
      check(order, ack);
    }
  }
  taut::Task await_one(taut::FramePool&) {
    const auto order = next_order();
    const auto ack = co_await orders_.Place(order);
    check(order, ack);
    if (sent_ < calls_) await_one(frames_);
  }

  taut::Link& link_;
  desk::Orders::Client orders_;
  taut::FramePool frames_{{.frame_bytes = 2048, .frames = 2 * kWindow}};
  std::uint64_t sent_ = 0, done_ = 0, calls_ = 0;
};

struct Figures {
  std::vector<double> one, one_ratio, rate, rate_ratio, each_ratio;
};

// The medians of one pair of processes, behind those of the pairs before.
void measure(const Setup& setup, Figures& all) {
  const bench::Child server([&](const std::function<void()>& ready) {
    bench::pin(setup.cpu_server);
    const taut::Signals end{SIGTERM};
    taut::Dispatcher loop;
    bench::OrderDesk desk(loop);
    auto listener = loop.serve(setup.url, desk);
    if (!listener) return taut::report(listener.error());
    ready();
    loop.run_until(end);
    return 0;
  });
  bench::pin(setup.cpu_client);
  auto link = taut::connect(setup.url);
  if (!link) std::exit(taut::report(link.error()));
  Client client(*link);
  Figures figures;
  const auto timed = [](double calls, auto&& run) {
    const auto begin = Steady::now();
    run();
    return std::chrono::duration<double, std::nano>(Steady::now() - begin).count() / calls;
  };
  for (int round = 0; round < setup.rounds + kWarmup; ++round) {
    double one[2], stream[3];
    for (int i = 0; i != 2; ++i) {
      const int which = (i + round) % 2;
      one[which] = timed(kOne, [&] { which == 0 ? client.call_back(kOne, 1) : client.await(kOne, 1); });
    }
    for (int i = 0; i != 3; ++i) {
      const int which = (i + round) % 3;
      stream[which] = timed(kStream, [&] {
        if (which == 0) client.call_back(kStream, kWindow);
        if (which == 1) client.await(kStream, kWindow);
        if (which == 2) client.await_in_a_task_each(kStream, kWindow);
      });
    }
    if (round < kWarmup) continue;
    figures.one.push_back(one[0]);
    figures.one_ratio.push_back(one[1] / one[0]);
    figures.rate.push_back(1e3 / stream[0]);
    figures.rate_ratio.push_back(stream[1] / stream[0]);
    figures.each_ratio.push_back(stream[2] / stream[0]);
  }
  all.one.push_back(bench::median(figures.one));
  all.one_ratio.push_back(bench::median(figures.one_ratio));
  all.rate.push_back(bench::median(figures.rate));
  all.rate_ratio.push_back(bench::median(figures.rate_ratio));
  all.each_ratio.push_back(bench::median(figures.each_ratio));
}

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  setup.read(argc, argv);
  Figures figures;
  for (int pair = 0; pair < setup.pairs; ++pair) measure(setup, figures);
  bench::print_head(setup);
  bench::print_row("callback, one at a time", figures.one, "ns");
  bench::print_row("coroutine / callback, one at a time", figures.one_ratio, "");
  bench::print_row("callback, window 64", figures.rate, "M/s");
  bench::print_row("coroutine / callback, window 64", figures.rate_ratio, "");
  bench::print_row("a task each / callback, window 64", figures.each_ratio, "");
  return 0;
}
