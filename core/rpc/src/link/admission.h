// Room for answers, promised when a request is admitted (docs/design.md, "Space"). One line per granted call is
// reserved from the start; a longer bound is reserved at admission and given back when the answer was sent.
//
// I8  free >= sum + largest after each admission and each ordinary claim, where sum = 64 x granted + extra.
#pragma once

#include <algorithm>

#include "taut/ring/ring.h"

namespace taut::rpc {

class Admission {
 public:
  explicit Admission(ring::u32 granted) noexcept : granted_(granted) {}

  // What an ordinary claim (anything but an answer) must leave free.
  [[nodiscard]] ring::u32 reserve() const noexcept { return ring::kStep * granted_ + extra_ + largest_; }
  [[nodiscard]] ring::u32 granted() const noexcept { return granted_; }
  // Admitted and not yet answered.
  [[nodiscard]] ring::u32 open() const noexcept { return open_; }

  // Counts one more request; false: the peer uses more than it was granted.
  [[nodiscard]] bool enter() noexcept { return ++open_ <= granted_; }

  // Reserves `bound` bytes of ring for the answer of a request that has entered. Returns what is reserved for it now;
  // 0: the bytes cannot be promised.
  template <class Writer>
  [[nodiscard]] ring::u32 promise(Writer& out, ring::u32 bound) noexcept {
    if (bound <= ring::kStep) return ring::kStep;          // from the start, and one line never needs a pad
    if (bound > out.ring_bytes() / 4) return ring::kStep;  // such an answer goes in pieces, when there is room
    const ring::u32 extra = extra_ + bound - ring::kStep;
    const ring::u32 largest = std::max(largest_, bound);
    const ring::u32 sum = ring::kStep * granted_ + extra;
    if (sum > out.ring_bytes() / 2 || !out.has_free(sum + largest)) return 0;  // ring/2 = S - 2M
    extra_ = extra;
    largest_ = largest;
    return bound;
  }

  // The answer was sent, or never will be.
  void leave(ring::u32 bound) noexcept {
    --open_;
    if (bound > ring::kStep) extra_ -= bound - ring::kStep;
    // The largest of those that are left is not tracked one by one: it is kept, too large, until none is left.
    if (open_ == 0) largest_ = 0;
  }

 private:
  ring::u32 granted_;
  ring::u32 open_ = 0;
  ring::u32 extra_ = 0;
  ring::u32 largest_ = 0;
};

}  // namespace taut::rpc
