// The blocks of trace and metadata that stand between a request's header and everything else: as they are written, and
// as they are read from a peer (docs/wire-format.md, extensions).
//
// Threads  the dispatcher's.
// Memory   never allocates.
// Trust    read() takes the peer's word for nothing. What it keeps are private copies.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include "taut/memory/copy.h"
#include "taut/ring/record.h"
#include "taut/rpc/metadata.h"

namespace taut::rpc {

// What a call carries beside its message. Null: nothing of this.
struct Beside {
  const Metadata* metadata = nullptr;
  const TraceContext* trace = nullptr;
  [[nodiscard]] bool any() const noexcept { return metadata != nullptr || trace != nullptr; }
};

class OutgoingBlocks {
 public:
  explicit OutgoingBlocks(const Beside& beside) noexcept {
    if (beside.trace != nullptr) {
      mask_ |= ring::extension::trace;
      ring::TraceBlock block{};
      std::memcpy(block.trace_id, beside.trace->trace_id.data(), sizeof block.trace_id);
      std::memcpy(block.span_id, beside.trace->span_id.data(), sizeof block.span_id);
      block.flags = beside.trace->flags;
      std::memcpy(bytes_, &block, sizeof block);
      size_ = sizeof block;
    }
    if (beside.metadata == nullptr || beside.metadata->block().empty()) return;
    const auto block = beside.metadata->block();
    mask_ |= ring::extension::metadata;
    std::memcpy(bytes_ + size_, block.data(), block.size());
    const auto padded = ring::up_to_16(static_cast<ring::u32>(block.size()));
    std::memset(bytes_ + size_ + block.size(), 0, padded - block.size());
    size_ += padded;
  }
  [[nodiscard]] ring::u16 mask() const noexcept { return mask_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {bytes_, size_}; }

 private:
  alignas(16) std::byte bytes_[sizeof(ring::TraceBlock) + Metadata::kBytesMax];
  ring::u32 size_ = 0;
  ring::u16 mask_ = 0;
};

// What came with a request.
struct IncomingBlocks {
  bool traced = false;
  TraceContext trace;
  ring::u32 metadata_bytes = 0;
  alignas(16) std::byte metadata[Metadata::kBytesMax];
  const char* wrong = nullptr;  // with the metadata, so that its call is refused

  IncomingBlocks() noexcept {}  // the bytes are left as they are
  [[nodiscard]] MetadataView view() const noexcept { return MetadataView({metadata, metadata_bytes}); }

  // `bytes` follow the header. Returns how many of them the blocks of `mask` take; kImpossible: more than there are.
  static constexpr ring::u32 kImpossible = ~ring::u32{0};
  [[nodiscard]] ring::u32 read(ring::u16 mask, std::span<const std::byte> bytes) noexcept {
    traced = false;
    metadata_bytes = 0;
    wrong = nullptr;
    std::size_t at = 0;
    if ((mask & ring::extension::trace) != 0) {
      ring::TraceBlock block;
      if (bytes.size() < sizeof block) return kImpossible;
      memory::opaque_copy(reinterpret_cast<std::byte*>(&block), bytes.data(), sizeof block);
      std::memcpy(trace.trace_id.data(), block.trace_id, sizeof block.trace_id);
      std::memcpy(trace.span_id.data(), block.span_id, sizeof block.span_id);
      trace.flags = block.flags;
      traced = trace.valid();  // else it is as if there were none, as the standard asks
      at = sizeof block;
    }
    if ((mask & ring::extension::metadata) != 0) {
      ring::u16 size;  // read once: what is copied below may have changed meanwhile
      if (bytes.size() - at < ring::up_to_16(sizeof size)) return kImpossible;
      memory::opaque_copy(reinterpret_cast<std::byte*>(&size), bytes.data() + at, sizeof size);
      const ring::u32 padded = ring::up_to_16(ring::u32{size});
      if (size == 0 || padded > bytes.size() - at) return kImpossible;
      if (size <= Metadata::kBytesMax) {
        memory::opaque_copy(metadata, bytes.data() + at, size);
        wrong = check_metadata({metadata, size});
      } else {
        wrong = "more than 1 KiB of metadata";
      }
      if (wrong == nullptr) metadata_bytes = size;
      at += padded;
    }
    return static_cast<ring::u32>(at);
  }
};

}  // namespace taut::rpc
