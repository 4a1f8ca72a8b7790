// What a dispatcher has to do at a point in time, by the clock of its calls. They are due in the first turn behind it,
// like the deadlines of calls, and a dispatcher that sleeps wakes for them. The timers of the control plane are for
// set-up: they keep the real time and come a millisecond late.
//
// Threads  the dispatcher's.
// Memory   never allocates: a Timer is its own place in the tree.
#pragma once

#include <boost/intrusive/set.hpp>

#include "taut/base/clock.h"

namespace taut::rpc {

namespace timer_detail {
using Hook = boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
}

// Base of what waits for a time. Destroyed, it is not called any more.
class Timer : public timer_detail::Hook {
 public:
  virtual void on_time() noexcept = 0;
  [[nodiscard]] bool is_set() const noexcept { return is_linked(); }
  void stop() noexcept { unlink(); }

 protected:
  Timer() = default;
  ~Timer() = default;

 private:
  friend class Timers;
  friend bool operator<(const Timer& a, const Timer& b) noexcept { return a.when_ < b.when_; }
  Ticks when_ = 0;
};

class Timers {
 public:
  // Calls timer.on_time() once, not before `when`; a later set() replaces the time.
  void set(Timer& timer, Ticks when) noexcept {
    if (timer.is_set()) timer.stop();
    timer.when_ = when;
    timers_.insert(timer);
  }
  // The time of the first one; ~0 when there is none.
  [[nodiscard]] Ticks next() const noexcept { return timers_.empty() ? ~Ticks{0} : timers_.begin()->when_; }
  // Calls those that are due. What is set meanwhile waits for the next time, whenever it is due.
  void run_due(Ticks now) noexcept {
    std::size_t due_count = 0;
    for (auto timer = timers_.begin(); timer != timers_.end() && timer->when_ <= now; ++timer) ++due_count;
    for (; due_count != 0 && !timers_.empty() && timers_.begin()->when_ <= now; --due_count) {
      Timer& timer = *timers_.begin();
      timer.stop();
      timer.on_time();
    }
  }

 private:
  boost::intrusive::multiset<Timer, boost::intrusive::constant_time_size<false>> timers_;
};

}  // namespace taut::rpc
