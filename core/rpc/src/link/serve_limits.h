// What a listener takes on at most, on one dispatcher: calls open at a time, of all and of each method, and how long a
// call may have waited. What is over a limit is refused before the work (link_limits.cpp; docs/overload.md).
//
// Threads  the dispatcher's; once that is gone, of whoever holds Turn::foreign_mutex (reply_home.cpp).
// Memory   allocated with the listener.
#pragma once

#include <vector>

#include "taut/base/clock.h"
#include "taut/base/status.h"
#include "taut/ring/record.h"

namespace taut::rpc {

// Calls that were let in and are not answered.
class OpenCalls {
 public:
  void allow(ring::u32 open_max) noexcept { open_max_ = open_max; }
  [[nodiscard]] bool limited() const noexcept { return open_max_ != 0; }
  [[nodiscard]] bool full() const noexcept { return limited() && open_ >= open_max_; }
  [[nodiscard]] ring::u32 open() const noexcept { return open_; }

  void enter() noexcept { ++open_; }
  void leave(Ticks open_for) noexcept {
    --open_;
    // A mean in which the last eight count for two thirds.
    mean_ = mean_ == 0 ? open_for : mean_ - mean_ / 8 + open_for / 8;
  }
  // How long until one of them ends, if they go on to take as long as the last ones did.
  [[nodiscard]] Ticks until_one_ends() const noexcept { return mean_ / (open_ == 0 ? 1 : open_); }

 private:
  ring::u32 open_max_ = 0;  // 0: no limit
  ring::u32 open_ = 0;
  Ticks mean_ = 0;
};

// Lets calls in by the time that they lay in the ring. A call that waited longer than the target is refused, unless it
// is one of a burst: behind a time of calm, ten times the target is allowed for as long. So a queue that goes away by
// itself is served, and one that stays is held at the target: calls that cannot be served in time cost their refusal,
// and those behind them are served in time.
//
// After B. Maurer, "Fail at Scale", ACM Queue 13(8), 2015, and K. Nichols and V. Jacobson, "Controlling Queue Delay",
// ACM Queue 10(5), 2012 (RFC 8289). Both know a queue that stays by the time since it was short. Here calls stop coming
// as soon as they are refused, so even an overloaded queue is short now and then: only a long time without a call that
// waited too long is calm.
class QueueDelay {
 public:
  static constexpr ring::u32 kBurst = 10;  // targets
  static constexpr ring::u32 kCalm = 100;  // targets

  void allow(Ticks target) noexcept { target_ = target; }
  [[nodiscard]] bool limited() const noexcept { return target_ != 0; }
  [[nodiscard]] bool lets_in(Ticks waited, Ticks now) noexcept {
    if (waited <= target_) [[likely]]
      return true;
    if (now - above_at_ > kCalm * target_ || above_at_ == 0) burst_at_ = now;
    above_at_ = now;
    return waited <= kBurst * target_ && now - burst_at_ <= kBurst * target_;
  }

 private:
  Ticks target_ = 0;    // 0: no limit
  Ticks above_at_ = 0;  // when a call had waited longer; 0: never
  Ticks burst_at_ = 0;  // the first one behind a time of calm
};

class Limits {
 public:
  explicit Limits(std::size_t methods_count) : methods_(methods_count) {}

  OpenCalls all;
  QueueDelay delay;
  [[nodiscard]] OpenCalls& of(ring::u32 method) noexcept { return methods_[method]; }

 private:
  std::vector<OpenCalls> methods_;
};

}  // namespace taut::rpc
