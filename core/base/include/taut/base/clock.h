// Time as the running path sees it: raw ticks of one counter. Injected, so that tests turn it by hand.
//
// A tick is a cycle of the time stamp counter where it is invariant, and a nanosecond of CLOCK_MONOTONIC
// elsewhere. Ticks never leave the library: users see std::chrono.
//
// Threads  now() from any thread; a ManualClock belongs to its test's thread.
#pragma once

#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace taut {

using Ticks = std::uint64_t;
using Nanoseconds = std::chrono::nanoseconds;

// Which counter stamps are read from. Two processes may compare stamps only when both name the same source.
enum class ClockSource : std::uint8_t { monotonic = 0, tsc = 1, manual = 2 };

class Clock {
 public:
  // The time stamp counter where the processor says that it is invariant, else CLOCK_MONOTONIC.
  // The first use in a process spins for 0.2 ms to learn the counter's rate.
  static Clock system() noexcept;
  // CLOCK_MONOTONIC whatever the processor can do: for peers that cannot compare counters.
  static Clock monotonic() noexcept;
  // Reads `*ticks`, in nanoseconds, which a test moves.
  static Clock manual(const Ticks* ticks) noexcept;

  [[nodiscard]] Ticks now() const noexcept {
#if defined(__x86_64__)
    if (source_ == ClockSource::tsc) return __rdtsc();
#endif
    return source_ == ClockSource::manual ? *manual_ : monotonic_now();
  }

  [[nodiscard]] ClockSource source() const noexcept { return source_; }
  [[nodiscard]] Ticks to_ticks(Nanoseconds duration) const noexcept {
    return static_cast<Ticks>((static_cast<unsigned __int128>(duration.count()) * ticks_per_ns_q32_) >> 32);
  }
  [[nodiscard]] Nanoseconds to_duration(Ticks ticks) const noexcept {
    return Nanoseconds{static_cast<std::int64_t>(static_cast<double>(ticks) / ticks_per_ns_)};
  }
  [[nodiscard]] double ticks_per_ns() const noexcept { return ticks_per_ns_; }

 private:
  Clock(ClockSource source, double ticks_per_ns, const Ticks* manual) noexcept
      : source_(source),
        ticks_per_ns_(ticks_per_ns),
        ticks_per_ns_q32_(static_cast<std::uint64_t>(ticks_per_ns * 4294967296.0)),
        manual_(manual) {}
  static Ticks monotonic_now() noexcept;

  ClockSource source_;
  double ticks_per_ns_;
  std::uint64_t ticks_per_ns_q32_;  // the same times 2^32: a call's timeout is multiplied, not converted
  const Ticks* manual_;
};

}  // namespace taut
