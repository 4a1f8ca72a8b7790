// How many calls of a lane may be open while its server sheds load: fewer than it granted. A call that is held back at
// this side costs the server nothing, while a refusal costs it a record each way.
//
// Halved when a call is shed, once for all calls that were under way then, and wider by one for every four calls that
// are let in again. At one call, a further one that is shed closes the window for the time that the server named, twice
// as long each time that nothing was let in, a second at most. A server without limits sheds nothing, and the window is
// never looked at.
//
// Threads  the dispatcher's.
#pragma once

#include <algorithm>

#include "taut/base/clock.h"
#include "taut/ring/record.h"

namespace taut::rpc {

class SendWindow {
 public:
  explicit SendWindow(ring::u32 granted) noexcept : granted_(granted), width_(granted) {}

  // Is it narrower than what was granted?
  [[nodiscard]] bool narrow() const noexcept { return width_ < granted_; }
  // What the server said last.
  [[nodiscard]] Ticks wait() const noexcept { return wait_; }

  struct Shed {
    ring::u64 answers;  // of the link so far, with this one
    ring::u32 open;     // calls that are still under way
    Ticks now;
    Ticks wait;
    Ticks closed_max;
  };
  // `calls_max` is the lane's: the window in use.
  void shed(ring::u32& calls_max, const Shed& call) noexcept {
    grow(call.answers - 1);
    ++counted_;  // no call that was let in
    wait_ = call.wait;
    if (static_cast<std::int64_t>(call.answers - settled_) <= 0) return;  // it was sent before the window was halved
    settled_ = call.answers + call.open;
    if (width_ > 1) {
      width_ /= 2;
    } else {
      width_ = 0;
      const Ticks closed = std::min(call.wait, call.closed_max) << std::min(closed_times_++, kDoublings);
      opens_ = call.now + std::clamp<Ticks>(closed, 1, call.closed_max);
    }
    calls_max = width_;
  }

  // Called when a call finds the window in use.
  void widen(ring::u32& calls_max, ring::u64 answers, const Clock& clock) noexcept {
    if (width_ == 0) {
      if (static_cast<std::int64_t>(clock.now() - opens_) < 0) return;
      width_ = 1;
      counted_ = answers;
    }
    grow(answers);
    calls_max = width_;
  }

 private:
  static constexpr int kDoublings = 8;
  static constexpr ring::u32 kAnswersPerCall = 4;

  void grow(ring::u64 answers) noexcept {
    if (width_ == 0 || !narrow()) {
      counted_ = answers;
      return;
    }
    const ring::u64 steps = (answers - counted_) / kAnswersPerCall;
    if (answers != counted_) closed_times_ = 0;
    counted_ += steps * kAnswersPerCall;
    width_ = static_cast<ring::u32>(std::min<ring::u64>(granted_, width_ + steps));
  }

  ring::u32 granted_;
  ring::u32 width_;
  int closed_times_ = 0;   // in a row
  ring::u64 counted_ = 0;  // answers that have widened the window
  ring::u64 settled_ = 0;  // up to this answer, calls were sent before it was halved
  Ticks opens_ = 0;        // of a window that is closed
  Ticks wait_ = 0;
};

}  // namespace taut::rpc
