// Blocks of any size in memory that this process writes and its peer only reads: messages are built in them, and handed
// over without a copy. The allocator's own words stand between the blocks, where the peer may see them too.
//
// Threads  one.
// Memory   lies over memory that outlives it, and allocates nothing else.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "taut/base/result.h"

namespace taut::memory {

class Arena {
 public:
  // Takes `memory` over, which begins on a page.
  static Result<Arena> over(std::span<std::byte> memory);
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;
  ~Arena();

  // 64-aligned; null when no hole is large enough.
  [[nodiscard]] std::byte* allocate(std::size_t bytes) noexcept;
  void free(std::byte* block) noexcept;

 private:
  struct Blocks;
  explicit Arena(std::unique_ptr<Blocks> blocks) noexcept;
  std::unique_ptr<Blocks> blocks_;
};

}  // namespace taut::memory
