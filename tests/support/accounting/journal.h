// Which calls a server ran, in memory that outlives it: the server's handlers write, whoever made the journal reads,
// also after a kill -9. Made before the server's process is forked, so both see one mapping.
//
//   entered   the handler is running or has returned
//   left      the handler has returned
//
// Threads  one writer (the server's dispatcher); readers anywhere. An id is looked up by its slot, so the last
//          kSlots ids can be judged: far more than can be unanswered at a time.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace taut::testing {

class Journal {
 public:
  static constexpr std::uint64_t kSlots = 1 << 16;

  Journal() {
    void* memory = mmap(nullptr, sizeof(Pages), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    pages_ = static_cast<Pages*>(memory);
  }
  ~Journal() { munmap(pages_, sizeof(Pages)); }
  Journal(const Journal&) = delete;

  // The handler's first and last line.
  void enter(std::uint64_t id) noexcept {
    std::atomic<std::uint64_t>& slot = pages_->slots[id % kSlots];
    if (slot.load(std::memory_order_relaxed) >> 1 == id) pages_->twice.fetch_add(1, std::memory_order_relaxed);
    slot.store(id << 1, std::memory_order_relaxed);
    pages_->entered.fetch_add(1, std::memory_order_relaxed);
  }
  void leave(std::uint64_t id) noexcept { pages_->slots[id % kSlots].store(id << 1 | 1, std::memory_order_relaxed); }

  [[nodiscard]] bool entered(std::uint64_t id) const noexcept {
    return pages_->slots[id % kSlots].load(std::memory_order_relaxed) >> 1 == id;
  }
  [[nodiscard]] bool left(std::uint64_t id) const noexcept {
    return pages_->slots[id % kSlots].load(std::memory_order_relaxed) == (id << 1 | 1);
  }
  // All entries ever made, and those of a call that had one already.
  [[nodiscard]] std::uint64_t entries() const noexcept { return pages_->entered.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t run_twice() const noexcept { return pages_->twice.load(std::memory_order_relaxed); }

 private:
  struct Pages {
    std::atomic<std::uint64_t> entered, twice;
    std::atomic<std::uint64_t> slots[kSlots];  // id and left
  };
  Pages* pages_;
};

}  // namespace taut::testing
