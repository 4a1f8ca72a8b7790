// When a link that lost its server tries again: after pauses that double and are drawn by lot, and never more often
// than a budget allows. So the clients of a server that comes back do not come in step, and one that takes links only
// to lose them is not besieged.
//
// Threads  the dispatcher's. Memory  allocates when it is made. Waits  never: it says how long.
//
// I1  of a pause p, at least p/2 and less than p is waited; the first one may be as short as nothing
// I2  in any time t there are at most budget * (1 + t / 1 s) attempts
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <utility>

#include "taut/base/clock.h"

namespace taut::rpc {

class ReconnectSchedule {
 public:
  // The first pause. A server that restarts is missed for that long, and its clients come back spread over it.
  static constexpr Nanoseconds kFirst = std::chrono::milliseconds(1);

  struct Options {
    Nanoseconds longest;   // pauses double up to this
    std::uint32_t budget;  // attempts a second, and at once
    std::uint64_t seed;
  };
  explicit ReconnectSchedule(const Options& options)
      : longest_(std::max(options.longest, kFirst)),
        between_(std::chrono::nanoseconds(std::chrono::seconds(1)) / std::max(options.budget, 1u)),
        at_once_((std::max(options.budget, 1u) - 1) * between_),
        dice_(shuffled(options.seed)) {}

  // The link has lost its server: how long from `now` until the first attempt.
  [[nodiscard]] Nanoseconds lost(Nanoseconds now) noexcept {
    pause_ = kFirst;
    return allowed(now, drawn(Nanoseconds{0}, kFirst));
  }
  // An attempt came to nothing: how long until the next one.
  [[nodiscard]] Nanoseconds failed(Nanoseconds now) noexcept {
    const Nanoseconds pause = std::exchange(pause_, std::min(2 * pause_, longest_));
    return allowed(now, drawn(pause / 2, pause));
  }

 private:
  // Seeds that follow each other would begin with draws that do.
  static std::minstd_rand shuffled(std::uint64_t seed) {
    std::seed_seq both{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
    return std::minstd_rand(both);
  }
  [[nodiscard]] Nanoseconds drawn(Nanoseconds from, Nanoseconds below) noexcept {
    return Nanoseconds{std::uniform_int_distribution<std::int64_t>(from.count(), below.count() - 1)(dice_)};
  }
  // The budget as a point in time that moves on with each attempt: `full_` is when all of it is there again.
  [[nodiscard]] Nanoseconds allowed(Nanoseconds now, Nanoseconds wait) noexcept {
    const Nanoseconds when = std::max(now + wait, full_ - at_once_);
    full_ = std::max(full_, when) + between_;
    return when - now;
  }

  Nanoseconds longest_;
  Nanoseconds between_;
  Nanoseconds at_once_;
  Nanoseconds pause_ = kFirst;
  Nanoseconds full_ = Nanoseconds::min() / 2;
  std::minstd_rand dice_;
};

}  // namespace taut::rpc
