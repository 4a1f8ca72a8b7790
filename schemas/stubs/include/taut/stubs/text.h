// Text in fixed arrays of bytes, as structs of a schema hold it: symbol:[ubyte:8].
//
//   orders.Place({.id = 1, .party = {taut::text("AAPL"), taut::text("ACME")}});
//   std::string_view symbol = taut::text(order.party()->symbol());
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "flatbuffers/flatbuffers.h"

namespace taut {

// Up to 32 characters, zeros behind them. Becomes an array of any length up to 32; what does not fit is cut.
class FixedText {
 public:
  explicit FixedText(std::string_view text) noexcept {
    std::memcpy(bytes_, text.data(), text.size() < kMax ? text.size() : kMax);
  }
  template <std::size_t kLength>
  operator flatbuffers::span<const std::uint8_t, kLength>() const noexcept {
    static_assert(kLength <= kMax);
    return flatbuffers::span<const std::uint8_t, kLength>(bytes_, kLength);
  }

 private:
  static constexpr std::size_t kMax = 32;
  std::uint8_t bytes_[kMax] = {};
};

[[nodiscard]] inline FixedText text(std::string_view text) noexcept { return FixedText(text); }

// The characters before the first zero. A view into the message.
template <std::uint16_t kLength>
[[nodiscard]] std::string_view text(const flatbuffers::Array<std::uint8_t, kLength>* array) noexcept {
  const auto* first = reinterpret_cast<const char*>(array->data());
  return {first, ::strnlen(first, kLength)};
}

}  // namespace taut
