// Turns for programs that own their time: polled until a point in time, and what is done at the end of a turn.
#include <sched.h>

#include <algorithm>

#include "core.h"
#include "taut/base/assert.h"
#include "taut/rpc/ticker.h"
#include "taut/rpc/turn_end.h"

namespace taut {
namespace rpc {
namespace {

using namespace std::chrono_literals;

// A sleep ends so long before the time it is for, and the rest is polled away: longer than the kernel's slack of 50 us
// and a wake-up on a machine that has a processor to spare.
constexpr Nanoseconds kAwakeBefore = 250us;
// Between two looks at the clock: handlers run past the time by at most as many.
constexpr int kUnitsBetweenLooks = 16;
constexpr Nanoseconds kTrustRateFor = 100ms;

}  // namespace

std::chrono::steady_clock::time_point Core::now() const noexcept {
  const Clock& clock = turn_->clock;
  if (clock.source() != ClockSource::manual) return std::chrono::steady_clock::now();
  return std::chrono::steady_clock::time_point(clock.to_duration(clock.now()));
}

TickReport Core::poll_until(std::chrono::steady_clock::time_point when) noexcept {
  const Clock& clock = turn_->clock;
  // In ticks, which are cheap to look at, and never far ahead, so that their rate need not be known better than it is.
  const auto ticks_until = [&](Nanoseconds ahead) { return clock.to_ticks(std::clamp(ahead, 0ns, kTrustRateFor)); };
  TickReport report;
  Nanoseconds ahead = when - now();
  Ticks looked = clock.now(), busy_at = looked, due = looked + ticks_until(ahead);
  do {
    const int done = poll(kUnitsBetweenLooks);
    report.units += done;
    if (done == 0) rest_until(due, looked - busy_at);
    const Ticks now = clock.now();
    if (done != 0) {
      busy_at = now;
    } else if (looked < due) {
      report.idle += clock.to_duration(std::min(now, due) - looked);
    }
    looked = now;
    if (looked < due) continue;
    ahead = when - this->now();
    due = looked + ticks_until(ahead);
  } while (ahead > 0ns && may_turn());
  report.late = std::max(-ahead, 0ns);
  return report;
}

// Not past the time. A clock that a test moves does not move while its thread sleeps.
void Core::rest_until(Ticks when, Ticks idle_for) noexcept {
  const Clock& clock = turn_->clock;
  if (options_.idle == Idle::spin || idle_for <= spin_ticks_ || clock.source() == ClockSource::manual) return;
  const Ticks now = clock.now();
  const Nanoseconds left = when > now ? clock.to_duration(when - now) : 0ns;
  if (left <= kAwakeBefore) return;
  if (options_.idle == Idle::spin_then_yield || own_control_ == nullptr) {
    sched_yield();
  } else {
    sleep_until_rung(left - kAwakeBefore);
  }
}

void Core::run_turn_ends() noexcept {
  turn_->ending = std::exchange(turn_->first_asked, nullptr);  // who asks again asks for the next turn
  while (TurnEnd* const end = turn_->ending) {
    turn_->ending = std::exchange(end->next_, nullptr);
    end->asked_ = false;  // before it runs: it may destroy itself
    turn_->calling_user = true;
    try {
      end->turn_ends();
    } catch (...) {
      turn_->log_thrown("what is done at the end of a turn");
    }
    turn_->calling_user = false;
  }
}

TurnEnd::TurnEnd(Dispatcher& loop) : turn_(loop.core_->shared_turn()) {}

TurnEnd::~TurnEnd() {
  if (!asked_) return;
  for (TurnEnd** at : {&turn_->first_asked, &turn_->ending}) {
    while (*at != nullptr && *at != this) at = &(*at)->next_;
    if (*at == this) *at = next_;
  }
}

void TurnEnd::ask() noexcept {
  if (asked_) return;
  asked_ = true;
  next_ = std::exchange(turn_->first_asked, this);
}

}  // namespace rpc

Ticker::Ticker(rpc::Dispatcher& loop, Nanoseconds period, TickerOptions options) noexcept
    : loop_(loop),
      period_(period),
      tolerance_(options.tolerance != Nanoseconds{0} ? options.tolerance : period / 16),
      due_(loop.now() + period) {
  TAUT_ASSERT(period > Nanoseconds{0});
}

TickReport Ticker::next() noexcept {
  TickReport report = loop_.poll_until(due_);
  report.skipped = static_cast<std::uint64_t>(report.late / period_);
  due_ += period_ * (static_cast<std::int64_t>(report.skipped) + 1);
  ++counters_.ticks;
  counters_.skipped += report.skipped;
  counters_.units += static_cast<std::uint64_t>(report.units);
  counters_.idle += report.idle;
  counters_.worst = std::max(counters_.worst, report.late);
  if (report.late > tolerance_) {
    ++counters_.late;
    counters_.overrun += report.late;
  }
  return report;
}

}  // namespace taut
