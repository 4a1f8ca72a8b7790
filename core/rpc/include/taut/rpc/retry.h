// Calls that are made again when they failed and may run twice. A policy of one link, given with the call:
//
//   taut::Retry retry{link, {.attempts = 3}};
//   greeter.SayHello({.name = "World"}, retry, {.timeout = 5ms}).then(f);
//   auto reply = greeter.SayHello({.name = "World"}, retry, taut::wait(5ms));
//
// Only methods that their schema calls idempotent have this, and an attempt follows only where the one before ended
// with ran: no or maybe. docs/retries.md says which failures are retried, and why not more.
//
// Threads  the thread that polls the link's dispatcher.
// Memory   set-up allocates; a call keeps its message, and its metadata when it has some, in buffers that the next one
//          uses again.
// Waits    never, except for calls that are waited for, which pause between their attempts.
#pragma once

#include <algorithm>
#include <memory>

#include "taut/rpc/call_policy.h"

namespace taut {

struct RetryOptions {
  std::uint32_t attempts = 3;      // of one call, with the first
  Nanoseconds attempt_timeout{0};  // of one attempt; 0: what is left of the call's timeout
  // Before the second attempt up to `backoff` pass, drawn by lot; each further pause may be twice as long.
  Nanoseconds backoff = std::chrono::microseconds(100);
  Nanoseconds backoff_max = std::chrono::milliseconds(10);
  // The budget of the link: of all calls, so many are retried at most...
  double share = 0.1;
  std::uint32_t burst = 10;                     // ...and so many more at once, saved up from quiet times
  std::uint32_t calls_max = 64;                 // calls under way; those beyond are sent once
  std::uint32_t message_bytes_max = 16 * 1024;  // longer messages are sent once
};

// What became of the calls of a Retry. Read on its thread.
struct RetryCounters {
  std::uint64_t calls = 0;
  std::uint64_t attempts = 0;         // beyond the first of each call
  std::uint64_t saved = 0;            // calls that a later attempt brought to a good end
  std::uint64_t out_of_attempts = 0;  // calls that failed as often as they might
  std::uint64_t out_of_time = 0;      // whose timeout left no room for another attempt
  std::uint64_t out_of_budget = 0;    // that were not repeated because the link's budget was used up
  std::uint64_t sent_once = 0;        // that were not kept: calls_max, message_bytes_max
};

namespace rpc {

class RetryState;

// A bucket of tokens: a call brings a part of one, a repetition takes a whole one. An overloaded server then gets at
// most its share of repetitions on top, however long it lasts: with three attempts and no budget it would get three
// times its load, and stay down. The rule is that of "Handling Overload" in Google's Site Reliability Engineering (a
// budget of 10% per client), the bucket that of Finagle's RetryBudget.
class RetryBudget {
 public:
  RetryBudget(double share, std::uint32_t burst) noexcept
      : a_call_(static_cast<std::uint64_t>(std::clamp(share, 0.0, 1.0) * kToken)), full_(burst * kToken), has_(full_) {}
  void called() noexcept { has_ = std::min(has_ + a_call_, std::max(full_, kToken)); }
  [[nodiscard]] bool take() noexcept {
    if (has_ < kToken) return false;
    has_ -= kToken;
    return true;
  }

 private:
  static constexpr std::uint64_t kToken = 1'000'000;
  std::uint64_t a_call_;
  std::uint64_t full_;
  std::uint64_t has_;
};

// How far a call has come.
struct Attempts {
  std::uint32_t made = 0;
  Ran ran = Ran::no;  // of all attempts together
  Ticks deadline = 0;
};

}  // namespace rpc

// Destroyed, it repeats nothing more: its calls end with the attempt that is under way, or with what ended the last
// one.
class Retry final : public CallPolicy {
 public:
  explicit Retry(Link& link, const RetryOptions& options = {});
  ~Retry();

  [[nodiscard]] const RetryCounters& counters() const noexcept;

  // For generated clients.
  [[nodiscard]] std::byte* keep(rpc::LinkState& link, const rpc::Binding& binding, std::uint32_t method,
                                std::uint32_t payload_bytes) noexcept override;
  [[nodiscard]] rpc::PendingCall send(CallOptions options) noexcept override;

 private:
  friend class RetryRounds;
  rpc::RetryState* state_;  // stays until its calls have ended
};

// The attempts of a call that is waited for. For generated clients:
//   RetryRounds rounds(...);
//   do status = wait_call(..., rounds.next(), ...); while (rounds.again(status));
class RetryRounds {
 public:
  RetryRounds(Retry& retry, rpc::LinkState& link, const rpc::Binding& binding, std::uint32_t method,
              Wait wait) noexcept;
  // For the next attempt.
  [[nodiscard]] Wait next() noexcept;
  // Shall there be another one? Pauses first; no callback runs meanwhile. Else `status` is how the call ended.
  [[nodiscard]] bool again(Status& status) noexcept;

 private:
  rpc::RetryState& state_;
  rpc::LinkState& link_;
  CallOptions options_;
  bool repeats_;
  rpc::Attempts attempts_;
};

}  // namespace taut
