#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <span>
#include <sstream>
#include <vector>

#include "demo_parts.h"
#include "schema.h"
#include "taut/base/clock.h"
#include "taut/taut.h"

namespace taut::tool {
namespace {

constexpr std::uint64_t kWarmUpRounds = 40;

// Who trades what: four of them in turn. Made once, since making fixed texts is no part of a call.
const std::array<desk::Party, 4>& parties() noexcept {
  static const std::array<desk::Party, 4> list{desk::Party(text("AAPL"), text("ACME")),
                                               {text("MSFT"), text("ZETA")},
                                               {text("NVDA"), text("ACME")},
                                               {text("AMZN"), text("ZETA")}};
  return list;
}

template <std::size_t kBytes>
void put_text(char (&to)[kBytes], std::string_view text) noexcept {
  const std::size_t bytes = std::min(text.size(), kBytes - 1);
  std::memcpy(to, text.data(), bytes);
  to[bytes] = '\0';
}

desk::OrderInit order_of(std::uint64_t id, const std::array<desk::Party, 4>& parties) noexcept {
  return {.id = id,
          .price = 10'000 + static_cast<std::int32_t>(id % 1009),
          .quantity = 1 + static_cast<std::uint32_t>(id % 499),
          .side = id % 2 != 0 ? desk::Side::buy : desk::Side::sell,
          .party = parties[id % 4]};
}

Expected ack_of(const desk::OrderInit& order) noexcept {
  std::uint64_t symbol;
  std::uint32_t client;
  std::memcpy(&symbol, order.party.symbol()->data(), sizeof symbol);
  std::memcpy(&client, order.party.client()->data(), sizeof client);
  return expected_ack(order.id, order.price, order.quantity, order.side, symbol, client);
}

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}
Spread spread(std::vector<double>& values) {
  return {quantile(values, 0.1), quantile(values, 0.5), quantile(values, 0.9)};
}

// The usual least difference between two readings that differ. Not the very least: a counter that is corrected under
// way takes an odd step now and then.
double counter_step_ns(const Clock& clock) {
  std::vector<double> steps;
  steps.reserve(10'000);
  Ticks before = clock.now();
  for (int i = 0; i < 10'000; ++i) {
    const Ticks now = clock.now();
    if (now != before) steps.push_back(static_cast<double>(now - before) / clock.ticks_per_ns());
    before = now;
  }
  return quantile(steps, 0.1);
}

class DemoClient {
 public:
  DemoClient(DemoShared& shared, Link& link) : shared_(shared), orders_(link), clock_(Clock::system()) {
    const std::uint64_t rounds = shared.calls / kBatch + 2;
    floor_.reserve(rounds);
    batch_.reserve(rounds);
    ratio_.reserve(rounds);
    single_.reserve(shared.calls / 2 + kBatch);
  }

  Result<void> show_one() {
    auto schema = Schema::of(desk::Orders::description().schema, "the schema of Orders");
    if (!schema) return schema.error();
    const desk::OrderInit order = order_of(next_, parties_);
    const Message<desk::Order> request(order);
    auto request_json = schema->json("desk.Order", request.bytes());
    if (!request_json) return request_json.error();
    put_text(shared_.results.request, *request_json);
    auto ack = orders_.Place(order, wait);
    check(order, ack);
    if (!ack) return {};
    auto reply_json = schema->json("desk.Ack", keep(*ack).bytes());
    if (!reply_json) return reply_json.error();
    put_text(shared_.results.reply, *reply_json);
    return {};
  }

  // Rounds of calls and of the floor, one after the other; every other round of calls is stamped call by call.
  void run() {
    for (std::uint64_t round = 0; calls_ < shared_.calls; ++round) {
      const bool counts = round >= kWarmUpRounds || shared_.calls < 4 * kWarmUpRounds * kBatch;
      const auto batch = std::min<std::uint64_t>(kBatch, shared_.calls - calls_);
      if (round % 2 == 1) {
        stamped(batch, counts);
        continue;
      }
      const double call_ns = plain(batch);
      if (!orders_.Cancel({.id = round + 1}, wait)) {
        error("the end of a round was not answered");
        return;
      }
      const double floor_ns = bounce();
      if (!counts || batch < kBatch / 4) continue;
      batch_.push_back(call_ns);
      floor_.push_back(floor_ns);
      ratio_.push_back(call_ns / floor_ns);
    }
    if (!orders_.Cancel({.id = 0}, wait)) error("the end of the demo was not answered");
  }

  void finish() {
    DemoResults& results = shared_.results;
    results.calls = calls_;
    results.errors = errors_;
    results.rounds = ratio_.size();
    results.floor_ns = spread(floor_);
    results.call_ns = spread(batch_);
    results.ratio = spread(ratio_);
    results.call_p99_ns = quantile(single_, 0.99);
    results.call_p999_ns = quantile(single_, 0.999);
    results.call_max_ns = quantile(single_, 1);
    results.counter_step_ns = counter_step_ns(clock_);
    results.done = true;
  }

 private:
  double plain(std::uint64_t batch) {
    const Ticks begin = clock_.now();
    for (std::uint64_t k = 0; k != batch; ++k) call();
    return ns(clock_.now() - begin) / static_cast<double>(batch);
  }
  void stamped(std::uint64_t batch, bool counts) {
    for (std::uint64_t k = 0; k != batch; ++k) {
      const Ticks begin = clock_.now();
      call();
      if (const Ticks took = clock_.now() - begin; counts) single_.push_back(ns(took));
    }
  }
  double bounce() noexcept {
    const Ticks begin = clock_.now();
    for (int k = 0; k < kBatch; ++k) {
      // sync(demo-floor)
      shared_.ping.value.store(++bounces_, std::memory_order_release);
      await_line(shared_.pong, bounces_, shared_.yields);
    }
    return ns(clock_.now() - begin) / kBatch;
  }

  void call() {
    const desk::OrderInit order = order_of(next_, parties_);
    const auto ack = orders_.Place(order, wait);
    check(order, ack);
  }
  void check(const desk::OrderInit& order, const Answer<desk::Ack>& ack) {
    ++next_;
    ++calls_;
    if (!ack) [[unlikely]] {
      std::ostringstream text;
      text << ack.status();
      return error(text.str());
    }
    const Expected expected = ack_of(order);
    if (ack->id() != order.id || ack->desk_id() != expected.desk_id || ack->open() != expected.open) [[unlikely]] {
      error("the reply to order " + std::to_string(order.id) + " holds other values than its fields make");
    }
  }
  [[gnu::cold]] void error(const std::string& text) {
    if (errors_++ == 0) put_text(shared_.results.first_error, text);
  }
  [[nodiscard]] double ns(Ticks ticks) const noexcept { return static_cast<double>(ticks) / clock_.ticks_per_ns(); }

  DemoShared& shared_;
  desk::Orders::Client orders_;
  Clock clock_;
  const std::array<desk::Party, 4>& parties_ = parties();
  std::uint64_t next_ = 1;
  std::uint64_t calls_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t bounces_ = 0;
  std::vector<double> floor_, batch_, ratio_, single_;
};

}  // namespace

int demo_client(DemoShared& shared, int cpu) {
  pin_to(cpu);
  // sync(demo-ready)
  while (!shared.server_ready.load(std::memory_order_acquire)) sched_yield();
  auto link = connect(kDemoUrl);
  if (!link) return report(link.error());
  DemoClient client(shared, *link);
  if (auto shown = client.show_one(); !shown) return report(shown.error());
  client.run();
  client.finish();
  return 0;
}

}  // namespace taut::tool
