// Says whether this process is a child of the one that made the guard. One load, so that it can stand before every
// use: links belong to the process that opened them, and their memory is not there in a child.
//
// Threads  forked(): any.
// Memory   one page that the kernel wipes in a child (MADV_WIPEONFORK).
#pragma once

#include <cstdint>
#include <utility>

#include "taut/base/result.h"

namespace taut::memory {

class ForkGuard {
 public:
  static Result<ForkGuard> create();
  ForkGuard(ForkGuard&& other) noexcept : word_(std::exchange(other.word_, nullptr)) {}
  ForkGuard& operator=(ForkGuard&& other) noexcept {
    std::swap(word_, other.word_);
    return *this;
  }
  ~ForkGuard();

  [[nodiscard]] bool forked() const noexcept { return *word_ != kOurs; }
  // For a copy of forked() on a running path: the word is not kOurs in a child.
  static constexpr std::uint64_t kOurs = 1;
  [[nodiscard]] const std::uint64_t* word() const noexcept { return word_; }
  // This process takes the place of its parent: a server that goes into the background after it began to listen.
  void take_over() noexcept { *word_ = kOurs; }

 private:
  explicit ForkGuard(std::uint64_t* word) noexcept : word_(word) {}
  std::uint64_t* word_;
};

}  // namespace taut::memory
