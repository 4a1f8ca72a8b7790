// Stands before the copy function that ships, for a build that tells whether anything is read twice: tests/flip.
#pragma once

#define opaque_copy opaque_copy_that_ships
#include_next <taut/memory/copy.h>
#undef opaque_copy

#include "flip.h"

namespace taut::flip {
// For what is read outside of rings: every byte changes that was copied.
inline thread_local bool changes_all_copied_bytes = false;
}  // namespace taut::flip

namespace taut::memory {

inline void opaque_copy(void* to, const void* from, std::size_t bytes) noexcept {
  opaque_copy_that_ships(to, from, bytes);
  auto* source = static_cast<std::byte*>(const_cast<void*>(from));
  if (!flip::changes_all_copied_bytes) return flip::bytes_were_copied(source, bytes);
  for (std::size_t at = 0; at < bytes; ++at) source[at] ^= std::byte{0x5a};
}

}  // namespace taut::memory
