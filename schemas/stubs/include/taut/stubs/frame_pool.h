// FramePool: room for the frames of coroutines, so that starting one allocates nothing.
//
//   taut::FramePool frames{{.frame_bytes = 2048, .frames = 1024}};
//   taut::Task route(taut::FramePool& frames, taut::Message<desk::Order> order, taut::Reply<desk::Ack> reply);
//
// A coroutine that takes a FramePool& as its first argument has its frame there; without one, on the heap. So has a
// frame that is larger than frame_bytes, or finds none free: counters() tells, and how large the frames are.
//
// Threads  one, which is the one that starts and ends the coroutines: their dispatcher's.
// Memory   frames x frame_bytes and a little, allocated and touched when it is made. It outlives the coroutines.
// Waits    never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#include "taut/base/assert.h"
#include "taut/rpc/call.h"

namespace taut {

struct FramePoolOptions {
  std::size_t frame_bytes = 2048;  // the compiler decides how many a coroutine needs: see counters().largest
  std::size_t frames = 1024;
};

class FramePool {
 public:
  struct Counters {
    std::size_t in_use = 0;       // frames of the pool
    std::size_t in_use_max = 0;   // the most there ever were
    std::size_t largest = 0;      // bytes of the largest frame that was asked for
    std::uint64_t too_large = 0;  // went to the heap: larger than frame_bytes
    std::uint64_t none_free = 0;  // went to the heap: every frame was in use
  };

  explicit FramePool(const FramePoolOptions& options = {})
      // An odd number of lines apart: else the beginnings of many frames would fall into few sets of the cache.
      : block_bytes_(((options.frame_bytes + kAlign - 1) / kAlign | 1) * kAlign) {
    const std::size_t bytes = block_bytes_ * options.frames;
    if (bytes == 0) return;
    memory_.reset(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{kAlign})));
    std::memset(memory_.get(), 0, bytes);
    for (std::size_t i = options.frames; i-- != 0;) put(memory_.get() + i * block_bytes_);
  }
  ~FramePool() { TAUT_ASSERT(counters_.in_use == 0); }  // a coroutine whose frame is here is still under way
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

  // 64-aligned room for `bytes`, or null: the caller takes it from the heap.
  [[nodiscard]] void* take(std::size_t bytes) noexcept {
    if (bytes > counters_.largest) counters_.largest = bytes;
    if (bytes > block_bytes_ || free_ == nullptr) [[unlikely]] {
      ++(bytes > block_bytes_ ? counters_.too_large : counters_.none_free);
      return nullptr;
    }
    Free* const block = free_;
    free_ = block->next;
    if (++counters_.in_use > counters_.in_use_max) counters_.in_use_max = counters_.in_use;
    return block;
  }
  // Takes back what take() gave.
  void give_back(void* frame) noexcept {
    --counters_.in_use;
    put(frame);
  }

 private:
  static constexpr std::size_t kAlign = 64;
  struct Free {
    Free* next;
  };
  // The last that came back goes first: it is still in the cache.
  void put(void* block) noexcept { free_ = ::new (block) Free{free_}; }

  std::size_t block_bytes_;
  rpc::AlignedBytes memory_;
  Free* free_ = nullptr;
  Counters counters_;
};

namespace stubs {

// 64-aligned, from the heap. Out of line: g++ 12 warns that the two do not match where it sees through one of them.
[[nodiscard]] void* heap_frame(std::size_t bytes);
void free_heap_frame(void* frame) noexcept;

// Base of promises: where frames come from. The allocation functions are found by the coroutine's parameters.
//
// Frames hold Answers and Messages, which are 64-aligned, and compilers ask for frames without saying how they want
// them aligned: so all are. Behind a frame stands the pool that it goes back to.
class InFrame {
 public:
  static void* operator new(std::size_t bytes) { return allocate(nullptr, bytes); }
  template <class... Others>
  static void* operator new(std::size_t bytes, FramePool& pool, Others&&...) {
    return allocate(&pool, bytes);
  }
  template <class Object, class... Others>
  static void* operator new(std::size_t bytes, Object&&, FramePool& pool, Others&&...) {
    return allocate(&pool, bytes);
  }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    FramePool* pool;
    std::memcpy(&pool, behind(frame, bytes), sizeof pool);
    if (pool != nullptr) return pool->give_back(frame);
    free_heap_frame(frame);
  }

 private:
  static std::byte* behind(void* frame, std::size_t bytes) noexcept { return static_cast<std::byte*>(frame) + bytes; }
  static void* allocate(FramePool* pool, std::size_t bytes) {
    const std::size_t with_pool = bytes + sizeof pool;
    void* frame = pool != nullptr ? pool->take(with_pool) : nullptr;
    if (frame == nullptr) {
      pool = nullptr;
      frame = heap_frame(with_pool);
    }
    std::memcpy(behind(frame, bytes), &pool, sizeof pool);
    return frame;
  }
};

}  // namespace stubs
}  // namespace taut
