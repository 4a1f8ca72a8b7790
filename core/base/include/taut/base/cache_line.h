// The two distances that decide where shared words may stand. Both are part of the segment format, so
// they are ours and not the compiler's.
#pragma once

#include <cstddef>

namespace taut {

// One line, and the step of every record in a ring.
inline constexpr std::size_t kCacheLine = 64;

// How far apart words of different writers stand: adjacent-line prefetchers fetch lines in pairs.
inline constexpr std::size_t kSharedWordStride = 128;

}  // namespace taut
