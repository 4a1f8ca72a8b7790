// Large messages that are not sent at all: the writer builds them in its arena, the record says where, and the reader
// reads them there. A hand-over costs the same for any size.
//
// Threads  the dispatcher's.
// Memory   blocks come from the arena; nothing else is allocated after set-up.
// Trust    where a block lies is the peer's word and must be inside its arena. The reader's checks are those of any
//          message in place; with check=copy the message is copied first, and then the size does cost.
#pragma once

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "taut/memory/arena.h"
#include "taut/rpc/transport.h"

namespace taut::rpc {

// Our arena and the blocks of it that the peer has.
class OwnBlocks {
 public:
  OwnBlocks(memory::Arena arena, std::byte* memory, const ring::ReleaseWords* released) noexcept
      : arena_(std::move(arena)), memory_(memory), released_(released) {}

  // Null: no room in the arena, or kBlocksOut are out. `lies` is set when the peer gives back what it does not have.
  [[nodiscard]] std::byte* take(std::uint32_t bytes, bool& lies) noexcept {
    lies = !released_.take(out_count_, [this](std::uint64_t offset) { return came_back(offset); });
    if (lies || out_count_ == ring::kBlocksOut) return nullptr;
    return arena_.allocate(bytes);
  }
  void drop(std::byte* block) noexcept { arena_.free(block); }
  // The block is the peer's until it gives it back.
  [[nodiscard]] ring::ArenaBlock hand_over(std::byte* block, std::uint32_t bytes) noexcept {
    out_[out_count_++] = block;
    return {static_cast<std::uint64_t>(block - memory_), bytes};
  }

 private:
  bool came_back(std::uint64_t offset) noexcept {
    for (std::uint32_t i = 0; i != out_count_; ++i) {
      if (static_cast<std::uint64_t>(out_[i] - memory_) != offset) continue;
      arena_.free(out_[i]);
      out_[i] = out_[--out_count_];
      return true;
    }
    return false;
  }

  memory::Arena arena_;
  std::byte* memory_;
  ring::Released released_;
  std::array<std::byte*, ring::kBlocksOut> out_{};
  std::uint32_t out_count_ = 0;
};

// The peer's arena, as this side reads it.
class PeerBlocks {
 public:
  explicit PeerBlocks(const ArenaMemory& memory) noexcept : arena_(memory.peer), releases_(memory.releases) {}

  // The bytes of a block; nothing when they are not inside the arena.
  [[nodiscard]] std::optional<std::span<const std::byte>> find(const ring::ArenaBlock& block) const noexcept {
    if (block.bytes == 0 || block.offset % ring::kBlockAlign != 0 || block.offset > arena_.size() ||
        block.bytes > arena_.size() - block.offset) {
      return std::nullopt;
    }
    return arena_.subspan(block.offset, block.bytes);
  }
  void give_back(const ring::ArenaBlock& block) noexcept { releases_.give_back(block.offset); }

 private:
  std::span<const std::byte> arena_;
  ring::Releases releases_;
};

}  // namespace taut::rpc
