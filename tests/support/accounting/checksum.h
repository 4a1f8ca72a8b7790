// A number over all fields of a request, computed by the client of what it meant and by the server of what it read.
#pragma once

#include <cstdint>
#include <string_view>

#include "orders.taut.h"

namespace taut::testing {

class Checksum {
 public:
  Checksum& add(std::uint64_t value) noexcept {
    value_ = (value_ ^ value) * 0x9e3779b97f4a7c15u;
    value_ ^= value_ >> 29;
    return *this;
  }
  Checksum& add(std::string_view text) noexcept {
    for (const char c : text) add(static_cast<unsigned char>(c));
    return add(text.size());
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

 private:
  std::uint64_t value_ = 0x243f6a8885a308d3u;
};

inline std::uint64_t checksum(const desk::Order& order) noexcept {
  Checksum sum;
  sum.add(order.id()).add(static_cast<std::uint32_t>(order.price())).add(order.quantity());
  sum.add(static_cast<std::uint64_t>(order.side()));
  for (const std::uint8_t c : *order.party()->symbol()) sum.add(c);
  for (const std::uint8_t c : *order.party()->client()) sum.add(c);
  return sum.value();
}

inline std::uint64_t checksum(const desk::Cancel& cancel) noexcept { return Checksum().add(cancel.id()).value(); }

inline std::uint64_t checksum(const desk::Book& book) noexcept {
  Checksum sum;
  sum.add(book.seq());
  for (const auto* side : {book.bids(), book.asks()}) {
    sum.add(side == nullptr ? 0 : side->size());
    if (side == nullptr) continue;
    for (const desk::Level* level : *side) sum.add(static_cast<std::uint32_t>(level->price())).add(level->quantity());
  }
  if (book.note() != nullptr) sum.add(std::string_view(book.note()->c_str(), book.note()->size()));
  return sum.value();
}

}  // namespace taut::testing
