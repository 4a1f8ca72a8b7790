// Ticks for programs that own their time, as games do: requests are served until the next tick is due, and then the
// program does its step.
//
//   taut::Ticker ticker{loop, 16'666'667ns};
//   while (!stop) {
//     ticker.next();
//     world.step();
//   }
//
// Due times stand on a grid: a step that takes long makes its own tick late and not those behind it. Due times that
// have passed altogether are skipped, not made up for: the report says how many.
//
// Threads  the dispatcher's.
// Memory   never allocates.
// Waits    next(), as Dispatcher::poll_until() does.
#pragma once

#include <chrono>
#include <cstdint>

#include "taut/base/clock.h"
#include "taut/rpc/dispatcher.h"

namespace taut {

struct TickerOptions {
  Nanoseconds tolerance{0};  // a tick that begins later than this counts as late; 0: a sixteenth of the period
};

// Since the ticker was made.
struct TickCounters {
  std::uint64_t ticks = 0;
  std::uint64_t late = 0;     // of these: began later than the tolerance allows
  std::uint64_t skipped = 0;  // due times that had passed altogether
  std::uint64_t units = 0;    // records, posts and answers
  Nanoseconds worst{0};       // the latest tick
  Nanoseconds overrun{0};     // of all late ticks
  Nanoseconds idle{0};        // there was nothing to do
};

class Ticker {
 public:
  // The first tick is due a period from now. The dispatcher outlives the ticker.
  Ticker(rpc::Dispatcher& loop, Nanoseconds period, TickerOptions options = {}) noexcept;

  // Polls until the next tick is due; one turn when it is due already, so that calls are served however long the steps
  // take.
  TickReport next() noexcept;

  [[nodiscard]] const TickCounters& counters() const noexcept { return counters_; }
  [[nodiscard]] Nanoseconds period() const noexcept { return period_; }

 private:
  rpc::Dispatcher& loop_;
  const Nanoseconds period_;
  const Nanoseconds tolerance_;
  std::chrono::steady_clock::time_point due_;
  TickCounters counters_;
};

}  // namespace taut
