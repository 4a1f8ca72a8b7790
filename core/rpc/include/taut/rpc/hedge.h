// Calls that go to a second server when the first one is late, and take the answer that comes first:
//
//   taut::Hedge hedge{near, far, {.after = 200us}};
//   greeter::Greeter::Client greeter{near};
//   greeter.SayHello({.name = "World"}, hedge, {.timeout = 5ms}).then(f);
//
// Only methods that their schema calls idempotent have this: both servers may run the call. `f` runs once; the attempt
// that lost is cancelled. A first attempt that fails with ran: no or maybe brings the second one at once. Against a
// tail of latency; when servers are overloaded, the budget keeps hedges a share of the calls. docs/retries.md.
//
// Threads  the thread that polls the dispatcher of both links: they have one.
// Memory   set-up allocates, and the first call of a service; a call keeps its message, and its metadata when it has
//          some, in buffers that the next one uses again.
// Waits    never, and no call under it can be waited for: a wait polls one link.
#pragma once

#include "taut/rpc/retry.h"

namespace taut {

struct HedgeOptions {
  // How long the first attempt is given. 0: as long as 95 of 100 first attempts took, learned from the calls;
  // `after_at_first` is where learning begins.
  Nanoseconds after{0};
  Nanoseconds after_at_first = std::chrono::milliseconds(1);
  double share = 0.1;  // the budget: see RetryOptions
  std::uint32_t burst = 10;
  std::uint32_t calls_max = 64;
  std::uint32_t message_bytes_max = 16 * 1024;
};

struct HedgeCounters {
  std::uint64_t calls = 0;
  std::uint64_t hedges = 0;         // second attempts
  std::uint64_t won = 0;            // answered by the second
  std::uint64_t cancelled = 0;      // attempts that lost
  std::uint64_t out_of_budget = 0;  // calls that stayed with their first attempt for that
  std::uint64_t sent_once = 0;      // that were not kept: calls_max, message_bytes_max
};

namespace rpc {

class HedgeState;

// Follows a quantile of what it is shown, without keeping it: up by 19 parts where a value lies above, down by one
// where it does not, so that it rests where one in 20 lies above.
class SlowestTwentieth {
 public:
  explicit SlowestTwentieth(double begin) noexcept : value_(begin) {}
  void saw(double value) noexcept { value_ *= value > value_ ? 1 + 19 * kStep : 1 - kStep; }
  [[nodiscard]] double value() const noexcept { return value_; }

 private:
  static constexpr double kStep = 1.0 / 400;
  double value_;
};

}  // namespace rpc

// Destroyed, it sends nothing more: its calls end with what is under way.
class Hedge final : public CallPolicy {
 public:
  // `first` is the link of the clients that are given this policy.
  Hedge(Link& first, Link& second, const HedgeOptions& options = {});
  ~Hedge();

  [[nodiscard]] const HedgeCounters& counters() const noexcept;
  // How long a first attempt is given now.
  [[nodiscard]] Nanoseconds after() const noexcept;

  // For generated clients.
  [[nodiscard]] std::byte* keep(rpc::LinkState& link, const rpc::Binding& binding, std::uint32_t method,
                                std::uint32_t payload_bytes) noexcept override;
  [[nodiscard]] rpc::PendingCall send(CallOptions options) noexcept override;

 private:
  rpc::HedgeState* state_;  // stays until its calls have ended
};

}  // namespace taut
