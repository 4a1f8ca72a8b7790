// Writing a message field by field into claimed room, when the values do not stand in an init struct: the base of the
// generated Setters. Vectors answer a span inside the message that the caller fills.
//
// Running out of room is remembered: later setters do nothing, spans are empty, and finish() answers 0.
#pragma once

#include <span>

#include "taut/stubs/schema.h"

namespace taut::stubs {

class SettersBase {
 public:
  // False as soon as something did not fit.
  [[nodiscard]] bool fits() const noexcept { return fits_; }

 protected:
  SettersBase(std::byte* message, std::uint32_t room, std::uint32_t block) noexcept
      : message_(message), room_(room), end_(block), fits_(message != nullptr && room >= block) {}

  [[nodiscard]] std::byte* message() const noexcept { return message_; }
  [[nodiscard]] std::uint32_t bytes() const noexcept { return fits_ ? end_ : 0; }

  template <class V>
  void set(std::uint32_t field, const V& value) noexcept {
    if (fits_) put(message_ + field, value);
  }
  // The vtable says from now on that the field stands at `at`.
  void present(std::uint32_t entry, std::uint16_t at) noexcept {
    if (fits_) put(message_ + entry, at);
  }
  [[nodiscard]] bool is_present(std::uint32_t entry) const noexcept {
    return fits_ && get<std::uint16_t>(message_ + entry) != 0;
  }

  // Room for `count` elements, to be filled. Set twice, the first ones stay as unused bytes.
  template <class V>
  [[nodiscard]] std::span<V> items(std::uint32_t field, std::size_t count, std::uint32_t max = kNoCap) noexcept {
    if (count > max) fits_ = false;
    const std::uint64_t first = up(std::uint64_t{end_} + 4, kItemAlign<V>);
    const std::uint64_t next = up(first + std::uint64_t{count} * sizeof(V), 4);
    if (!grow(next)) return {};
    (void)put_room<V>(message_, field, previous_, static_cast<std::uint32_t>(count));
    return {reinterpret_cast<V*>(message_ + first), count};
  }

  // Runs `put(end)` when what it will write ends at or before `next`.
  template <class F>
  void append(std::uint64_t next, F&& put) noexcept {
    if (grow(next)) (void)put(previous_);
  }
  [[nodiscard]] std::uint32_t end() const noexcept { return end_; }

 private:
  bool grow(std::uint64_t next) noexcept {
    fits_ = fits_ && next <= room_;
    previous_ = end_;
    if (fits_) end_ = static_cast<std::uint32_t>(next);
    return fits_;
  }

  std::byte* message_;
  std::uint32_t room_;
  std::uint32_t end_;
  std::uint32_t previous_ = 0;
  bool fits_;
};

}  // namespace taut::stubs
