// What is generated for each table, and what every message can do with it: measure, write, check, root.
//
//   taut::Schema<desk::Order>   made by taut-gen from the table of that name:
//     Init                      the aggregate that callers fill in
//     kName                     desk.Order
//     kTable, kBlock, kAlign    the block of wire.h: where its table stands, its bytes, its alignment
//     kConstant                 nothing follows the block: every message has kBlock bytes
//     kComparable               compare() exists; not for tables that contain themselves
//     kBound                    most bytes of a message by the schema's caps; 0: the caps set no bound
//     measure, store, compare   see parts.h
//     shape()                   the table as data, see shape.h
//
// Threads  functions of their arguments.
// Memory   nothing allocates.
// Trust    check() takes any bytes. store() trusts its caller to have measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "flatbuffers/flatbuffers.h"
#include "taut/stubs/parts.h"
#include "taut/stubs/shape.h"

namespace taut {

template <class T>
struct Schema;

namespace stubs {

// Bytes of the message that write() makes of `init`; 0 when a view is longer than its cap or the message than 1 GiB.
template <class T>
[[nodiscard]] inline std::uint32_t size(const typename Schema<T>::Init& init) noexcept {
  if constexpr (Schema<T>::kConstant) {
    return Schema<T>::kBlock;
  } else {
    const std::uint64_t bytes = Schema<T>::measure(Schema<T>::kBlock, init);
    return bytes <= kMessageMax ? static_cast<std::uint32_t>(bytes) : 0;
  }
}

// Stores the message in one pass. There is room for size(init) bytes at `to`.
template <class T>
inline std::uint32_t write_measured(std::byte* to, const typename Schema<T>::Init& init) noexcept {
  return Schema<T>::template store<Place::root>(to, 0, Schema<T>::kBlock, init);
}

// The same for any room: bytes written, or 0 and nothing stored when they are too few.
template <class T>
[[nodiscard]] std::uint32_t write(std::span<std::byte> room, const typename Schema<T>::Init& init) noexcept {
  const std::uint32_t bytes = size<T>(init);
  if (bytes == 0 || bytes > room.size()) return 0;
  return write_measured<T>(room.data(), init);
}

// Another writer's layout, or no message at all. FlatBuffers' own verifier has the last word on structure.
template <class T>
[[nodiscard, gnu::noinline, gnu::cold]] bool check_any_layout(std::span<const std::byte> message,
                                                              Sentence* why = nullptr) noexcept {
  if (!conforms(message, Schema<T>::shape(), why)) return false;
  flatbuffers::Verifier::Options options;
  options.max_depth = kDepthMax;
  options.max_tables = static_cast<flatbuffers::uoffset_t>(128 * message.size() + 4096);
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(message.data()), message.size(), options);
  if (verifier.VerifyBuffer<T>(nullptr)) return true;
  if (why != nullptr) *why << "the message is not well formed";
  return false;
}

// Is this a T that handlers can read without looking back: structure, required fields, enums, caps? Messages in our own
// layout pass by comparison. `message` stands 16-aligned.
template <class T>
[[nodiscard]] inline bool check(std::span<const std::byte> message) noexcept {
  using S = Schema<T>;
  if constexpr (S::kComparable) {
    const auto size = static_cast<std::uint32_t>(message.size());
    if constexpr (S::kConstant) {
      if (message.size() == S::kBlock && S::template compare<Place::root>(message.data(), size, 0, S::kBlock) != 0)
          [[likely]] {
        return true;
      }
    } else {
      if (message.size() >= S::kBlock && message.size() <= kMessageMax &&
          S::template compare<Place::root>(message.data(), size, 0, S::kBlock) == size) [[likely]] {
        return true;
      }
    }
  }
  return check_any_layout<T>(message);
}

// Which field is wrong and why, after a check that failed.
template <class T>
[[gnu::noinline, gnu::cold]] void explain(std::span<const std::byte> message, Sentence& why) noexcept {
  (void)check_any_layout<T>(message, &why);
}

// The table inside a message that passed its check. Ours stands at a known place, but any other is as good.
template <class T>
[[nodiscard]] inline const T* root(std::span<const std::byte> message) noexcept {
  return flatbuffers::GetRoot<T>(message.data());
}

}  // namespace stubs
}  // namespace taut
