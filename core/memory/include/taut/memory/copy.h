// The one door through which bytes of another process come in.
//
// The other process may change its bytes at any time. A compiler that sees a plain copy may read the source again
// where the copy is used, behind the check; so what is copied here is not read again, and the compiler knows nothing
// about the result.
//
// Threads  any.
// Memory   never allocates.
#pragma once

#include <cstddef>
#include <cstring>

namespace taut::memory {

inline constexpr std::size_t kSmallCopyMax = 256;

// Copies `bytes`; `to` and `from` do not overlap. Whole lines up to kSmallCopyMax are copied inline, four loads and
// four stores each: round up to 64 where both sides have the room.
inline void opaque_copy(void* to, const void* from, std::size_t bytes) noexcept {
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  if (__builtin_expect(bytes % 64 == 0 && bytes <= kSmallCopyMax, 1)) {
    for (std::size_t at = 0; at < bytes; at += 64) std::memcpy(target + at, source + at, 64);
  } else {
    std::memcpy(target, source, bytes);
  }
  // As far as the compiler knows, this statement wrote the target. So nobody who reads the target afterwards can be
  // served from the source, whatever was inlined around it.
  asm volatile("" : : "r"(to) : "memory");
}

}  // namespace taut::memory
