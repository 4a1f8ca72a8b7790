// Answers: from a handler's Reply back into the ring that was reserved for them.
#include <cstring>
#include <exception>

#include "link_end.h"

namespace taut::rpc {

using ring::Head;
using ring::Kind;
using ring::u16;
using ring::u32;
using ring::u8;

void LinkEnd::close_request(OpenRequest& request) noexcept {
  lane_of(request.lane).admission.leave(request.bound);
  requests_.close(request);
}

[[gnu::always_inline]] inline std::byte* LinkEnd::claim_answer(OpenRequest& request, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(request.lane);
  if (lane.claimed != nullptr || payload_bytes >= lane.out.ring_bytes()) return nullptr;
  const u32 bytes = sizeof(ring::ReplyHeader) + payload_bytes;
  const bool promised = ring::up(bytes) <= request.bound;
  if (promised && bytes <= kCopyMax && !lane.out.unseen()) {
    request.room = AnswerRoom::staged;
    request.claimed = payload_bytes;
    return lane.claimed = lane.staged + sizeof(ring::ReplyHeader);
  }
  // Within its bound an answer uses its own share untested; beyond it, it is an ordinary claim.
  if (!lane.claim_record(bytes, promised ? 0 : lane.admission.reserve())) [[unlikely]] {
    if (promised && lane.claim.refusal != ring::Refusal::too_big) broke_promise();
    return nullptr;
  }
  request.room = AnswerRoom::in_ring;
  request.claimed = payload_bytes;
  return lane.claimed = lane.out.memory().bytes(lane.claim.at) + sizeof(ring::ReplyHeader);
}

[[gnu::cold, gnu::noinline]] void LinkEnd::broke_promise() noexcept {
  broke("the room that was kept for an answer is not free: answers are not released in order");
}

[[gnu::always_inline]] inline void LinkEnd::send_answer(OpenRequest& request, u32 payload_bytes, u16 detail) noexcept {
  LaneEnd& lane = lane_of(request.lane);
  lane.claimed = nullptr;
  const u32 bytes = u32{sizeof(ring::ReplyHeader)} + payload_bytes;
  const Head head = Head::make(bytes, Kind::reply, ring::flag::your_id, detail);
  if (request.room == AnswerRoom::staged) {
    const ring::Claim claim = lane.out.claim(bytes);
    if (!claim) [[unlikely]] {
      close_request(request);
      counters_.answers_lost.add();
      return broke_promise();
    }
    lane.out.send_copy(claim, head, lane.staged, request.call);
  } else {
    lane.out.send_in_place(lane.claim, head, request.call);
  }
  close_request(request);
  counters_.answers_sent.add();
  sent();
}

[[gnu::noinline]] void LinkEnd::refuse(OpenRequest& request, Code code, Ran ran, Why why,
                                       std::string_view text) noexcept {
  LaneEnd& lane = lane_of(request.lane);
  // What was claimed is not sent any more.
  if (std::exchange(request.room, AnswerRoom::none) != AnswerRoom::none) lane.claimed = nullptr;
  if (closed_) {
    close_request(request);
    counters_.answers_lost.add();
    return;
  }
  // Another answer is being written in this lane: this one follows in the next turn.
  if (lane.claimed != nullptr) return owe(*turn_, {&request, Status(code, ran, why, text)});
  // A status is one line: its room was reserved from the start.
  const u32 bytes = std::min<u32>(static_cast<u32>(text.size()), ring::kStep - sizeof(ring::ReplyHeader));
  std::byte* const payload = claim_answer(request, bytes);
  if (payload == nullptr) return close_request(request);     // the link is broken
  if (bytes != 0) std::memcpy(payload, text.data(), bytes);  // the data() of an empty text may be null
  const u16 detail = static_cast<u16>(static_cast<u8>(code) | static_cast<u8>(ran) << 8 | static_cast<u8>(why) << 10);
  if (ran == Ran::no) counters_.requests_refused.add();
  send_answer(request, bytes, detail);
  if (ran == Ran::no && batching_) {
    // Shown before the next request's mark: else a kill in this turn would have the caller read from that mark that
    // this one ran. What ran may stay in the batch, since the mark is right about it.
    LaneEnd& batched = lanes_[0];
    batched.out.end_batch();
    batched.out.begin_batch();
    std::atomic_signal_fence(std::memory_order_seq_cst);  // docs/memory-model.md, taken
  }
}

// On the dispatcher's thread, and the dispatcher lives.
inline bool RawReply::at_home() const noexcept {
  const Turn& turn = request_->end->turn();
  return turn.on_owner() && !turn.gone.load(std::memory_order_relaxed);
}

[[gnu::flatten]] std::byte* RawReply::claim(u32 payload_bytes) noexcept {
  if (request_ == nullptr || !at_home() || request_->end->closed_) return nullptr;
  return request_->end->claim_answer(*request_, payload_bytes);
}

[[gnu::flatten]] void RawReply::send(u32 payload_bytes) noexcept {
  if (request_ == nullptr) return;
  if (!at_home() || request_->end->closed_) [[unlikely]]
    return refuse(Code::unavailable, Why::link_closed, {});
  if (request_->room == AnswerRoom::none || payload_bytes > request_->claimed) [[unlikely]] {
    return refuse_too_big(payload_bytes);
  }
  OpenRequest& request = *std::exchange(request_, nullptr);
  request.end->send_answer(request, payload_bytes, 0);
}

void RawReply::refuse(Code code, Why why, std::string_view text) noexcept {
  if (request_ == nullptr) return;
  if (!at_home()) return drop_elsewhere(true);
  OpenRequest& request = *std::exchange(request_, nullptr);
  // What is refused before taken() did not run.
  request.end->refuse(request, code, request.ran ? Ran::yes : Ran::no, why, text);
}

void RawReply::refuse_too_big(u32 payload_bytes) noexcept {
  if (request_ == nullptr) return;
  if (at_home() && request_->end->closed_) return refuse(Code::unavailable, Why::link_closed, {});
  refuse(Code::resource_exhausted, Why::too_big,
         "the answer of " + std::to_string(payload_bytes) + " bytes exceeds its room");
}

Nanoseconds RawReply::left() const noexcept {
  if (request_ == nullptr || request_->budget == ring::kBudgetNone || request_->budget == ring::kBudgetLonger) {
    return Nanoseconds::max();
  }
  const Turn& turn = request_->end->turn();
  const Ticks now = turn.clock.now();
  const Ticks used = now > request_->sent ? now - request_->sent : 0;
  const Ticks budget = turn.budget_ticks(request_->budget);
  return used >= budget ? Nanoseconds{0} : turn.clock.to_duration(budget - used);
}

Nanoseconds RawReply::queued() const noexcept {
  if (request_ == nullptr) return Nanoseconds{0};
  return request_->end->turn().clock.to_duration(request_->started > request_->sent ? request_->started - request_->sent
                                                                                    : 0);
}

void RawReply::drop() noexcept {
  if (!at_home()) return drop_elsewhere(false);
  if (std::uncaught_exceptions() > 0)
    return refuse(Code::internal, Why::handler_threw, "the handler threw an exception");
  refuse(Code::aborted, Why::reply_dropped, "the handler let its reply go without an answer");
}

}  // namespace taut::rpc
