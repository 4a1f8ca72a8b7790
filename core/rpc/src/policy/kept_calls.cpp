#include "kept_calls.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "../dispatcher/core.h"

namespace taut::rpc {

void KeptCall::on_time() noexcept {
  if (ending) {
    home->finish_in_turn(*this);
  } else {
    home->due(*this);
  }
}

KeptCalls::KeptCalls(LinkState& link, std::uint32_t calls_max, std::uint32_t message_bytes_max)
    : link_(&link), core_(link.core()->shared_from_this()), message_bytes_max_(message_bytes_max), rows_(calls_max) {
  for (KeptCall& row : rows_) {
    row.home = this;
    row.next_free = std::exchange(free_, &row);
  }
  link.add(*this);
}

KeptCalls::~KeptCalls() = default;

void KeptCalls::leave(KeptCalls* calls) noexcept {
  calls->left_ = true;
  if (calls->link_ != nullptr) calls->forget_link(*calls->link_);
  // Behind the end of its dispatcher nothing turns any more: what is open then was not ended, and nobody will.
  if (calls->open_count_ == 0 || calls->core_->turn().gone.load(std::memory_order_relaxed)) delete calls;
}

void KeptCalls::forget_link(LinkState& link) noexcept {
  link.remove(*this);
  link_ = nullptr;
}

// The attempts that are under way end with the link. Those that pause end now.
void KeptCalls::link_gone(LinkState& link) noexcept {
  forget_link(link);
  for (KeptCall& call : rows_) {
    if (call.is_set()) set_timer(call, 0);
  }
}

std::byte* KeptCalls::keep(LinkState& link, const Binding& binding, std::uint32_t method,
                           std::uint32_t payload_bytes) noexcept {
  if (!core_->on_owner()) return nullptr;  // the plain call says what is wrong
  if (free_ == nullptr || payload_bytes > message_bytes_max_) {
    sent_once();
    return nullptr;
  }
  KeptCall& call = *free_;
  if (payload_bytes > call.room || !call.message) {
    const std::uint32_t room = std::bit_ceil(std::max(payload_bytes, 64u));
    call.message.reset(static_cast<std::byte*>(::operator new (room, std::align_val_t{64}, std::nothrow)));
    call.room = call.message ? room : 0;
    if (!call.message) {
      sent_once();
      return nullptr;
    }
  }
  free_ = call.next_free;
  ++open_count_;
  call.bytes = payload_bytes;
  call.binding = &binding;
  call.method = method;
  call.attempts = {};
  call.ending = false;
  call.forgotten = false;
  call.id = kKeptCall | ++core_->turn().kept_calls;
  opened_ = &call;
  opened_over_ = &link;
  return call.message.get();
}

PendingCall KeptCalls::send(CallOptions options) noexcept {
  KeptCall& call = *std::exchange(opened_, nullptr);
  call.attempts.deadline = deadline_of(call.binding->methods[call.method], options.timeout);
  call.inherited = CallContext(core_->turn().inheriting);
  if (!call.binding->service.methods[call.method].idempotent) {
    end_later(call, Status(Code::failed_precondition, Ran::no, Why::none,
                           "the method is not idempotent in its schema: a policy may not send it twice"));
  } else if (!keep(call, options.metadata.get())) {
    end_later(call, Status(Code::resource_exhausted, Ran::no, Why::none, "no memory to keep the metadata in"));
  } else if (opened_over_ != link_) {
    end_later(call, Status(Code::failed_precondition, Ran::no, Why::none,
                           "a policy belongs to the link that it was made with, and this call is of another one"));
  } else {
    begin(call);
  }
  return {*opened_over_, {&call.callback, call.id}};
}

bool KeptCalls::keep(KeptCall& call, const Metadata* metadata) noexcept {
  call.metadata = {};
  if (metadata == nullptr) return true;
  if (!call.metadata_room) call.metadata_room.reset(new (std::nothrow) Metadata);
  if (!call.metadata_room) return false;
  *call.metadata_room = *metadata;
  call.metadata = *call.metadata_room;
  return true;
}

Ticks KeptCalls::deadline_of(const BoundMethod& method, Nanoseconds timeout) const noexcept {
  const Turn& turn = core_->turn();
  if (timeout >= kPracticallyForever) return kNever;
  const Ticks inherited = turn.inherited_deadline();
  if (timeout.count() == 0 && method.timeout == kNever) return inherited;
  const Ticks own = timeout.count() == 0 ? method.timeout : turn.clock.to_ticks(std::max(timeout, Nanoseconds{1}));
  return std::min(inherited, turn.stamp() + own);
}

PendingCall KeptCalls::send_attempt(KeptCall& call, LinkState& link, const Binding& binding,
                                    Nanoseconds timeout) noexcept {
  const ContextScope scope(core_->turn().inheriting, call.inherited);
  CallClaim claim = claim_call(link, binding, call.method, call.bytes);
  if (claim && call.bytes != 0) std::memcpy(claim.payload(), call.message.get(), call.bytes);
  return send_call(std::move(claim), call.bytes, {.timeout = timeout, .metadata = call.metadata});
}

bool KeptCalls::end_call(std::uint64_t id, bool run_callback) noexcept {
  const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const KeptCall& row) { return row.id == id; });
  if (found == rows_.end()) return false;
  KeptCall& call = *found;
  if (!run_callback) call.callback.clear();
  const bool told_by_attempt = end_attempts(call, run_callback);
  if (run_callback) {
    if (call.is_set() && !call.ending) {
      end_later(call, Status(Code::cancelled, call.attempts.ran, Why::cancelled, "cancelled by the caller"));
    }
  } else if (told_by_attempt) {
    call.forgotten = true;  // an attempt that was refused has its row until the next turn
  } else {
    call.stop();
    free(call);
  }
  return true;
}

void KeptCalls::finish(KeptCall& call, const RawAnswer& answer) {
  call.stop();
  Callback callback = std::move(call.callback);
  free(call);
  callback.finish(answer);
}

void KeptCalls::finish_in_turn(KeptCall& call) noexcept {
  Turn& turn = core_->turn();
  const Status status = call.last;
  turn.calling_user = true;
  try {
    finish(call, {status, {}});
  } catch (...) {
    turn.log_thrown("the callback of a call");
  }
  turn.calling_user = false;
}

void KeptCalls::end_later(KeptCall& call, const Status& status) noexcept {
  call.ending = true;
  call.last = status;
  set_timer(call, 0);
}

void KeptCalls::set_timer(KeptCall& call, Ticks when) noexcept { core_->turn().set_timer(call, when); }

Nanoseconds KeptCalls::left(const Attempts& attempts) const noexcept {
  if (attempts.deadline == kNever) return taut::forever;
  const Ticks now = core_->turn().clock.now();
  const Nanoseconds left = core_->turn().clock.to_duration(attempts.deadline - std::min(now, attempts.deadline));
  return std::max(left, Nanoseconds{1});
}

void KeptCalls::free(KeptCall& call) noexcept {
  --open_count_;
  call.id = 0;
  call.next_free = std::exchange(free_, &call);
  if (left_ && open_count_ == 0) core_->turn().set_timer(*this, 0);
}

}  // namespace taut::rpc
