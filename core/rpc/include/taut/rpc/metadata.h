// Small pairs of text that travel beside a call: who is asking, for which tenant, with which token. For what every call
// of a method has, a field of its request is the better place. docs/tracing.md.
//
// Bounds   16 pairs; 1 KiB with 4 bytes for each pair and 4 more. Keys: 1 to 64 of a-z 0-9 - _ . and no key twice.
//          Values: any bytes.
// Threads  a value.
// Memory   never allocates: a Metadata holds its bytes as they travel, so one that is made once and used for many calls
//          costs each of them a copy of those bytes and nothing else.
// Trust    a MetadataView of a received call was checked when the call came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "taut/rpc/trace_context.h"

namespace taut {

// The pairs of a received call, in the order in which they were added. Valid until the call is answered.
class MetadataView {
 public:
  struct Pair {
    std::string_view key;
    std::string_view value;
  };
  class Iterator {
   public:
    explicit Iterator(const std::byte* at) noexcept : at_(at) {}
    Pair operator*() const noexcept;
    Iterator& operator++() noexcept;
    bool operator==(const Iterator&) const = default;

   private:
    const std::byte* at_;
  };

  MetadataView() noexcept = default;
  // A block that was checked (docs/wire-format.md, metadata).
  explicit MetadataView(std::span<const std::byte> block) noexcept : block_(block) {}

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const noexcept;
  [[nodiscard]] Iterator begin() const noexcept;
  [[nodiscard]] Iterator end() const noexcept { return Iterator(block_.data() + block_.size()); }

 private:
  std::span<const std::byte> block_;  // empty, or with its head
};

// What a caller sends: `orders.Place({.id = 7}, {.metadata = token})`.
class Metadata {
 public:
  static constexpr std::size_t kPairsMax = 16;
  static constexpr std::size_t kBytesMax = 1024;
  static constexpr std::size_t kKeyBytesMax = 64;

  Metadata() noexcept {}  // the bytes are left as they are
  Metadata(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs) noexcept {
    for (const auto& [key, value] : pairs) (void)add(key, value);
  }
  Metadata(const Metadata& other) noexcept { *this = other; }
  Metadata& operator=(const Metadata& other) noexcept;

  // False: over a bound, no key, or a key that is there already. Calls with it are refused then, before they are sent.
  bool add(std::string_view key, std::string_view value) noexcept;
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  [[nodiscard]] MetadataView view() const noexcept { return MetadataView(block()); }
  // Begins or continues a trace with this call, in place of the one that its handler belongs to.
  void set_trace(const TraceContext& trace) noexcept { trace_ = trace; }
  [[nodiscard]] const std::optional<TraceContext>& trace() const noexcept { return trace_; }

  // As it travels; empty without pairs.
  [[nodiscard]] std::span<const std::byte> block() const noexcept;

 private:
  alignas(16) std::byte bytes_[kBytesMax];
  std::uint16_t used_ = 0;  // with the head; 0: no pairs
  bool complete_ = true;
  std::optional<TraceContext> trace_;
};

// A Metadata as an argument, for the time of the call. One word.
class MetadataArgument {
 public:
  constexpr MetadataArgument() noexcept = default;
  constexpr MetadataArgument(const Metadata& metadata) noexcept : metadata_(&metadata) {}
  [[nodiscard]] constexpr const Metadata* get() const noexcept { return metadata_; }

 private:
  const Metadata* metadata_ = nullptr;
};

namespace rpc {

// Null when the block keeps every bound; else what is wrong, for the status of its call.
[[nodiscard]] const char* check_metadata(std::span<const std::byte> block) noexcept;

}  // namespace rpc
}  // namespace taut
