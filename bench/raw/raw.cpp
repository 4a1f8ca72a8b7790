// Question   does moving bytes by a method's id cost more than a generated stub?
// One op     an order entry of constant length over shm, default options, waited for, its reply checked: typed on both
//            sides; as bytes on both sides, the same bytes; and typed with an untyped gateway in the middle.
// Held still server and client pinned; one server process serves the typed desk and the untyped one under two names,
//            which are called in turn batch by batch over one thread; the gateway shares the server's processor, so its
//            row says what the way through costs and not what a third processor would make of it. A figure is the
//            median over the batches of a pair (means of 256), then over fresh pairs; ratios are within a pair.
//
// Run        raw_bench [--pairs 7] [--rounds 40] [--cpus 0,1]
#include "taut/raw.h"

#include <string>
#include <vector>

#include "../call/orders.h"
#include "../parts.h"

namespace {

using Steady = std::chrono::steady_clock;

constexpr int kBatch = 256;
constexpr int kWarmup = 10;
constexpr std::uint16_t kPlace = 1;
const std::string kUrl = "shm://raw-bench-" + std::to_string(getpid());

// Reads a number of the request and answers as many bytes as an Ack has.
class RawDesk final : public taut::raw::Service {
 public:
  RawDesk() : Service("raw.Desk", {{.name = "Place", .id = kPlace, .reply_bound = taut::Schema<desk::Ack>::kBlock}}) {}
  void call(std::uint16_t, taut::raw::Bytes request, taut::raw::Reply reply) override {
    std::uint64_t ack[taut::Schema<desk::Ack>::kBlock / 8] = {};
    std::memcpy(&ack[0], request.data(), sizeof ack[0]);
    reply.answer(std::as_bytes(std::span(ack)));
  }
};

class Gateway final : public taut::raw::Service {
 public:
  explicit Gateway(const taut::raw::Client& to) : Service(std::string(to.service()), to.methods()), to_(to) {}
  void call(std::uint16_t method, taut::raw::Bytes request, taut::raw::Reply reply) override {
    taut::raw::forward(to_, method, request, std::move(reply));
  }

 private:
  taut::raw::Client to_;
};

bench::Child start_desks(const bench::Arguments& setup) {
  return bench::Child([&](const auto& ready) {
    const taut::Signals stop{SIGTERM};
    bench::pin(setup.cpu_server);
    taut::Dispatcher loop;
    bench::OrderDesk desk(loop);
    RawDesk raw;
    auto listener = loop.serve(kUrl, desk, raw);
    if (!listener) return taut::report(listener.error());
    ready();
    loop.run_until(stop);
    return 0;
  });
}

bench::Child start_gateway(const bench::Arguments& setup) {
  return bench::Child([&](const auto& ready) {
    const taut::Signals stop{SIGTERM};
    bench::pin(setup.cpu_server);
    taut::Dispatcher loop;
    auto link = loop.connect(kUrl);
    if (!link) return taut::report(link.error());
    Gateway gateway(taut::raw::Client{*link, "desk.Orders"});
    auto listener = loop.serve(kUrl + "-gateway", gateway);
    if (!listener) return taut::report(listener.error());
    ready();
    loop.run_until(stop);
    return 0;
  });
}

void place_raw(taut::raw::Client& client, int calls) {
  std::uint64_t order[taut::Schema<desk::Order>::kBlock / 8] = {};
  for (int k = 0; k < calls; ++k) {
    ++order[0];
    const auto answer = client.wait(kPlace, std::as_bytes(std::span(order)));
    if (!answer) bench::fail(answer.status());
    std::uint64_t number;
    std::memcpy(&number, answer.bytes().data(), sizeof number);
    if (answer.bytes().size() != taut::Schema<desk::Ack>::kBlock || number != order[0]) bench::fail("a wrong reply");
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::Arguments setup{7, 40};
  setup.read(argc, argv);
  std::vector<double> typed_ns, raw_ratios, gateway_ratios;
  for (int pair = 0; pair < setup.pairs; ++pair) {
    const bench::Child desks = start_desks(setup);
    const bench::Child gateway = start_gateway(setup);
    bench::pin(setup.cpu_client);
    auto link = taut::connect(kUrl);
    if (!link) return taut::report(link.error());
    auto through = taut::connect(kUrl + "-gateway");
    if (!through) return taut::report(through.error());
    bench::OrderClient typed(*link), far(*through);
    taut::raw::Client raw{*link, "raw.Desk"};
    std::vector<double> typed_rounds, raw_rounds, gateway_rounds;
    for (int round = 0; round < setup.rounds + kWarmup; ++round) {
      const auto timed = [&](std::vector<double>& to, auto&& run) {
        run(64);  // the server may have gone to sleep
        const auto begin = Steady::now();
        run(kBatch);
        const double ns = std::chrono::duration<double, std::nano>(Steady::now() - begin).count();
        if (round >= kWarmup) to.push_back(ns / kBatch);
      };
      timed(typed_rounds, [&](int calls) { typed.place(calls); });
      timed(raw_rounds, [&](int calls) { place_raw(raw, calls); });
      timed(gateway_rounds, [&](int calls) { far.place(calls); });
    }
    const double base = bench::median(typed_rounds);
    typed_ns.push_back(base);
    raw_ratios.push_back(bench::median(raw_rounds) / base);
    gateway_ratios.push_back(bench::median(gateway_rounds) / base);
  }
  bench::print_head(setup);
  bench::print_row("typed order entry, p50", typed_ns, "ns");
  bench::print_row("raw call, p50 / typed", raw_ratios, "");
  bench::print_row("typed through a raw gateway, p50 / typed", gateway_ratios, "");
  return 0;
}
