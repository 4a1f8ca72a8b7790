// Stands before the memory policy that ships, for a build that tells whether anything is read twice: tests/flip.
#pragma once

#define NativeReaderMemory NativeReaderMemoryThatShips
#include_next <taut/ring/native_memory.h>
#undef NativeReaderMemory

#include "flip.h"

namespace taut::ring {

class NativeReaderMemory : public NativeReaderMemoryThatShips {
 public:
  using NativeReaderMemoryThatShips::NativeReaderMemoryThatShips;
  [[nodiscard]] u64 load_head(u32 at, Order order) const noexcept {
    const u64 word = NativeReaderMemoryThatShips::load_head(at, order);
    // A relaxed load only asks whether a record waits, and nothing is taken from it.
    if (order != Order::relaxed && word != 0) flip::head_was_loaded(const_cast<std::byte*>(bytes(at)), word);
    return word;
  }
};

}  // namespace taut::ring
