// Two order desks in one thread: `inner` holds what it is sent until a test lets it go, `outer` asks it by a coroutine.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "greeter.taut.h"
#include "orders.taut.h"
#include "taut/testing.h"

namespace taut::testing {

// Answers at once, or holds the reply of each order whose quantity is 0.
struct Inner final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    placed.push_back(order.id());
    if (order.quantity() == 0) return held.push_back(std::move(reply));
    if (order.price() < 0) return reply.refuse(Code::out_of_range, "a price below zero");
    reply.send({.id = order.id(), .desk_id = order.id() + 1000, .open = order.quantity()});
  }
  void Snapshot(const desk::Book& book, Reply<desk::BookAck> reply) override {
    note = book.note() != nullptr ? book.note()->str() : "(none)";
    reply.send({.seq = book.seq(),
                .levels = book.bids()->size(),
                .best_bid = book.bids()->size() != 0 ? book.bids()->Get(0)->price() : 0});
  }
  void let_go() {
    for (auto& reply : std::exchange(held, {})) reply.send({.desk_id = 7});
  }
  std::vector<std::uint64_t> placed;
  std::vector<Reply<desk::Ack>> held;
  std::string note;
};

// In the frame of a coroutine: says whether it is there.
class Guest {
 public:
  explicit Guest(int* count) noexcept : count_(count) { ++*count_; }
  Guest(Guest&& other) noexcept : count_(other.count_) { ++*count_; }
  Guest& operator=(Guest&&) = delete;
  [[nodiscard]] Guest again() const noexcept { return Guest(count_); }
  ~Guest() { --*count_; }

 private:
  int* count_;
};

struct Desks : ::testing::Test {
  Inner inner;
  std::optional<Wire> wire{std::in_place};
  std::optional<Link> link{wire->connect(inner)};
  std::optional<desk::Orders::Client> orders{std::in_place, *link};
  int guests = 0;  // frames that are there
  ~Desks() override {
    inner.held.clear();
    orders.reset();
    link.reset();
    wire.reset();
    EXPECT_EQ(guests, 0) << "a frame was not destroyed";
  }
};

}  // namespace taut::testing
