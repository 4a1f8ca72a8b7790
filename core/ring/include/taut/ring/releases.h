// How the blocks of an arena come back. The end that read a block writes its offset into this list, in its own segment;
// the arena's owner takes them in order and may use them again. One list for each direction of a link.
//
//   offset  bytes  word
//        0      8  count: blocks given back since the link began
//      128    512  blocks: offset in the owner's arena, of the nth at n mod 64
//
// Threads  Releases: the thread of the end that reads blocks. Released: the owner's.
// Memory   never allocates.
// Trust    count and offsets are the other end's word: no more come back than are out, and each must be out.
#pragma once

#include "taut/base/cache_line.h"
#include "taut/ring/native_memory.h"

namespace taut::ring {

// So many blocks of an arena are with the peer at most, and the list never overruns its reader.
inline constexpr u32 kBlocksOut = 64;
// Blocks begin on steps of this.
inline constexpr u32 kBlockAlign = 64;

struct ReleaseWords {
  alignas(kSharedWordStride) SharedWord count;
  alignas(kSharedWordStride) SharedWord blocks[kBlocksOut];
};
static_assert(sizeof(ReleaseWords) == 128 + 512 && offsetof(ReleaseWords, blocks) == 128);
static_assert(std::is_standard_layout_v<ReleaseWords>);

// The writing half.
class Releases {
 public:
  explicit Releases(ReleaseWords* words) noexcept : words_(words) {}
  void give_back(u64 block) noexcept {
    // Relaxed: the count behind it releases it.
    words_->blocks[count_ % kBlocksOut].store(block, std::memory_order_relaxed);
    // sync(block): pairs with the acquire in Released::take(). What was read of the block was read before.
    words_->count.store(++count_, std::memory_order_release);
  }

 private:
  ReleaseWords* words_;
  u64 count_ = 0;
};

// The reading half.
class Released {
 public:
  explicit Released(const ReleaseWords* words) noexcept : words_(words) {}
  // Calls `f(offset)` for each block that came back; it answers whether that block was out. False: the peer lies.
  template <class F>
  [[nodiscard]] bool take(u32 out_count, F&& f) noexcept {
    // sync(block): pairs with the release in Releases::give_back(). The blocks may be written again.
    const u64 given_back = words_->count.load(std::memory_order_acquire);
    if (given_back - seen_ > out_count) return false;
    while (seen_ != given_back) {
      if (!f(words_->blocks[seen_++ % kBlocksOut].load(std::memory_order_relaxed))) return false;
    }
    return true;
  }

 private:
  const ReleaseWords* words_;
  u64 seen_ = 0;
};

}  // namespace taut::ring
