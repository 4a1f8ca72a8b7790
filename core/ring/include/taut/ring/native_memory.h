// The memory policy that ships: words are atomic integers in mapped segments, records are bytes.
//
// A word is header in one lap and payload in the next, so heads are not objects of an atomic type: they are plain
// memory that is accessed through std::atomic_ref while it is a head.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "taut/ring/order.h"
#include "taut/ring/record.h"

namespace taut::ring {

using SharedWord = std::atomic<u64>;
static_assert(SharedWord::is_always_lock_free && sizeof(SharedWord) == 8);
static_assert(std::atomic_ref<u64>::is_always_lock_free);

namespace detail {

constexpr std::memory_order native(Order order) noexcept {
  switch (order) {
    case Order::relaxed:
      return std::memory_order_relaxed;
    case Order::acquire:
      return std::memory_order_acquire;
    case Order::release:
      return std::memory_order_release;
    case Order::seq_cst:
      return std::memory_order_seq_cst;
  }
  return std::memory_order_seq_cst;
}

}  // namespace detail

class NativeWriterMemory {
 public:
  NativeWriterMemory(std::byte* ring, SharedWord* touched, const SharedWord* released) noexcept
      : ring_(ring), touched_(touched), released_(released) {}

  void store_head(u32 at, u64 word, Order order) noexcept {
    std::atomic_ref(*reinterpret_cast<u64*>(ring_ + at)).store(word, detail::native(order));
  }
  [[nodiscard]] u64 load_released(Order order) const noexcept { return released_->load(detail::native(order)); }
  void store_touched(u64 position, Order order) noexcept { touched_->store(position, detail::native(order)); }
  void fence(Order order) noexcept { std::atomic_thread_fence(detail::native(order)); }

  // The bytes of a claimed record. The first eight are its head word: never write them.
  [[nodiscard]] std::byte* bytes(u32 at) const noexcept { return ring_ + at; }

 private:
  std::byte* ring_;
  SharedWord* touched_;
  const SharedWord* released_;
};

// Where one record's head will appear, for who only wants to know whether it is there.
class HeadWord {
 public:
  explicit HeadWord(const std::byte* head) noexcept : head_(head) {}
  [[nodiscard]] bool is_set() const noexcept {
    auto* word = const_cast<u64*>(reinterpret_cast<const u64*>(head_));
    // Relaxed: who wants the record loads its head again, with acquire.
    return std::atomic_ref(*word).load(std::memory_order_relaxed) != 0;
  }
  void prefetch() const noexcept { __builtin_prefetch(head_); }

 private:
  const std::byte* head_;
};

class NativeReaderMemory {
 public:
  NativeReaderMemory(const std::byte* ring, SharedWord* released) noexcept : ring_(ring), released_(released) {}

  [[nodiscard]] u64 load_head(u32 at, Order order) const noexcept {
    // atomic_ref<const T> is not in C++20; the memory may be mapped read-only and is only read here.
    auto* word = const_cast<u64*>(reinterpret_cast<const u64*>(ring_ + at));
    return std::atomic_ref(*word).load(detail::native(order));
  }
  void store_released(u64 position, Order order) noexcept { released_->store(position, detail::native(order)); }

  void prefetch(u32 at) const noexcept { __builtin_prefetch(ring_ + at); }

  // The bytes of a record that next() found, until it is released. The other process may change them at any time.
  [[nodiscard]] const std::byte* bytes(u32 at) const noexcept { return ring_ + at; }

 private:
  const std::byte* ring_;
  SharedWord* released_;
};

// For an observer (observer.h): everything is only read, and may change at any time.
class NativeObserverMemory {
 public:
  NativeObserverMemory(const std::byte* ring, const SharedWord* touched, const SharedWord* released) noexcept
      : ring_(ring), touched_(touched), released_(released) {}

  [[nodiscard]] u64 load_head(u32 at, Order order) const noexcept { return load_word(at, order); }
  // Word by word, each loaded once: a copy that is torn is at least torn between words.
  void copy(std::byte* to, u32 at, u32 bytes) const noexcept {
    for (u32 done = 0; done < bytes; done += sizeof(u64)) {
      const u64 word = load_word(at + done, Order::relaxed);
      std::memcpy(to + done, &word, std::min<u32>(sizeof word, bytes - done));
    }
  }
  [[nodiscard]] u64 load_released(Order order) const noexcept { return released_->load(detail::native(order)); }
  [[nodiscard]] u64 load_touched(Order order) const noexcept { return touched_->load(detail::native(order)); }
  void fence(Order order) const noexcept { std::atomic_thread_fence(detail::native(order)); }

 private:
  [[nodiscard]] u64 load_word(u32 at, Order order) const noexcept {
    auto* word = const_cast<u64*>(reinterpret_cast<const u64*>(ring_ + at));
    return std::atomic_ref(*word).load(detail::native(order));
  }
  const std::byte* ring_;
  const SharedWord* touched_;
  const SharedWord* released_;
};

}  // namespace taut::ring
