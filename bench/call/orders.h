// The measured call: an order entry of constant length through generated stubs, with values that change each call, a
// reply computed from all fields, and a check of it. What call_bench and the ladder's last row run.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "orders.taut.h"
#include "taut/taut.h"

namespace bench {

inline std::uint64_t answer_to(std::uint64_t id, std::int32_t price, std::uint32_t quantity, desk::Side side,
                               const desk::Party& party) {
  std::uint64_t symbol;
  std::uint32_t client;
  std::memcpy(&symbol, party.symbol()->data(), sizeof symbol);
  std::memcpy(&client, party.client()->data(), sizeof client);
  return id * 31 + static_cast<std::uint32_t>(price) * 7 + quantity * 3 + static_cast<std::uint64_t>(side) + symbol +
         client;
}

class OrderDesk final : public desk::Orders::Service {
 public:
  explicit OrderDesk(taut::rpc::Dispatcher& loop) : loop_(loop) {}
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    reply.send({.id = order.id(),
                .desk_id = answer_to(order.id(), order.price(), order.quantity(), order.side(), *order.party()),
                .open = order.quantity()});
  }
  // Stops the dispatcher: with the id 0 for good.
  void Cancel(const desk::Cancel& cancel, taut::Reply<desk::Ack> reply) override {
    over = cancel.id() == 0;
    reply.send({.id = cancel.id()});
    loop_.stop();
  }
  bool over = false;

 private:
  taut::rpc::Dispatcher& loop_;
};

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}
[[noreturn]] inline void fail(const taut::Status& status) {
  taut::report(status);
  std::exit(1);
}

class OrderClient {
 public:
  explicit OrderClient(taut::Link& link) : link_(link), orders_{link} {}

  // One at a time, each waited for.
  void place(int calls) {
    for (int k = 0; k < calls; ++k) {
      const auto order = next_order();
      const auto ack = orders_.Place(order, taut::wait);
      if (!ack) fail(ack.status());
      if (ack->desk_id() != answer_to(order) || ack->id() != order.id) fail("a wrong reply");
    }
  }
  // `window` in flight, each answer followed by the next order.
  void stream(std::uint64_t calls, std::uint64_t window) {
    sent_ = done_ = 0;
    calls_ = calls;
    while (sent_ < window) place_one();
    while (done_ < calls_) link_.poll();
  }
  void end_round(bool last) {
    if (auto ack = orders_.Cancel({.id = last ? 0u : 1u}, taut::wait); !ack) fail(ack.status());
  }

 private:
  desk::OrderInit next_order() {
    const std::uint64_t n = ++count_;
    std::array<std::uint8_t, 8> symbol;
    std::array<std::uint8_t, 4> client{1, 2, 3, static_cast<std::uint8_t>(n)};
    std::memcpy(symbol.data(), &n, sizeof n);
    party_ =
        desk::Party(flatbuffers::span<const std::uint8_t, 8>(symbol), flatbuffers::span<const std::uint8_t, 4>(client));
    return {.id = n,
            .price = static_cast<std::int32_t>(n * 3),
            .quantity = static_cast<std::uint32_t>(n) & 1023,
            .side = (n & 1) != 0 ? desk::Side::sell : desk::Side::buy,
            .party = party_};
  }
  [[nodiscard]] std::uint64_t answer_to(const desk::OrderInit& order) const {
    return bench::answer_to(order.id, order.price, order.quantity, order.side, party_);
  }
  void place_one() {
    const auto order = next_order();
    ++sent_;
    orders_.Place(order).then([this, expected = answer_to(order)](const taut::Answer<desk::Ack>& ack) {
      if (!ack) fail(ack.status());
      if (ack->desk_id() != expected) fail("a wrong reply");
      ++done_;
      if (sent_ < calls_) place_one();
    });
  }

  taut::Link& link_;
  desk::Orders::Client orders_;
  desk::Party party_;
  std::uint64_t count_ = 0, sent_ = 0, done_ = 0, calls_ = 0;
};

}  // namespace bench
