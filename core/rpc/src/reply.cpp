// Answers: from a handler's Reply back into the ring that was reserved for them.
#include <cstring>
#include <exception>

#include "link_end.h"

namespace taut::rpc {

// On the dispatcher's thread, the dispatcher lives, and this is its process.
inline bool RawReply::at_home() const noexcept {
  const Turn& turn = request_->end->turn();
  return turn.on_owner() && !turn.gone.load(std::memory_order_relaxed) && !turn.forked();
}

[[gnu::flatten]] std::byte* RawReply::claim(u32 payload_bytes) noexcept {
  if (request_ == nullptr || !at_home() || request_->end->closed_) return nullptr;
  if (request_->owes_refusal()) [[unlikely]]
    return nullptr;  // and the answer says so
  return request_->end->claim_answer(*request_, payload_bytes);
}

[[gnu::flatten]] void RawReply::send(u32 payload_bytes) noexcept {
  if (request_ == nullptr) return;
  if (!at_home() || request_->end->closed_) [[unlikely]]
    return refuse(Code::unavailable, Why::link_closed, {});
  if (request_->room == AnswerRoom::none || payload_bytes > request_->end->lane_of(request_->lane).claimed_bytes)
      [[unlikely]] {
    return refuse_too_big(payload_bytes);
  }
  OpenRequest& request = *std::exchange(request_, nullptr);
  request.end->send_answer(request, payload_bytes, 0);
}

void RawReply::answer(std::span<const std::byte> payload) noexcept {
  constexpr std::size_t kTooBig = ~u32{0};
  const u32 bytes = static_cast<u32>(std::min(payload.size(), kTooBig));
  std::byte* const room = claim(bytes);
  if (room == nullptr) return refuse_too_big(bytes);
  if (bytes != 0) std::memcpy(room, payload.data(), bytes);
  send(bytes);
}

void RawReply::refuse(Code code, Why why, std::string_view text) noexcept {
  if (request_ == nullptr) return;
  if (!at_home()) return drop_elsewhere(true);
  OpenRequest& request = *std::exchange(request_, nullptr);
  if (request.nobody_waits == OpenRequest::Void::misused) [[unlikely]] {
    code = Code::failed_precondition;
    why = Why::stream_misuse;
    text = "an item or end that the stream forbids";
  } else if (request.nobody_waits == OpenRequest::Void::bad_item) [[unlikely]] {
    code = Code::invalid_argument;
    why = Why::bad_message;
    text = request.stream->refusal;
  } else if (request.nobody_waits == OpenRequest::Void::threw) [[unlikely]] {
    code = Code::internal;
    why = Why::handler_threw;
    text = "the function that takes the items threw";
  }
  // What is refused before taken() did not run.
  request.end->refuse(request, code, request.ran ? Ran::yes : Ran::no, why, text);
}

void RawReply::refuse(const Status& status) noexcept {
  if (request_ == nullptr) return;
  if (!at_home()) return drop_elsewhere(true);
  if (request_->owes_refusal()) return refuse(status.code(), status.why(), status.text());
  OpenRequest& request = *std::exchange(request_, nullptr);
  request.end->refuse(request, status.code(), status.ran(), status.why(), status.text());
}

void RawReply::refuse_too_big(u32 payload_bytes) noexcept {
  if (request_ == nullptr) return;
  if (at_home() && request_->end->closed_) return refuse(Code::unavailable, Why::link_closed, {});
  if (at_home() && request_->end->claim_open(request_->lane)) {
    return refuse(Code::failed_precondition, Why::open_claim, "a call of this lane is being written: send it first");
  }
  refuse(Code::resource_exhausted, Why::too_big,
         "the answer of " + std::to_string(payload_bytes) + " bytes exceeds its room");
}

Nanoseconds left_of(const OpenRequest& request) noexcept {
  if (request.budget == ring::kBudgetNone || request.budget == ring::kBudgetLonger) return Nanoseconds::max();
  const Turn& turn = request.end->turn();
  const Ticks now = turn.clock.now();
  const Ticks used = now > request.sent ? now - request.sent : 0;
  const Ticks budget = turn.budget_ticks(request.budget);
  return used >= budget ? Nanoseconds{0} : turn.clock.to_duration(budget - used);
}

Nanoseconds queued_of(const OpenRequest& request) noexcept {
  const Ticks ticks = request.started > request.sent ? request.started - request.sent : 0;
  return request.end->turn().clock.to_duration(ticks);
}

Nanoseconds RawReply::left() const noexcept { return request_ == nullptr ? Nanoseconds::max() : left_of(*request_); }
Nanoseconds RawReply::queued() const noexcept { return request_ == nullptr ? Nanoseconds{0} : queued_of(*request_); }

bool RawReply::cancelled() const noexcept {
  if (request_ == nullptr || !at_home()) return true;
  return request_->nobody_waits != OpenRequest::Void::no || request_->end->closed_ || left() == Nanoseconds{0};
}

void RawReply::set_cancel(StoredFunction<> f) noexcept {
  if (request_ == nullptr || !at_home()) return;
  LinkEnd& end = *request_->end;
  StreamState& state = end.state_of(*request_);
  state.cancel = std::move(f);
  if (request_->nobody_waits != OpenRequest::Void::no || end.closed_) end.attend(state);
}

StreamEnd ServedCall::stream(const StreamOptions& options) noexcept {
  return reply_.request_ == nullptr ? StreamEnd()
                                    : StreamEnd(reply_.request_->end->serve_stream(*reply_.request_, options));
}

void RawReply::drop() noexcept {
  if (!at_home()) return drop_elsewhere(false);
  if (std::uncaught_exceptions() > 0)
    return refuse(Code::internal, Why::handler_threw, "the handler threw an exception");
  refuse(Code::aborted, Why::reply_dropped, "the handler let its reply go without an answer");
}

}  // namespace taut::rpc
