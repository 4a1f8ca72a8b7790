// What stands behind a table's block: strings, vectors and nested tables. Three functions for each:
//
//   after_X   measures: where the next part begins. Adds up without overflow; kTooBig when a cap is broken.
//   put_X     stores the part at `end`, its distance at `field`, and answers where the next part begins.
//   check_X   compares: is the part exactly where put_X would have put it, and inside the message? Then where the next
//             one begins, else 0. Everything is compared with the position at which the part before it ended, so
//             that no byte is looked at twice and nothing outside [0, size) is read.
//
// `end` is a multiple of 4 everywhere. Bytes between parts and behind strings are zero.
#pragma once

#include "taut/stubs/items.h"
#include "taut/stubs/wire.h"

namespace taut {
template <class T>
struct Schema;
}

namespace taut::stubs {

inline constexpr std::uint32_t kNoCap = 0xffffffff;

// memcpy for the few bytes that most strings have, without a call.
inline void copy_bytes(std::byte* to, const void* from_, std::size_t bytes) noexcept {
  const auto* from = static_cast<const std::byte*>(from_);
  if (bytes > 16) {
    std::memcpy(to, from, bytes);
  } else if (bytes >= 8) {
    const auto first = get<std::uint64_t>(from);
    const auto last = get<std::uint64_t>(from + bytes - 8);
    put(to, first);
    put(to + bytes - 8, last);
  } else if (bytes >= 4) {
    const auto first = get<std::uint32_t>(from);
    const auto last = get<std::uint32_t>(from + bytes - 4);
    put(to, first);
    put(to + bytes - 4, last);
  } else if (bytes != 0) {
    const std::byte middle = from[bytes / 2], last = from[bytes - 1];
    to[0] = from[0];
    to[bytes / 2] = middle;
    to[bytes - 1] = last;
  }
}

// Zero bytes up to the next aligned part: 0, 4, 8 or 12 of them.
inline void put_gap(std::byte* message, std::uint32_t from, std::uint32_t to) noexcept {
  for (; from < to; from += 4) put<std::uint32_t>(message + from, 0);
}

// ---- strings: length, bytes, a zero, zeros up to a multiple of 4 ----

[[nodiscard]] inline std::uint64_t after_string(std::uint64_t end, std::string_view text,
                                                std::uint32_t max = kNoCap) noexcept {
  return text.size() > max ? kTooBig : end + 8 + (text.size() & ~std::uint64_t{3});
}

[[nodiscard]] inline std::uint32_t put_string(std::byte* message, std::uint32_t field, std::uint32_t end,
                                              std::string_view text) noexcept {
  const auto bytes = static_cast<std::uint32_t>(text.size());
  put<std::uint32_t>(message + end + 4 + (bytes & ~3u), 0);
  copy_bytes(message + end + 4, text.data(), bytes);
  put(message + end, bytes);
  put(message + field, end - field);
  return end + 8 + (bytes & ~3u);
}

[[nodiscard]] inline std::uint32_t check_string(const std::byte* message, std::uint32_t size, std::uint32_t field,
                                                std::uint32_t end, std::uint32_t max = kNoCap) noexcept {
  if (get<std::uint32_t>(message + field) != end - field || size - end < 8) return 0;
  const auto bytes = get<std::uint32_t>(message + end);
  const std::uint64_t next = std::uint64_t{end} + 8 + (bytes & ~3u);
  if (bytes > max || next > size || message[end + 4 + bytes] != std::byte{0}) return 0;
  return static_cast<std::uint32_t>(next);
}

// ---- vectors of scalars, enums and structs: the first element stands aligned, its length 4 before it ----

template <class T>
inline constexpr std::uint32_t kItemAlign = alignof(T) < 4 ? 4 : alignof(T);

template <class T>
[[nodiscard]] std::uint64_t after_items(std::uint64_t end, const Items<T>& items, std::uint32_t max = kNoCap) noexcept {
  if (items.size() > max) return kTooBig;
  return up(up(end + 4, kItemAlign<T>) + items.size() * sizeof(T), 4);
}

// The same without values: where `count` elements begin. What is between them and the next part is zeroed.
template <class T>
[[nodiscard]] std::uint32_t put_room(std::byte* message, std::uint32_t field, std::uint32_t end,
                                     std::uint32_t count) noexcept {
  const std::uint32_t first = up(end + 4, kItemAlign<T>);
  put_gap(message, end, first - 4);
  put(message + first - 4, count);
  put(message + field, first - 4 - field);
  const auto bytes = static_cast<std::uint32_t>(count * sizeof(T));
  if (bytes % 4 != 0) put<std::uint32_t>(message + first + (bytes & ~3u), 0);
  return first;
}

template <class T>
[[nodiscard]] std::uint32_t put_items(std::byte* message, std::uint32_t field, std::uint32_t end,
                                      const Items<T>& items) noexcept {
  const std::uint32_t first = put_room<T>(message, field, end, static_cast<std::uint32_t>(items.size()));
  const auto bytes = static_cast<std::uint32_t>(items.size() * sizeof(T));
  if (bytes != 0) std::memcpy(message + first, items.data(), bytes);
  return up(first + bytes, 4);
}

template <class T>
[[nodiscard]] std::uint32_t check_items(const std::byte* message, std::uint32_t size, std::uint32_t field,
                                        std::uint32_t end, std::uint32_t max = kNoCap) noexcept {
  const std::uint64_t first = up(std::uint64_t{end} + 4, kItemAlign<T>);
  if (first > size || get<std::uint32_t>(message + field) != first - 4 - field) return 0;
  const auto count = get<std::uint32_t>(message + first - 4);
  const std::uint64_t next = up(first + std::uint64_t{count} * sizeof(T), 4);
  return count > max || next > size ? 0 : static_cast<std::uint32_t>(next);
}

// Asks `good(const std::byte*)` about each element of a vector that passed check_items.
template <class T, class F>
[[nodiscard]] bool all_items(const std::byte* message, std::uint32_t field, F&& good) noexcept {
  const std::byte* at = message + field + get<std::uint32_t>(message + field);
  const auto count = get<std::uint32_t>(at);
  at += 4;
  for (std::uint32_t i = 0; i != count; ++i, at += sizeof(T)) {
    if (!good(at)) return false;
  }
  return true;
}

// ---- nested tables: the block at the next base, then what hangs below it ----

// A block's first byte of its own is 4 behind its base, and the base stands aligned.
template <class T>
[[nodiscard]] constexpr auto next_base(T end, std::uint32_t align) noexcept {
  return up(end - 4, align);
}

template <class T>
[[nodiscard]] std::uint64_t after_table(std::uint64_t end, const typename Schema<T>::Init& init) noexcept {
  return Schema<T>::measure(next_base(end, Schema<T>::kAlign) + Schema<T>::kBlock, init);
}

template <class T>
[[nodiscard]] std::uint32_t put_table(std::byte* message, std::uint32_t field, std::uint32_t end,
                                      const typename Schema<T>::Init& init) noexcept {
  const std::uint32_t base = next_base(end, Schema<T>::kAlign);
  put_gap(message, end, base + 4);
  put(message + field, base + Schema<T>::kTable - field);
  return Schema<T>::template store<Place::nested>(message, base, base + Schema<T>::kBlock, init);
}

template <class T>
[[nodiscard]] std::uint32_t check_table(const std::byte* message, std::uint32_t size, std::uint32_t field,
                                        std::uint32_t end) noexcept {
  const std::uint64_t base = next_base(std::uint64_t{end}, Schema<T>::kAlign);
  if (base + Schema<T>::kBlock > size || get<std::uint32_t>(message + field) != base + Schema<T>::kTable - field)
    return 0;
  const auto at = static_cast<std::uint32_t>(base);
  return Schema<T>::template compare<Place::nested>(message, size, at, at + Schema<T>::kBlock);
}

// ---- vectors of strings and of tables: the distances first, then each element in order ----

[[nodiscard]] inline std::uint64_t after_strings(std::uint64_t end, const Items<std::string_view>& items,
                                                 std::uint32_t max = kNoCap) noexcept {
  if (items.size() > max) return kTooBig;
  end += 4 + 4 * std::uint64_t{items.size()};
  for (std::size_t i = 0; i != items.size(); ++i) end = after_string(end, items[i]);
  return end;
}

[[nodiscard]] inline std::uint32_t put_strings(std::byte* message, std::uint32_t field, std::uint32_t end,
                                               const Items<std::string_view>& items) noexcept {
  const auto count = static_cast<std::uint32_t>(items.size());
  std::uint32_t slot = put_room<std::uint32_t>(message, field, end, count);
  end = slot + 4 * count;
  for (std::uint32_t i = 0; i != count; ++i, slot += 4) end = put_string(message, slot, end, items[i]);
  return end;
}

[[nodiscard]] inline std::uint32_t check_strings(const std::byte* message, std::uint32_t size, std::uint32_t field,
                                                 std::uint32_t end, std::uint32_t max = kNoCap) noexcept {
  std::uint32_t slot = end + 4;
  const std::uint32_t slots_end = end = check_items<std::uint32_t>(message, size, field, end, max);
  for (; end != 0 && slot != slots_end; slot += 4) end = check_string(message, size, slot, end);
  return end;
}

template <class T>
[[nodiscard]] std::uint64_t after_tables(std::uint64_t end, const Items<typename Schema<T>::Init>& items,
                                         std::uint32_t max = kNoCap) noexcept {
  if (items.size() > max) return kTooBig;
  end += 4 + 4 * std::uint64_t{items.size()};
  for (std::size_t i = 0; i != items.size(); ++i) end = after_table<T>(end, items[i]);
  return end;
}

template <class T>
[[nodiscard]] std::uint32_t put_tables(std::byte* message, std::uint32_t field, std::uint32_t end,
                                       const Items<typename Schema<T>::Init>& items) noexcept {
  const auto count = static_cast<std::uint32_t>(items.size());
  std::uint32_t slot = put_room<std::uint32_t>(message, field, end, count);
  end = slot + 4 * count;
  for (std::uint32_t i = 0; i != count; ++i, slot += 4) end = put_table<T>(message, slot, end, items[i]);
  return end;
}

template <class T>
[[nodiscard]] std::uint32_t check_tables(const std::byte* message, std::uint32_t size, std::uint32_t field,
                                         std::uint32_t end, std::uint32_t max = kNoCap) noexcept {
  std::uint32_t slot = end + 4;
  const std::uint32_t slots_end = end = check_items<std::uint32_t>(message, size, field, end, max);
  for (; end != 0 && slot != slots_end; slot += 4) end = check_table<T>(message, size, slot, end);
  return end;
}

// ---- absent parts and enums ----

// The part is not there: readers see null.
inline void put_absent(std::byte* base, std::uint32_t entry, std::uint32_t field) noexcept {
  put<std::uint16_t>(base + entry, 0);
  put<std::uint32_t>(base + field, 0);
}

[[nodiscard]] inline bool absent(const std::byte* base, std::uint32_t entry) noexcept {
  return get<std::uint16_t>(base + entry) == 0;
}

// 0 or where the field stands; `same` skipped the entry, so anything else is not ours.
[[nodiscard]] inline bool entry_is(const std::byte* base, std::uint32_t entry, std::uint16_t expected) noexcept {
  const auto value = get<std::uint16_t>(base + entry);
  return value == 0 || value == expected;
}

template <class T>
[[nodiscard]] inline bool in_range(const std::byte* at, T least, T most) noexcept {
  using U = std::make_unsigned_t<T>;
  return static_cast<U>(static_cast<U>(get<T>(at)) - static_cast<U>(least)) <=
         static_cast<U>(static_cast<U>(most) - static_cast<U>(least));
}

template <class T>
[[nodiscard]] inline bool in_mask(const std::byte* at, T mask) noexcept {
  return (get<T>(at) & static_cast<T>(~mask)) == 0;
}

template <class T>
[[nodiscard]] inline bool one_of(const std::byte* at, std::initializer_list<T> values) noexcept {
  const T value = get<T>(at);
  bool found = false;
  for (const T known : values) found |= value == known;
  return found;
}

}  // namespace taut::stubs
