// The frames of coroutines that have no pool.
#include "taut/stubs/frame_pool.h"

namespace taut::stubs {

void* heap_frame(std::size_t bytes) { return ::operator new (bytes, std::align_val_t{64}); }

void free_heap_frame(void* frame) noexcept { ::operator delete (frame, std::align_val_t{64}); }

}  // namespace taut::stubs
