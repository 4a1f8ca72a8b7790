// How generated code stores and compares bytes of FlatBuffers messages. Plain functions over byte pointers; nothing
// here knows a schema, and no pointer needs to be aligned.
//
// A table that this library writes always has the same shape, its block:
//
//   base +0   4   root offset when the table is the message's root; before nested tables somebody else's bytes
//        +4       vtable: its bytes, the table's bytes, one entry per field
//        ...      up to 7 zero bytes, so that the fields stand aligned
//   table +0  4   distance back to the vtable
//        +4       the fields
//
// Everything up to the fields is constant: the image. Strings, vectors and nested tables follow the block in the order
// of the fields, each exactly where the one before it ended. So a reader can compare instead of verify.
//
// Positions are counted from the message's first byte, which stands 16-aligned.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <utility>

namespace taut::stubs {

// No message is larger, so sums of positions stay far from overflow. FlatBuffers ends at 2 GiB.
inline constexpr std::uint64_t kMessageMax = std::uint64_t{1} << 30;
// What measure() answers when a view is longer than its cap.
inline constexpr std::uint64_t kTooBig = std::uint64_t{1} << 60;

template <class T>
[[nodiscard]] inline T get(const std::byte* at) noexcept {
  static_assert(std::is_trivially_copyable_v<T> &&
                !std::is_same_v<T, bool>);  // a bool that is neither 0 nor 1 is undefined
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
inline void put(std::byte* at, const T& value) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(at, &value, sizeof value);
}

// Rounds up to a power of two.
template <class T>
[[nodiscard]] constexpr T up(T position, std::uint32_t align) noexcept {
  return (position + (align - 1)) & ~static_cast<T>(align - 1);
}

// ---- the constant part of a block ----

// Where a vtable says a field stands: bytes behind the table's start, 0 when the schema has no such field any more.
struct Entry {
  constexpr Entry(int bytes_behind) noexcept : at(static_cast<std::uint16_t>(bytes_behind)) {}
  std::uint16_t at;
  bool may_be_zero = false;
};
// An entry that is 0 when its field is absent, so comparing skips it.
consteval Entry maybe(int bytes_behind) {
  Entry entry(bytes_behind);
  entry.may_be_zero = true;
  return entry;
}

// The first kBytes of a block as 64-bit words, and which of their bits are the same in every message.
template <std::uint32_t kBytes>
struct Image {
  static_assert(kBytes % 4 == 0);
  static constexpr std::uint32_t kWords = (kBytes + 7) / 8;
  std::array<std::uint64_t, kWords> words{};
  std::array<std::uint64_t, kWords> fixed{};
};

// The image of a table of `table_bytes` that starts kTable bytes behind its base.
template <std::uint32_t kTable>
consteval Image<kTable + 4> image(std::uint32_t table_bytes, std::initializer_list<Entry> entries) {
  Image<kTable + 4> result;
  const auto set = [&result](std::uint32_t at, std::uint64_t value, std::uint32_t bytes, bool fixed) {
    for (std::uint32_t i = 0; i != bytes; ++i) {
      const std::uint32_t shift = (at + i) % 8 * 8;
      result.words[(at + i) / 8] |= (value >> (8 * i) & 0xff) << shift;
      if (fixed) result.fixed[(at + i) / 8] |= std::uint64_t{0xff} << shift;
    }
  };
  for (std::uint32_t at = 0; at != kTable + 4; ++at) set(at, 0, 1, true);
  set(0, kTable, 4, true);
  set(4, 4 + 2 * entries.size(), 2, true);
  set(6, table_bytes, 2, true);
  std::uint32_t at = 8;
  for (const Entry& entry : entries) {
    set(at, entry.at, 2, true);
    if (entry.may_be_zero) result.fixed[at / 8] &= ~(std::uint64_t{0xffff} << at % 8 * 8);
    at += 2;
  }
  set(kTable, kTable - 4, 4, true);
  return result;
}

enum class Place : bool { root, nested };

// Is the block at `base` of our shape, but for fields that may be absent? Reads kBytes. Compiles to a compare per word.
template <Place place, std::uint32_t kBytes>
[[nodiscard, gnu::always_inline]] inline bool same(const std::byte* base, const Image<kBytes>& image) noexcept {
  const auto same_word = [&]<std::size_t i>(std::integral_constant<std::size_t, i>) {
    std::uint64_t fixed = image.fixed[i];
    if (place == Place::nested && i == 0) fixed &= ~std::uint64_t{0xffffffff};
    if constexpr (8 * (i + 1) <= kBytes) {
      return ((get<std::uint64_t>(base + 8 * i) ^ image.words[i]) & fixed) == 0;
    } else {
      return ((get<std::uint32_t>(base + 8 * i) ^ image.words[i]) & fixed) == 0;
    }
  };
  return [&]<std::size_t... i>(std::index_sequence<i...>) {
    return (same_word(std::integral_constant<std::size_t, i>{}) && ...);
  }
  (std::make_index_sequence<Image<kBytes>::kWords>{});
}

template <Place place, std::uint32_t kBytes>
[[gnu::always_inline]] inline void put_image(std::byte* base, const Image<kBytes>& image) noexcept {
  constexpr std::uint32_t from = place == Place::root ? 0 : 4;
  std::memcpy(base + from, reinterpret_cast<const std::byte*>(image.words.data()) + from, kBytes - from);
}

}  // namespace taut::stubs
