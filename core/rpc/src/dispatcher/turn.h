// What the ends of one dispatcher share while it turns: the clock, the thread, and what is due at the end of the turn.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "../link/pieces.h"
#include "taut/base/clock.h"
#include "taut/base/log.h"
#include "taut/base/thread.h"
#include "taut/memory/fork_guard.h"
#include "taut/ring/board.h"
#include "taut/rpc/context.h"
#include "timers.h"

namespace taut::rpc {

class Core;
class LinkEnd;
class TurnEnd;
struct OpenRequest;

inline constexpr Ticks kNever = ~Ticks{0};

// After so many records of a turn the clock is read anew, and what was sent is shown: the peer works on it while the
// turn goes on. Both sides stay busy with half a default window each.
inline constexpr int kRecordsPerBatch = 16;

// A link that has much to say is left after records for about so long, or one record that takes longer, when there are
// other links (docs/overload.md, "Fairness"). Longer than looking at the other links takes, so that it costs little.
inline constexpr Nanoseconds kSlice = std::chrono::microseconds(4);
inline constexpr int kSliceRecordsMax = 64;

struct Turn {
  explicit Turn(Clock with_clock) : clock(with_clock), now(clock.now()), measured(now) {
    slice_ticks = clock.to_ticks(kSlice);
    step_ticks_q16 = static_cast<std::uint64_t>(clock.ticks_per_ns() * 16.0 * 65536.0);
  }

  Clock clock;
  // Refreshed on empty polls and every few records, never between a hit and its handler.
  Ticks now;
  std::uint64_t step_ticks_q16;  // ticks of one budget step of 16 ns, in 1/65536
  Ticks measured;                // when `slice` was last measured, or nothing was found
  int unstamped = 0;             // records since then, over turns that found a few each
  int slice = kSliceRecordsMax;  // records that a link may handle before others have their turn: what kSlice holds
  Ticks slice_ticks;
  bool inside = false;               // within Dispatcher::poll(): stamps come from `now`, bells are rung at its end
  bool calling_user = false;         // a handler or callback runs: waits are refused
  bool waiting = false;              // inside a wait: no callback may run
  Inheriting inheriting;             // set while a handler runs
  bool any_broken = false;           // the peer of some link broke the rules
  Ticks earliest_deadline = kNever;  // of all pending calls and timers, or earlier
  Timers timers;
  std::uint64_t kept_calls = 0;  // so many were made under policies
  void set_timer(Timer& timer, Ticks when) noexcept {
    timers.set(timer, when);
    if (when < earliest_deadline) earliest_deadline = when;
  }

  // Calls that ended before they were sent: their callbacks run in the next turn, never inside then().
  struct Finished {
    Callback callback;
    Status status;
  };
  std::vector<Finished> finished;

  Buffers buffers;  // for messages in pieces

  // Where the calls of the next end of a link are numbered from: no two ends of a dispatcher give one id.
  std::uint64_t last_serials = 0;
  [[nodiscard]] std::uint64_t next_serials() noexcept {
    return std::exchange(last_serials, last_serials + (std::uint64_t{1} << 32));
  }

  // What is to be done at the end of this turn, and what is left of it while it is done: turn_end.h.
  TurnEnd* first_asked = nullptr;
  TurnEnd* ending = nullptr;

  // Ends that sent something in this turn: their batches and bells are due when it is over.
  LinkEnd* first_due = nullptr;
  void no_longer_due(LinkEnd& end) noexcept;

  // The thread that polls; null until the first poll.
  ThreadId owner = nullptr;
  std::string owner_name;

  LogCallback log = log_to_stderr;

  // Of the exception that is being handled.
  void log_thrown(const std::string& whose) const noexcept;

  // What came in from outside the turn, one bit each, so that a turn asks once: the dispatcher looks at the next one.
  static constexpr unsigned kPosts = 1;
  static constexpr unsigned kInbox = 2;
  static constexpr unsigned kReplies = 4;
  std::atomic<unsigned> from_outside{0};  // relaxed: what it tells of stands behind a mutex
  void came_from_outside(unsigned what) noexcept { from_outside.fetch_or(what, std::memory_order_relaxed); }
  // True once for each time that it came.
  bool take_from_outside(unsigned what) noexcept {
    return (from_outside.fetch_and(~what, std::memory_order_relaxed) & what) != 0;
  }

  // Answers that are owed but could not be given at once: their Replies were dropped on other threads, or another
  // answer was being written. See reply_home.cpp.
  struct Owed {
    OpenRequest* request;
    Status status;
  };
  std::mutex foreign_mutex;
  std::vector<Owed> owed;
  Core* core = nullptr;           // the dispatcher; null when it is gone
  std::function<void()> wake;     // it, should it sleep; empty when it is gone
  std::atomic<bool> gone{false};  // the dispatcher was destroyed

  // A child of fork(): what the links share is not there.
  std::optional<memory::ForkGuard> fork_guard;                 // with the first listener or link
  const std::uint64_t* fork_word = &memory::ForkGuard::kOurs;  // its own
  [[nodiscard]] bool forked() const noexcept { return *fork_word != memory::ForkGuard::kOurs; }

  [[nodiscard]] bool on_owner() const noexcept { return this_thread() == owner; }
  // Reads the clock behind `records` more, and measures by it what a record costs.
  void stamp_after(int records) noexcept {
    now = clock.now();
    const Ticks spent = std::max<Ticks>(now - measured, 1);
    const Ticks fit = slice_ticks * static_cast<Ticks>(unstamped + records) / spent;
    slice = static_cast<int>(std::clamp<Ticks>(fit, 1, kSliceRecordsMax));
    measured = now;
    unstamped = 0;
  }
  // Are records so cheap that their answers may wait for each other?
  [[nodiscard]] bool cheap() const noexcept { return slice >= kRecordsPerBatch; }
  void found_nothing() noexcept {
    measured = now = clock.now();
    unstamped = 0;
  }

  [[nodiscard]] Ticks stamp() const noexcept { return inside ? now : clock.now(); }
  [[nodiscard]] std::uint64_t budget_ticks(std::uint32_t budget) const noexcept {
    return (std::uint64_t{budget} * step_ticks_q16) >> 16;
  }
  // Of the call that is being handled: those that are made meanwhile end no later. kNever: there is none, or its caller
  // did not say.
  [[nodiscard]] Ticks inherited_deadline() const noexcept {
    const Origin* const origin = inheriting.origin;
    if (origin == nullptr || origin->budget == ring::kBudgetNone || origin->budget == ring::kBudgetLonger)
      return kNever;
    return origin->sent + budget_ticks(origin->budget);
  }
};

}  // namespace taut::rpc
