#include "taut/rpc/hedge.h"

#include "../dispatcher/core.h"
#include "attempts.h"
#include "kept_calls.h"

namespace taut {
namespace rpc {

class HedgeState final : public KeptCalls {
 public:
  HedgeState(LinkState& first, LinkState& second, const HedgeOptions& options)
      : KeptCalls(first, options.calls_max, options.message_bytes_max),
        options_(options),
        second_(&second),
        budget_(options.share, options.burst),
        slowest_(static_cast<double>(core_->turn().clock.to_ticks(options.after_at_first))) {
    second.add(*this);
  }
  void forget_second() noexcept {
    if (second_ != nullptr) std::exchange(second_, nullptr)->remove(*this);
  }
  [[nodiscard]] Ticks after() const noexcept {
    return options_.after.count() > 0 ? core_->turn().clock.to_ticks(options_.after)
                                      : static_cast<Ticks>(slowest_.value());
  }

  [[nodiscard]] Nanoseconds after_duration() const noexcept { return core_->turn().clock.to_duration(after()); }

  HedgeCounters counters;

 private:
  void begin(KeptCall& call) noexcept override {
    ++counters.calls;
    budget_.called();
    if (second_ != nullptr && second_->core() != link_->core()) {
      return end_later(call, Status(Code::failed_precondition, Ran::no, Why::none,
                                    "the links of a hedge belong to different dispatchers: connect both with one"));
    }
    call.begun = core_->turn().stamp();
    if (start(call, *link_, *call.binding)) return set_timer(call, call.begun + after());
    if (!hedge(call)) end_later(call, of_all(call));
  }
  // The first attempt had its time.
  void due(KeptCall& call) noexcept override {
    if (!hedge(call) && call.under_way == 0) {
      call.last = of_all(call);
      finish_in_turn(call);
    }
  }
  void sent_once() noexcept override { ++counters.sent_once; }
  void forget_link(LinkState& link) noexcept override {
    if (&link == second_) return forget_second();
    KeptCalls::forget_link(link);
  }

  // False: it was refused, `last` says why.
  bool start(KeptCall& call, LinkState& link, const Binding& binding) noexcept {
    const bool is_second = call.attempts.made++ == 1;
    PendingCall sent = send_attempt(call, link, binding, left(call.attempts));
    if (sent.refused()) {
      call.last = sent.take_refusal();
      return false;
    }
    // When a dispatcher ends both links at once, the loser cannot be taken back: its row is another call's by then.
    sent.then([this, &call, id = call.id, is_second](const RawAnswer& raw) {
      if (call.id == id) ended(call, raw, is_second);
    });
    (is_second ? call.other : call.attempt) = sent.ref();
    ++call.under_way;
    return true;
  }
  bool hedge(KeptCall& call) noexcept {
    if (call.attempts.made >= 2 || link_ == nullptr || second_ == nullptr || left_) return false;
    if (!budget_.take()) {
      ++counters.out_of_budget;
      return false;
    }
    ++counters.hedges;
    return start(call, *second_, bind(*second_, call.binding->service));
  }

  void ended(KeptCall& call, const RawAnswer& raw, bool is_second) {
    (is_second ? call.other : call.attempt) = {};
    --call.under_way;
    if (!is_second && raw.status.ok()) saw(call);
    if (raw.status.ok()) {
      if (is_second) {
        ++counters.won;
        saw(call);  // the first one would have taken longer yet
      }
      lose(call.attempt, call);
      lose(call.other, call);
      return finish(call, raw);
    }
    call.attempts.ran = more_certain(call.attempts.ran, raw.status.ran());
    call.last = raw.status;
    const bool final = !may_mend(raw.status, call.attempts);
    if (call.under_way != 0 && (!final || (is_second && raw.status.ran() != Ran::yes))) return;
    if (!final && hedge(call)) return call.stop();
    if (call.under_way != 0) call.attempts.ran = more_certain(call.attempts.ran, Ran::maybe);
    lose(call.attempt, call);
    lose(call.other, call);
    finish(call, {of_all(call), {}});
  }
  void saw(const KeptCall& call) noexcept { slowest_.saw(static_cast<double>(core_->turn().clock.now() - call.begun)); }
  void lose(CallRef& attempt, KeptCall& call) noexcept {
    if (!attempt) return;
    attempt.forget();
    --call.under_way;
    ++counters.cancelled;
  }
  // Of one attempt nothing is said: it is as if the call had been a plain one.
  [[nodiscard]] static Status of_all(const KeptCall& call) noexcept {
    return call.attempts.made > 1 ? status_of_all(call.last, call.attempts, 2, "") : call.last;
  }

  bool end_attempts(KeptCall& call, bool run_callback) noexcept override {
    if (call.ending) return false;
    call.stop();
    CallRef& told = call.attempt ? call.attempt : call.other;
    lose(&told == &call.attempt ? call.other : call.attempt, call);
    if (run_callback) {
      told.cancel();  // which is how the call ends
    } else {
      lose(told, call);
    }
    return run_callback;
  }

  const HedgeOptions options_;
  LinkState* second_;  // null: it is gone
  RetryBudget budget_;
  SlowestTwentieth slowest_;
};

}  // namespace rpc

Hedge::Hedge(Link& first, Link& second, const HedgeOptions& options)
    : state_(new rpc::HedgeState(first.state(), second.state(), options)) {}
Hedge::~Hedge() {
  state_->forget_second();
  rpc::KeptCalls::leave(state_);
}
const HedgeCounters& Hedge::counters() const noexcept { return state_->counters; }
Nanoseconds Hedge::after() const noexcept { return state_->after_duration(); }
std::byte* Hedge::keep(rpc::LinkState& link, const rpc::Binding& binding, std::uint32_t method,
                       std::uint32_t payload_bytes) noexcept {
  return state_->keep(link, binding, method, payload_bytes);
}
rpc::PendingCall Hedge::send(CallOptions options) noexcept { return state_->send(options); }

}  // namespace taut
