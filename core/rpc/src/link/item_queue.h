// Items that arrived and that nobody has taken yet: what pull() keeps. Bounded by the credit that the sender was given.
//
// An item stands in one piece, so some room at the end of the buffer stays unused when it goes round: never more than
// the largest item less one step. With room for twice the credit, what the credit allows always fits.
//
// Threads  the dispatcher's. Memory  one buffer, made once.
#pragma once

#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>

#include "taut/memory/copy.h"
#include "taut/ring/record.h"
#include "taut/rpc/call.h"

namespace taut::rpc {

class ItemQueue {
 public:
  // Null: no memory.
  static std::unique_ptr<ItemQueue> create(std::uint32_t credit_bytes) noexcept {
    const std::size_t bytes = 2 * std::size_t{credit_bytes};
    AlignedBytes buffer(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{64}, std::nothrow)));
    if (buffer == nullptr) return nullptr;
    return std::unique_ptr<ItemQueue>(new (std::nothrow) ItemQueue(std::move(buffer), bytes));
  }

  [[nodiscard]] bool empty() const noexcept { return items_ == 0; }
  [[nodiscard]] std::size_t count() const noexcept { return items_; }
  [[nodiscard]] std::uint32_t credit_bytes() const noexcept { return static_cast<std::uint32_t>(capacity_ / 2); }

  // The caller has seen that the credit allows it.
  void push(std::span<const std::byte> payload) noexcept {
    const std::size_t bytes = step(payload.size());
    if (write_ + bytes > capacity_) {
      if (write_ + kHeader <= capacity_) put(write_, kWrap);
      write_ = 0;
    }
    put(write_, static_cast<std::uint32_t>(payload.size()));
    if (!payload.empty()) memory::opaque_copy(buffer_.get() + write_ + kHeader, payload.data(), payload.size());
    write_ += bytes;
    ++items_;
  }
  [[nodiscard]] std::optional<std::span<const std::byte>> front() noexcept {
    if (items_ == 0) return std::nullopt;
    if (read_ + kHeader > capacity_ || bytes_at(read_) == kWrap) read_ = 0;
    return std::span<const std::byte>(buffer_.get() + read_ + kHeader, bytes_at(read_));
  }
  // What front() showed is taken.
  void pop() noexcept {
    read_ += step(bytes_at(read_));
    --items_;
  }

 private:
  static constexpr std::size_t kHeader = 16;
  static constexpr std::uint32_t kWrap = ~std::uint32_t{0};
  static std::size_t step(std::size_t payload) noexcept { return kHeader + ((payload + 15) & ~std::size_t{15}); }

  ItemQueue(AlignedBytes buffer, std::size_t bytes) noexcept : buffer_(std::move(buffer)), capacity_(bytes) {}
  void put(std::size_t at, std::uint32_t bytes) noexcept { std::memcpy(buffer_.get() + at, &bytes, sizeof bytes); }
  [[nodiscard]] std::uint32_t bytes_at(std::size_t at) const noexcept {
    std::uint32_t bytes;
    std::memcpy(&bytes, buffer_.get() + at, sizeof bytes);
    return bytes;
  }

  AlignedBytes buffer_;
  std::size_t capacity_;
  std::size_t write_ = 0;
  std::size_t read_ = 0;
  std::size_t items_ = 0;
};

}  // namespace taut::rpc
