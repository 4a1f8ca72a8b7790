#include "taut/rpc/retry.h"

#include <random>

#include "../dispatcher/core.h"
#include "attempts.h"
#include "kept_calls.h"

namespace taut {
namespace rpc {

class RetryState final : public KeptCalls {
 public:
  RetryState(LinkState& link, const RetryOptions& options)
      : KeptCalls(link, options.calls_max, options.message_bytes_max),
        options_(options),
        budget_(options.share, options.burst),
        dice_(dice_of(core_->draw_seed())) {}

  // How a call ended that is not repeated, or how long to pause before it is.
  struct Verdict {
    bool again = false;
    Ticks when = 0;
  };
  // `status` ended an attempt. Where no other follows it becomes the call's: with what its handler has done in all
  // attempts, and with their number.
  [[nodiscard]] Verdict judge(Attempts& attempts, Status& status, bool repeats) noexcept {
    attempts.ran = more_certain(attempts.ran, status.ran());
    const char* reason = "";
    if (repeats && may_mend(status, attempts)) {
      const Ticks now = core_->turn().clock.now();
      const Ticks when = now + core_->turn().clock.to_ticks(pause(attempts.made) + status.retry_after());
      if (attempts.made >= options_.attempts) {
        ++counters.out_of_attempts;
      } else if (when >= attempts.deadline) {
        ++counters.out_of_time;
        reason = "; no time is left for another";
      } else if (!budget_.take()) {
        ++counters.out_of_budget;
        reason = "; the link's budget of retries is used up";
      } else {
        return {true, when};
      }
    }
    if (attempts.made > 1 || *reason != 0) status = status_of_all(status, attempts, options_.attempts, reason);
    return {};
  }
  void begun() noexcept {
    ++counters.calls;
    budget_.called();
  }
  [[nodiscard]] Nanoseconds attempt_timeout(const Attempts& attempts) const noexcept {
    const Nanoseconds rest = left(attempts);
    return options_.attempt_timeout.count() > 0 ? std::min(rest, options_.attempt_timeout) : rest;
  }
  [[nodiscard]] Attempts begin_waiting(const BoundMethod& method, Wait wait) const noexcept {
    Attempts attempts;
    attempts.deadline = deadline_of(method, wait.options.timeout);
    return attempts;
  }
  [[nodiscard]] bool is_of(const LinkState& link) const noexcept { return &link == link_; }

  RetryCounters counters;

 private:
  void begin(KeptCall& call) noexcept override {
    begun();
    attempt(call);
  }
  void due(KeptCall& call) noexcept override {
    if (link_ != nullptr) {
      ++counters.attempts;
      return attempt(call);
    }
    if (!left_) call.last = Status(Code::cancelled, call.attempts.ran, Why::link_closed, "this side closed the link");
    finish_in_turn(call);
  }
  void sent_once() noexcept override { ++counters.sent_once; }

  void attempt(KeptCall& call) noexcept {
    ++call.attempts.made;
    PendingCall sent = send_attempt(call, *link_, *call.binding, attempt_timeout(call.attempts));
    sent.then([this, &call](const RawAnswer& raw) { ended(call, raw); });
    call.attempt = sent.ref();
  }
  // True: it is still to be told.
  bool end_attempts(KeptCall& call, bool run_callback) noexcept override {
    if (call.is_set()) return false;
    if (!call.attempt) return true;
    if (run_callback) {
      call.attempt.cancel();
      return true;
    }
    call.attempt.forget();
    return false;
  }
  void ended(KeptCall& call, const RawAnswer& raw) {
    call.attempt = {};
    if (call.forgotten) return finish(call, raw);
    if (raw.status.ok()) {
      if (call.attempts.made > 1) ++counters.saved;
      return finish(call, raw);
    }
    Status status = raw.status;
    const Verdict verdict = judge(call.attempts, status, link_ != nullptr);
    if (!verdict.again) return finish(call, {status, {}});
    call.last = status;
    set_timer(call, verdict.when);
  }

  // Drawn from the whole pause, not from a part: repetitions then spread widest (the "full jitter" of Brooker,
  // "Exponential Backoff And Jitter", 2015).
  [[nodiscard]] Nanoseconds pause(std::uint32_t made) noexcept {
    const std::uint32_t doublings = std::min(made - 1, 30u);
    const Nanoseconds most = std::min(options_.backoff_max, options_.backoff * (std::int64_t{1} << doublings));
    return Nanoseconds{std::uniform_int_distribution<std::int64_t>(0, std::max<std::int64_t>(most.count(), 0))(dice_)};
  }
  // Mixed first: of seeds that stand in a row, a generator of this kind would draw numbers that do.
  static std::minstd_rand dice_of(std::uint32_t seed) {
    std::seed_seq mixed{seed};
    return std::minstd_rand(mixed);
  }

  const RetryOptions options_;
  RetryBudget budget_;
  std::minstd_rand dice_;
};

}  // namespace rpc

Retry::Retry(Link& link, const RetryOptions& options) : state_(new rpc::RetryState(link.state(), options)) {}
Retry::~Retry() { rpc::KeptCalls::leave(state_); }
const RetryCounters& Retry::counters() const noexcept { return state_->counters; }
std::byte* Retry::keep(rpc::LinkState& link, const rpc::Binding& binding, std::uint32_t method,
                       std::uint32_t payload_bytes) noexcept {
  return state_->keep(link, binding, method, payload_bytes);
}
rpc::PendingCall Retry::send(CallOptions options) noexcept { return state_->send(options); }

RetryRounds::RetryRounds(Retry& retry, rpc::LinkState& link, const rpc::Binding& binding, std::uint32_t method,
                         Wait wait) noexcept
    : state_(*retry.state_),
      link_(link),
      options_(wait.options),
      repeats_(state_.is_of(link) && binding.service.methods[method].idempotent),
      attempts_(state_.begin_waiting(binding.methods[method], wait)) {
  state_.begun();
}

Wait RetryRounds::next() noexcept {
  if (++attempts_.made > 1) ++state_.counters.attempts;
  options_.timeout = state_.attempt_timeout(attempts_);
  return taut::wait(options_);
}

bool RetryRounds::again(Status& status) noexcept {
  if (status.ok()) {
    if (attempts_.made > 1) ++state_.counters.saved;
    return false;
  }
  const auto verdict = state_.judge(attempts_, status, repeats_);
  if (verdict.again) link_.pause(verdict.when);
  return verdict.again;
}

}  // namespace taut
