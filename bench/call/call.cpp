// Question   what does a call of the product cost, beside the floor of the same two processes?
// One op     an order entry (constant length), the same by a client of another schema (both messages go through the
//            verifier), a greeting (strings), or an order entry with 63 others in flight: through generated stubs over
//            shm, default options, time-outs set, every reply computed from all fields and checked.
// Held still both ends pinned; floor and calls interleaved round by round in one pair of processes. A figure is the
//            median over the rounds of a pair (means of 256 at depth 1, of 16384 in the stream), then over fresh pairs,
//            since the phase of two spinning loops settles differently in each.
//
// Run        call_bench [--pairs 7] [--rounds 40] [--cpus 0,1]
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "../parts.h"
#include "greeter.taut.h"
#include "orders.h"
#include "other_schema.h"

namespace {

using Steady = std::chrono::steady_clock;

constexpr int kBatch = 256;
constexpr std::uint64_t kStream = 16384;
constexpr std::uint64_t kWindow = 64;
constexpr int kWarmup = 10;

struct Setup : bench::Arguments {
  Setup() : Arguments{7, 40} {}
  std::string url = "shm://call-bench-" + std::to_string(getpid());
};

struct Shared {
  alignas(128) std::atomic<std::uint64_t> ping{0};
  alignas(128) std::atomic<std::uint64_t> pong{0};
  alignas(128) std::atomic<bool> ready{false};
};

class Hello final : public greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, taut::Reply<greeter::HelloReply> reply) override {
    char text[64] = "Hello, ";
    const std::size_t bytes = std::min<std::size_t>(request.name()->size(), sizeof text - 7);
    std::memcpy(text + 7, request.name()->data(), bytes);
    reply.send({.text = std::string_view(text, 7 + bytes)});
  }
};

int serve(Shared& shared, const Setup& setup) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  bench::pin(setup.cpu_server);
  taut::Dispatcher loop;
  bench::OrderDesk desk(loop);
  Hello hello;
  auto listener = loop.serve(setup.url, desk, hello);
  if (!listener) return taut::report(listener.error());
  shared.ready.store(true, std::memory_order_release);
  std::uint64_t i = 0;
  while (true) {
    loop.run();
    if (desk.over) return 0;
    for (int k = 0; k < kBatch; ++k) {
      ++i;
      while (shared.ping.load(std::memory_order_acquire) != i) {
      }
      shared.pong.store(i, std::memory_order_release);
    }
  }
}

class Client {
 public:
  Client(taut::Link& link, Shared& shared) : orders(link), other_schema(link), greeter_{link}, shared_(shared) {
    for (int k = 0; k < kBatch; ++k) names_.push_back("client " + std::to_string(k));
  }
  void bounce() {
    for (int k = 0; k < kBatch; ++k) {
      shared_.ping.store(++line_, std::memory_order_release);
      while (shared_.pong.load(std::memory_order_acquire) != line_) {
      }
    }
  }
  void greet() {
    for (const std::string& name : names_) {
      const auto reply = greeter_.SayHello({.name = name}, taut::wait);
      if (!reply) bench::fail(reply.status());
      const std::string_view text(reply->text()->c_str(), reply->text()->size());
      if (text.size() != 7 + name.size() || !text.ends_with(name)) bench::fail("a wrong greeting");
    }
  }
  bench::OrderClient orders;
  bench::OtherSchemaClient other_schema;

 private:
  greeter::Greeter::Client greeter_;
  Shared& shared_;
  std::vector<std::string> names_;  // made before the rounds: to format a number costs as much as the call
  std::uint64_t line_ = 0;
};

struct Figures {
  std::vector<double> floor, order, other_schema, greeting, rate;
};

Figures measure(Shared& shared, const Setup& setup) {
  bench::pin(setup.cpu_client);
  while (!shared.ready.load(std::memory_order_acquire)) sched_yield();
  auto link = taut::connect(setup.url);
  if (!link) std::exit(taut::report(link.error()));
  Client client(*link, shared);
  Figures figures;
  for (int round = 0; round < setup.rounds + kWarmup; ++round) {
    const auto timed = [&](std::vector<double>& to, double per, auto&& run) {
      const auto begin = Steady::now();
      run();
      const double ns = std::chrono::duration<double, std::nano>(Steady::now() - begin).count();
      if (round >= kWarmup) to.push_back(ns / per);
    };
    timed(figures.order, kBatch, [&] { client.orders.place(kBatch); });
    timed(figures.other_schema, kBatch, [&] { client.other_schema.place(kBatch); });
    timed(figures.greeting, kBatch, [&] { client.greet(); });
    timed(figures.rate, static_cast<double>(kStream), [&] { client.orders.stream(kStream, kWindow); });
    client.orders.end_round(false);
    timed(figures.floor, kBatch, [&] { client.bounce(); });
  }
  client.orders.end_round(true);
  return figures;
}

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  setup.read(argc, argv);
  std::vector<double> floors, orders, other_schemas, greetings, rates;
  for (int pair = 0; pair < setup.pairs; ++pair) {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) return std::perror("mmap"), 1;
    auto& shared = *new (memory) Shared;
    const pid_t child = fork();
    if (child < 0) return std::perror("fork"), 1;
    if (child == 0) _exit(serve(shared, setup));
    const Figures figures = measure(shared, setup);
    waitpid(child, nullptr, 0);
    munmap(memory, sizeof(Shared));
    const double floor = bench::median(figures.floor);
    floors.push_back(floor);
    orders.push_back(bench::median(figures.order) / floor);
    other_schemas.push_back(bench::median(figures.other_schema) / floor);
    greetings.push_back(bench::median(figures.greeting) / floor);
    rates.push_back(1e3 / bench::median(figures.rate));
  }
  bench::print_head(setup);
  bench::print_row("floor", floors, "ns");
  bench::print_row("order entry, p50 / floor", orders, "");
  bench::print_row("order, another schema, p50 / floor", other_schemas, "");
  bench::print_row("greeting, p50 / floor", greetings, "");
  bench::print_row("order entries, window 64", rates, "M/s");
  return 0;
}
