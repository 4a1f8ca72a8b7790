// The calls of the peer: from a request to its handler, and from the answer back into the ring.
#include <cstring>

#include "link_end.h"

namespace taut::rpc {

void LinkEnd::serve(LaneEnd& lane, Record record, const std::byte* header_bytes,
                    std::span<const std::byte> payload) noexcept {
  ring::RequestHeader header;
  std::memcpy(&header, header_bytes, sizeof header);
  const u32 method_index = record.head.detail();
  if (served_ == nullptr || method_index >= served_->count()) [[unlikely]] {
    if (served_ != nullptr && method_index == kPing) return answer_ping(lane, header);
    return broke("a request for method %lu of %lu", method_index, served_ == nullptr ? 0 : served_->count());
  }
  if ((record.head.flags() & ~ring::flag::taken_wanted) != 0 || header.extensions != 0) [[unlikely]] {
    if ((header.extensions & ring::extension::of_the_call) != 0)
      return serve_beside(lane, record, header, header_bytes, payload);
    const bool in_arena = header.extensions == ring::extension::arena && record.head.flags() == 0;
    return in_arena ? serve_block(lane, record, header, header_bytes)
                    : serve_piece(lane, record, header, header_bytes, payload.data());
  }
  OpenRequest* const request = open_request(lane, header);
  if (request == nullptr) [[unlikely]]
    return;
  run_request(lane, *request, method_index, payload, record.end);
}

// The duty to answer begins. Null: the link is broken.
[[gnu::always_inline]] inline OpenRequest* LinkEnd::open_request(LaneEnd& lane,
                                                                 const ring::RequestHeader& header) noexcept {
  if (!lane.admission.enter()) [[unlikely]] {
    lane.admission.leave(ring::kStep);  // nobody holds a Reply for it
    broke("more unanswered calls than were granted");
    return nullptr;
  }
  counters_.requests_received.add();
  OpenRequest& request = requests_.open(header.call);
  request.sent = header.sent;
  request.started = turn_->now;
  request.budget = header.budget;
  request.bound = ring::kStep;
  request.credit = header.credit;
  request.lane = lane.name;
  request.room = AnswerRoom::none;
  request.ran = false;
  return &request;
}

[[gnu::cold, gnu::noinline]] void LinkEnd::answer_ping(LaneEnd& lane, const ring::RequestHeader& header) noexcept {
  OpenRequest* const request = open_request(lane, header);
  if (request == nullptr) return;
  RawReply reply(*request);
  if (drains()) return reply.refuse(Code::unavailable, Why::draining, "the server takes no new calls");
  // Null while a handler writes another answer: the reply is then refused when it goes.
  if (reply.claim(0) != nullptr) reply.send(0);
}

// The message is whole. `end` is the position behind its record, or its last piece.
[[gnu::always_inline]] inline void LinkEnd::run_request(LaneEnd& lane, OpenRequest& request, u32 method_index,
                                                        std::span<const std::byte> payload, u64 end) noexcept {
  Turn& turn = *turn_;
  const ServedMethods::Method& method = (*served_)[method_index];
  if (request.nobody_waits != OpenRequest::Void::no) [[unlikely]]
    return refuse(request, Code::cancelled, Ran::no, Why::cancelled, "the caller gave it up before it ran");
  request.method = static_cast<u16>(method_index);
  // A stamp from the future counts as now; `none` and `longer` are not checked here.
  const Ticks waited = turn.now > request.sent ? turn.now - request.sent : 0;
  if (waited > turn.budget_ticks(request.budget) && request.budget - 1 < ring::kBudgetLonger - 1) [[unlikely]] {
    counters_.requests_expired.add();
    return refuse(request, Code::deadline_exceeded, Ran::no, Why::expired_in_queue, "the deadline passed in the queue");
  }
  if (serve_halt_word_->load(std::memory_order_relaxed) != 0) [[unlikely]] {
    return drains() ? refuse(request, Code::unavailable, Ran::no, Why::draining, "the server takes no new calls")
                    : refuse(request, Code::unavailable, Ran::no, Why::halted, "the service is halted");
  }
  if (Limits* const limits = served_->limits(); limits != nullptr) [[unlikely]] {
    if (!let_in(*limits, request, method_index)) return;
  }
  const u32 promised = lane.admission.promise(lane.out, method.answer_bound);
  if (promised == 0) [[unlikely]] {
    return refuse(request, Code::resource_exhausted, Ran::no, Why::reply_room, "no room for the answer");
  }
  request.bound = promised;
  // For people who look from outside; `position` follows in taken().
  lane.taken->call.store(request.call, std::memory_order_relaxed);
  lane.taken->method.store(method_index, std::memory_order_relaxed);
  lane.taken->since.store(turn.now, std::memory_order_relaxed);
  if (contexts_ != nullptr) [[unlikely]]
    return run_with_context(lane, request, method, payload, end);
  start_handler(lane, request, method, payload, end);
}

[[gnu::always_inline]] inline void LinkEnd::start_handler(LaneEnd& lane, OpenRequest& request,
                                                          const ServedMethods::Method& method,
                                                          std::span<const std::byte> payload, u64 end) noexcept {
  Turn& turn = *turn_;
  ServedCall call(*method.description, payload, RawReply(request), request.ran, *lane.taken, end);
  turn.calling_user = true;
  turn.inheriting.origin = &request;
  try {
    method.serve(*method.service, call);
  } catch (...) {
    turn.log_thrown("the handler of " + std::string(method.description->name));
    call.reply().refuse(Code::internal, Why::handler_threw, "the handler threw an exception");  // if it still has it
  }
  turn.inheriting.origin = nullptr;
  turn.calling_user = false;
}

// There is no row, no answer and no deadline: what cannot be handled is counted.
[[gnu::noinline, gnu::flatten]] void LinkEnd::serve_oneway(LaneEnd& lane, Record record, const std::byte* header,
                                                           std::span<const std::byte> payload) noexcept {
  lane.in.read_ahead();
  const u32 method_index = record.head.detail();
  if (served_ == nullptr || method_index >= served_->count() || record.head.flags() != 0) [[unlikely]] {
    if (served_ != nullptr && record.head.flags() == ring::flag::extensions)
      return serve_oneway_beside(lane, record, header, payload);
    return broke("a one-way message for method %lu with flags %lu", method_index, record.head.flags());
  }
  const ServedMethods::Method& method = (*served_)[method_index];
  counters_.oneways_received.add();
  if (method.kind != CallKind::oneway || serve_halt_word_->load(std::memory_order_relaxed) != 0) [[unlikely]]
    return counters_.oneways_refused.add();
  lane.taken->call.store(0, std::memory_order_relaxed);
  lane.taken->method.store(method_index, std::memory_order_relaxed);
  lane.taken->since.store(turn_->now, std::memory_order_relaxed);
  oneway_.ran = false;
  oneway_.header = header;
  if (contexts_ != nullptr) [[unlikely]]
    return run_oneway_with_context(lane, method, payload, record.end);
  start_oneway(lane, method, payload, record.end);
}

[[gnu::always_inline]] inline void LinkEnd::start_oneway(LaneEnd& lane, const ServedMethods::Method& method,
                                                         std::span<const std::byte> payload, u64 end) noexcept {
  ServedCall call(*method.description, payload, RawReply(), oneway_.ran, *lane.taken, end);
  turn_->calling_user = true;
  try {
    method.serve(*method.service, call);
  } catch (...) {
    turn_->log_thrown("the handler of " + std::string(method.description->name));
  }
  turn_->calling_user = false;
  if (!oneway_.ran) [[unlikely]]
    counters_.oneways_refused.add();
}

void LinkEnd::close_request(OpenRequest& request, u16 detail) noexcept {
  if (contexts_ != nullptr) [[unlikely]]
    context_over(request, detail);
  if (request.stream != nullptr) [[unlikely]]
    end_stream(std::move(request.stream));
  if (Limits* const limits = served_->limits(); limits != nullptr) [[unlikely]]
    count_closed(*limits, request);
  lane_of(request.lane).admission.leave(request.bound);
  requests_.close(request);
}

[[gnu::always_inline]] inline std::byte* LinkEnd::claim_answer(OpenRequest& request, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(request.lane);
  if (lane.claimed != nullptr) return nullptr;
  lane.claim_room = ClaimRoom::of_answer;
  if (payload_bytes >= lane.out.ring_bytes()) [[unlikely]]
    return claim_large_answer(request, payload_bytes);
  const u32 bytes = sizeof(ring::ReplyHeader) + payload_bytes;
  const bool promised = ring::up(bytes) <= request.bound;
  if (promised && bytes <= kCopyMax && !lane.out.unseen()) {
    request.room = AnswerRoom::staged;
    lane.claimed_bytes = payload_bytes;
    return lane.claimed = lane.staged + sizeof(ring::ReplyHeader);
  }
  // Within its bound an answer uses its own share untested; beyond it, it is an ordinary claim.
  if (!lane.claim_record(bytes, promised ? 0 : lane.admission.reserve())) [[unlikely]] {
    if (!promised) return claim_large_answer(request, payload_bytes);
    broke_promise();
    return nullptr;
  }
  request.room = AnswerRoom::in_ring;
  lane.claimed_bytes = payload_bytes;
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
      close_request(request, kLost);
      counters_.answers_lost.add();
      return broke_promise();
    }
    lane.out.send_copy(claim, head, lane.staged, request.call);
  } else if (request.room == AnswerRoom::in_ring) {
    lane.out.send_in_place(lane.claim, head, request.call);
  } else if (request.room == AnswerRoom::in_arena) {
    send_answer_block(lane, payload_bytes, request.call);
  } else {
    return send_large_answer(request, payload_bytes);
  }
  close_request(request, detail);
  counters_.answers_sent.add();
  sent();
}

[[gnu::noinline]] void LinkEnd::refuse(OpenRequest& request, Code code, Ran ran, Why why,
                                       std::string_view text) noexcept {
  LaneEnd& lane = lane_of(request.lane);
  // What was claimed is not sent any more.
  if (std::exchange(request.room, AnswerRoom::none) != AnswerRoom::none) drop_claim(lane);
  if (closed_) {
    close_request(request, kLost);
    counters_.answers_lost.add();
    return;
  }
  // Another answer is being written in this lane: this one follows in the next turn.
  if (lane.claimed != nullptr) return owe(*turn_, {&request, Status(code, ran, why, text)});
  if (contexts_ != nullptr) note_refusal(request, Status(code, ran, why, text));
  // A status is one line: its room was reserved from the start.
  const u32 bytes = std::min<u32>(static_cast<u32>(text.size()), ring::kStep - sizeof(ring::ReplyHeader));
  std::byte* const payload = claim_answer(request, bytes);
  if (payload == nullptr) return close_request(request, kLost);  // the link is broken
  if (bytes != 0) std::memcpy(payload, text.data(), bytes);      // the data() of an empty text may be null
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

}  // namespace taut::rpc
