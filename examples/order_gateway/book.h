// An order book with price-time priority. Knows nothing of calls.
//
// B1  the best bid is below the best ask: whatever would cross has traded
// B2  at one price, who came first trades first
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>

namespace order_gateway {

class Book {
 public:
  enum class Side : std::uint8_t { buy, sell };
  struct Order {
    std::uint64_t id;
    std::int32_t price;
    std::uint32_t quantity;
    Side side;
  };
  struct Placed {
    std::uint32_t filled;
    std::uint32_t resting;
  };

  // Empty when the id was used before.
  std::optional<Placed> place(const Order& order) {
    if (!orders_.try_emplace(order.id, order.side, order.price).second) return std::nullopt;
    ++count_;
    placed_ += order.quantity;
    const std::uint32_t rest = order.side == Side::buy
                                   ? trade(order, asks_, [&](std::int32_t ask) { return ask <= order.price; })
                                   : trade(order, bids_, [&](std::int32_t bid) { return bid >= order.price; });
    if (rest != 0) {
      const Resting resting{order.id, rest};
      order.side == Side::buy ? bids_[order.price].push_back(resting) : asks_[order.price].push_back(resting);
      resting_ += rest;
    }
    return Placed{order.quantity - rest, rest};
  }

  // What was taken out of the book; empty when nothing of the order is in it.
  std::optional<std::uint32_t> cancel(std::uint64_t id) {
    const auto found = orders_.find(id);
    if (found == orders_.end()) return std::nullopt;
    const auto [side, price] = found->second;
    return side == Side::buy ? take_out(bids_, price, id) : take_out(asks_, price, id);
  }

  [[nodiscard]] std::optional<std::int32_t> best_bid() const { return best(bids_); }
  [[nodiscard]] std::optional<std::int32_t> best_ask() const { return best(asks_); }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t placed() const { return placed_; }
  [[nodiscard]] std::uint64_t traded() const { return traded_; }
  [[nodiscard]] std::uint64_t resting() const { return resting_; }
  [[nodiscard]] std::uint64_t cancelled() const { return cancelled_; }

 private:
  struct Resting {
    std::uint64_t id;
    std::uint32_t quantity;
  };
  using Level = std::deque<Resting>;  // oldest first: keeps B2

  // Trades against the other side as long as `crosses` its best price; returns what is left. Keeps B1.
  template <class Levels, class Crosses>
  std::uint32_t trade(const Order& order, Levels& levels, Crosses crosses) {
    std::uint32_t rest = order.quantity;
    while (rest != 0 && !levels.empty() && crosses(levels.begin()->first)) {
      Level& level = levels.begin()->second;
      Resting& oldest = level.front();
      const std::uint32_t now = std::min(rest, oldest.quantity);
      rest -= now;
      oldest.quantity -= now;
      traded_ += now;
      resting_ -= now;
      if (oldest.quantity == 0) level.pop_front();
      if (level.empty()) levels.erase(levels.begin());
    }
    return rest;
  }

  template <class Levels>
  std::optional<std::uint32_t> take_out(Levels& levels, std::int32_t price, std::uint64_t id) {
    const auto level = levels.find(price);
    if (level == levels.end()) return std::nullopt;
    const auto order =
        std::find_if(level->second.begin(), level->second.end(), [id](const Resting& o) { return o.id == id; });
    if (order == level->second.end()) return std::nullopt;  // traded in full, or cancelled before
    const std::uint32_t quantity = order->quantity;
    level->second.erase(order);
    if (level->second.empty()) levels.erase(level);
    resting_ -= quantity;
    cancelled_ += quantity;
    return quantity;
  }

  template <class Levels>
  static std::optional<std::int32_t> best(const Levels& levels) {
    return levels.empty() ? std::nullopt : std::optional(levels.begin()->first);
  }

  std::map<std::int32_t, Level, std::greater<>> bids_;
  std::map<std::int32_t, Level> asks_;
  std::unordered_map<std::uint64_t, std::pair<Side, std::int32_t>> orders_;  // every id that was ever used
  std::uint64_t count_ = 0, placed_ = 0, traded_ = 0, resting_ = 0, cancelled_ = 0;
};

}  // namespace order_gateway
