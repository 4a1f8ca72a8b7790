// Answers: from a handler's Reply back into the ring that was reserved for them.
#include <cstring>
#include <exception>

#include "link_end.h"

namespace taut::rpc {

using ring::Head;
using ring::Kind;
using ring::Lane;
using ring::u16;
using ring::u32;
using ring::u8;

[[gnu::always_inline]] inline std::byte* LinkEnd::claim_answer(LaneEnd& lane, u32 payload_bytes, u32 bound) noexcept {
  if (lane.claim_open || payload_bytes >= lane.out.ring_bytes()) return nullptr;
  const u32 bytes = sizeof(ring::ReplyHeader) + payload_bytes;
  // Within its bound an answer uses its own share untested; beyond it, it is an ordinary claim.
  const u32 reserve = ring::up(bytes) <= bound ? 0 : lane.admission.reserve();
  lane.claim = lane.out.claim(bytes, reserve);
  if (!lane.claim) {
    if (reserve == 0 && lane.claim.refusal != ring::Refusal::too_big) {
      broke("the room that was kept for an answer is not free: answers are not released in order");
    }
    return nullptr;
  }
  lane.claim_open = true;
  return lane.out.memory().bytes(lane.claim.at) + sizeof(ring::ReplyHeader);
}

[[gnu::always_inline]] inline void LinkEnd::send_answer(LaneEnd& lane, std::uint64_t call, u32 payload_bytes, u16 detail, u32 bound) noexcept {
  lane.claim_open = false;
  std::memcpy(lane.out.memory().bytes(lane.claim.at) + offsetof(ring::ReplyHeader, call), &call, sizeof call);
  lane.out.send(lane.claim, Head::make(u32{sizeof(ring::ReplyHeader)} + payload_bytes, Kind::reply, ring::flag::your_id, detail));
  lane.admission.leave(bound);
  counters_.answers_sent.add();
  sent();
}

[[gnu::noinline]] void LinkEnd::refuse(LaneEnd& lane, std::uint64_t call, u32 bound, Code code, Ran ran, Why why, std::string_view text) noexcept {
  if (closed_) {
    lane.admission.leave(bound);
    counters_.answers_lost.add();
    return;
  }
  // Another answer is being written in this lane: this one follows in the next turn.
  if (lane.claim_open) return owe(*turn_, {this, call, bound, lane.name, Status(code, ran, why, text)});
  // A status is one line: its room was reserved from the start.
  const u32 bytes = std::min<u32>(static_cast<u32>(text.size()), ring::kStep - sizeof(ring::ReplyHeader));
  std::byte* payload = claim_answer(lane, bytes, ring::kStep);
  if (payload == nullptr) {
    lane.admission.leave(bound);
    return;  // the link is broken
  }
  if (bytes != 0) std::memcpy(payload, text.data(), bytes);  // the data() of an empty text may be null
  const u16 detail = static_cast<u16>(static_cast<u8>(code) | static_cast<u8>(ran) << 8 | static_cast<u8>(why) << 10);
  if (ran == Ran::no) counters_.requests_refused.add();
  send_answer(lane, call, bytes, detail, bound);
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
  return duty_.end->turn_->on_owner() && !duty_.end->turn_->gone.load(std::memory_order_relaxed);
}

[[gnu::flatten]] std::byte* RawReply::claim(u32 payload_bytes) noexcept {
  if (duty_.end == nullptr || !at_home() || duty_.end->closed_) return nullptr;
  std::byte* room = duty_.end->claim_answer(duty_.end->lane_of(duty_.lane), payload_bytes, duty_.bound);
  if (room != nullptr) [[likely]] duty_.marks |= kClaimed;
  return room;
}

[[gnu::flatten]] void RawReply::send(u32 payload_bytes) noexcept {
  LinkEnd* end = std::exchange(duty_.end, nullptr);
  end->send_answer(end->lane_of(duty_.lane), duty_.call, payload_bytes, 0, duty_.bound);
}

void RawReply::refuse(Code code, Why why, std::string_view text) noexcept {
  if (duty_.end == nullptr) return;
  if (!at_home()) return drop_elsewhere(true);
  LinkEnd* end = std::exchange(duty_.end, nullptr);
  LinkEnd::LaneEnd& lane = end->lane_of(duty_.lane);
  if ((duty_.marks & kClaimed) != 0) lane.claim_open = false;  // what was claimed is not sent any more
  // What is refused before taken() did not run.
  end->refuse(lane, duty_.call, duty_.bound, code, (duty_.marks & kRan) != 0 ? Ran::yes : Ran::no, why, text);
}

void RawReply::refuse_too_big(u32 payload_bytes) noexcept {
  if (duty_.end == nullptr) return;
  if (at_home() && duty_.end->closed_) return refuse(Code::unavailable, Why::link_closed, {});
  refuse(Code::resource_exhausted, Why::too_big,
         "the answer of " + std::to_string(payload_bytes) + " bytes exceeds its room");
}

Nanoseconds RawReply::left() const noexcept {
  if (duty_.end == nullptr || duty_.budget == ring::kBudgetNone || duty_.budget == ring::kBudgetLonger) return Nanoseconds::max();
  const Turn& turn = *duty_.end->turn_;
  const Ticks now = turn.clock.now();
  const Ticks used = now > duty_.sent ? now - duty_.sent : 0;
  const Ticks budget = turn.budget_ticks(duty_.budget);
  return used >= budget ? Nanoseconds{0} : turn.clock.to_duration(budget - used);
}

Nanoseconds RawReply::queued() const noexcept {
  if (duty_.end == nullptr) return Nanoseconds{0};
  return duty_.end->turn_->clock.to_duration(duty_.started > duty_.sent ? duty_.started - duty_.sent : 0);
}

void RawReply::drop() noexcept {
  if (!at_home()) return drop_elsewhere(false);
  if (std::uncaught_exceptions() > 0) return refuse(Code::internal, Why::handler_threw, "the handler threw an exception");
  refuse(Code::aborted, Why::reply_dropped, "the handler let its reply go without an answer");
}

}  // namespace taut::rpc
