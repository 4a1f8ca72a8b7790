// Requests with trace, metadata or interceptors on their way to the handler and back; and calls that carry trace or
// metadata on their way out. Part of the running path, beside the way that most calls take.
#include <cstring>

#include "link_end.h"
#include "request_contexts.h"
#include "taut/memory/copy.h"

namespace taut::rpc {

// --- on their way in

RequestContexts& LinkEnd::contexts() {
  if (contexts_ == nullptr) contexts_ = std::make_unique<RequestContexts>(requests_.capacity());
  return *contexts_;
}

void LinkEnd::intercept(std::shared_ptr<const ServerChain> chain) { contexts().chain = std::move(chain); }

// Reads the blocks that say something of the call, and lets the rest of the record take its usual way as if it had come
// without them.
[[gnu::noinline]] void LinkEnd::serve_beside(LaneEnd& lane, Record record, ring::RequestHeader header,
                                             const std::byte* header_bytes,
                                             std::span<const std::byte> payload) noexcept {
  RequestContexts& all = contexts();
  RequestContext& context = all.take();
  const u32 taken = context.blocks.read(header.extensions, payload);
  header.extensions &= static_cast<u16>(~ring::extension::of_the_call);
  if (taken == IncomingBlocks::kImpossible || taken > payload.size()) {
    all.put_back(context);
    return broke("trace or metadata that does not fit its record of %lu bytes", record.head.bytes());
  }
  const auto rest = payload.subspan(taken);
  const Head head = record.head;
  record.head = Head::make(head.bytes() - taken, head.kind(), head.flags(), head.detail());
  all.arriving = &context;
  if (header.extensions == 0 && (head.flags() & ~ring::flag::taken_wanted) == 0) {
    OpenRequest* const request = open_request(lane, header);
    if (request != nullptr && attach_arriving(*request)) run_request(lane, *request, head.detail(), rest, record.end);
  } else if (rest.size() < sizeof(ring::PieceBlock)) {
    broke("a request with flags %lu and extensions %lu, which were not agreed", head.flags(), header.extensions);
  } else {
    // As they would stand in a private copy of a first line.
    alignas(16) std::byte first[ring::kStep] = {};
    std::memcpy(first, header_bytes, sizeof header);
    memory::opaque_copy(first + ring::kBlocksAt, rest.data(), sizeof(ring::PieceBlock));
    if (header.extensions == ring::extension::arena && head.flags() == 0) {
      serve_block(lane, record, header, first);
    } else {
      serve_piece(lane, record, header, first, rest.data());
    }
  }
  if (RequestContext* const unused = std::exchange(all.arriving, nullptr)) {
    all.put_back(*unused);
    // Only the piece that begins a message says something of its call.
    if (!broken_ && header.extensions == ring::extension::piece) broke("trace or metadata on a later piece");
  }
}

// The request that was just opened is the one whose blocks were read. False: it was refused for them.
bool LinkEnd::attach_arriving(OpenRequest& request) noexcept {
  if (contexts_ == nullptr || contexts_->arriving == nullptr) return true;
  RequestContext& context = *std::exchange(contexts_->arriving, nullptr);
  contexts_->of_row(requests_.index_of(request)) = &context;
  if (context.blocks.wrong == nullptr) return true;
  refuse(request, Code::invalid_argument, Ran::no, Why::bad_metadata, context.blocks.wrong);
  return false;
}

const RequestContext* LinkEnd::context_of(const OpenRequest& request) const noexcept {
  return contexts_ == nullptr ? nullptr : contexts_->of_row(requests_.index_of(request));
}

// In place of starting the handler at once.
[[gnu::noinline]] void LinkEnd::run_with_context(LaneEnd& lane, OpenRequest& request,
                                                 const ServedMethods::Method& method,
                                                 std::span<const std::byte> payload, u64 end) noexcept {
  RequestContext*& of_row = contexts_->of_row(requests_.index_of(request));
  if (of_row == nullptr && contexts_->chain != nullptr) of_row = &contexts_->take();
  RequestContext* const context = of_row;
  if (context == nullptr) return start_handler(lane, request, method, payload, end);
  context->method = &method;
  if (const Status status = let_in(request, *context); !status.ok()) {
    return refuse(request, status.code(), Ran::no, Why::intercepted, status.text());
  }
  context->in_handler = true;
  turn_->inheriting.trace = context->trace();
  start_handler(lane, request, method, payload, end);
  turn_->inheriting.trace = nullptr;
  context->in_handler = false;
  if (context->over) contexts_->put_back(*context);
}

// As serve_beside(); the mask of a one-way message stands behind its header.
[[gnu::noinline]] void LinkEnd::serve_oneway_beside(LaneEnd& lane, Record record, const std::byte* header,
                                                    std::span<const std::byte> payload) noexcept {
  constexpr u32 kMaskBytes = ring::kBlocksAt - sizeof(ring::ReplyHeader);
  u16 mask;
  std::memcpy(&mask, header + sizeof(ring::ReplyHeader), sizeof mask);
  if (payload.size() < kMaskBytes || (mask & ~ring::extension::of_the_call) != 0) {
    return broke("a one-way message with extensions %lu, which were not agreed", mask);
  }
  RequestContexts& all = contexts();
  RequestContext& context = all.take();
  const u32 taken = context.blocks.read(mask, payload.subspan(kMaskBytes));
  if (taken == IncomingBlocks::kImpossible) {
    all.put_back(context);
    return broke("trace or metadata that does not fit its record of %lu bytes", record.head.bytes());
  }
  record.head = Head::make(record.head.bytes() - kMaskBytes - taken, Kind::oneway, 0, record.head.detail());
  all.arriving = &context;
  serve_oneway(lane, record, header, payload.subspan(kMaskBytes + taken));
  if (RequestContext* const unused = std::exchange(all.arriving, nullptr)) all.put_back(*unused);
}

// There is no row and nobody to answer: who refuses it is told that it ended so, and the message is counted as refused.
[[gnu::noinline]] void LinkEnd::run_oneway_with_context(LaneEnd& lane, const ServedMethods::Method& method,
                                                        std::span<const std::byte> payload, u64 end) noexcept {
  RequestContext* const arriving = std::exchange(contexts_->arriving, nullptr);
  if (arriving == nullptr && contexts_->chain == nullptr) return start_oneway(lane, method, payload, end);
  RequestContext& context = arriving != nullptr ? *arriving : contexts_->take();
  context.method = &method;
  if (context.blocks.wrong != nullptr) {
    contexts_->put_back(context);
    return counters_.oneways_refused.add();
  }
  OpenRequest request;
  request.end = this;
  request.budget = ring::kBudgetNone;
  request.started = turn_->now;
  request.sent = oneway_.sent();
  context.refusal = let_in(request, context);
  if (context.refusal.ok()) {
    turn_->inheriting = {&request, context.trace()};
    oneway_.context = &context;
    start_oneway(lane, method, payload, end);
    oneway_.context = nullptr;
    turn_->inheriting = {};
  } else {
    counters_.oneways_refused.add();
  }
  tell_ended(request, context, 0);
  contexts_->put_back(context);
}

// Asks the interceptors.
Status LinkEnd::let_in(OpenRequest& request, RequestContext& context) noexcept {
  const ServerChain* const chain = contexts_->chain.get();
  if (chain == nullptr) return {};
  context.entered_at = turn_->clock.now();
  const ServedMethods::Method& method = *context.method;
  IncomingCall call(method.service->description().name, *method.description, peer_, request, context);
  Status status;
  turn_->calling_user = true;
  for (ServerInterceptor* const interceptor : *chain) {
    call.which_ = context.entered;
    context.notes[call.which_] = 0;
    try {
      status = interceptor->on_call(call);
    } catch (...) {
      turn_->log_thrown("an interceptor");
      status = Status(Code::internal, Ran::no, Why::intercepted, "an interceptor threw an exception");
    }
    if (!status.ok()) break;
    ++context.entered;
  }
  turn_->calling_user = false;
  return status;
}

// The duty to answer is over: with `detail` of the answer that was sent, or kLost.
[[gnu::noinline]] void LinkEnd::context_over(OpenRequest& request, u16 detail) noexcept {
  RequestContext*& of_row = contexts_->of_row(requests_.index_of(request));
  RequestContext* const context = std::exchange(of_row, nullptr);
  if (context == nullptr) return;
  // Behind the end of the dispatcher this may be any thread: nobody is told.
  if (context->entered != 0 && !turn_->gone.load(std::memory_order_relaxed)) tell_ended(request, *context, detail);
  if (context->in_handler) {
    context->over = true;
  } else {
    contexts_->put_back(*context);
  }
}

void LinkEnd::tell_ended(OpenRequest& request, RequestContext& context, u16 detail) noexcept {
  const ServedMethods::Method& method = *context.method;
  IncomingCall call(method.service->description().name, *method.description, peer_, request, context);
  Status status = context.refusal;
  if (detail == kLost) status = Status(Code::unavailable, Ran::yes, Why::link_closed, "the caller was gone");
  const Ticks now = turn_->clock.now();
  const CallEnd end{status, turn_->clock.to_duration(now > context.entered_at ? now - context.entered_at : 0)};
  const bool calling_user = std::exchange(turn_->calling_user, true);
  while (context.entered != 0) {
    call.which_ = --context.entered;
    try {
      (*contexts_->chain)[call.which_]->on_end(call, end);
    } catch (...) {
      turn_->log_thrown("an interceptor");
    }
  }
  turn_->calling_user = calling_user;
}

void LinkEnd::note_refusal(OpenRequest& request, const Status& status) noexcept {
  if (RequestContext* const context = contexts_->of_row(requests_.index_of(request))) context->refusal = status;
}

// --- on their way out

// As send_request() for a call that carries something beside its message. A claim does not know of it, so the message
// moves up: what is small was written beside the ring anyway, and what is large moves within it. Null: `refused` says
// why.
[[gnu::noinline]] PendingTable::Row* LinkEnd::send_request_beside(Lane lane_name, u16 method, u32 payload_bytes,
                                                                  u32 budget, Ticks timeout, u16 credit,
                                                                  const Beside& beside, Why& refused) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  const OutgoingBlocks blocks(beside);
  refused = make_room_beside(lane, payload_bytes, blocks);
  if (refused != Why::none) {
    drop_claim(lane);
    return nullptr;
  }
  const auto block_bytes = static_cast<u32>(blocks.bytes().size());
  const u64 budget_and_credit = budget | u64{credit} << 32;
  const Ticks stamp = turn_->stamp();
  lane.claimed = nullptr;
  PendingTable::Row* const row = pending_.open();
  if (row == nullptr) {
    drop_claim(lane);
    refused = Why::calls_in_flight;
    return nullptr;
  }
  row->lane = lane_name;
  row->sending = false;
  if (lane.claim_room == ClaimRoom::in_buffer) {
    send_large_request(lane, *row, method, payload_bytes, budget_and_credit, stamp, &blocks);
  } else {
    u64 mask = blocks.mask();
    u32 bytes = u32{sizeof(ring::RequestHeader)} + block_bytes + payload_bytes;
    if (lane.claim_room == ClaimRoom::in_arena) {
      mask |= ring::extension::arena;
      bytes = ring::kArenaHeader + block_bytes;
      hand_over_block(lane, payload_bytes, block_bytes);
    }
    std::memcpy(lane.out.memory().bytes(lane.claim.at) + ring::kBlocksAt, blocks.bytes().data(), block_bytes);
    lane.out.send_in_place(lane.claim, Head::make(bytes, Kind::request, 0, method), row->call, stamp,
                           budget_and_credit | mask << 48);
  }
  call_began(lane, *row, stamp, timeout);
  return row;
}

// Pieces and arenas are not for one-way messages: what does not fit its record with the blocks is too big.
[[gnu::noinline]] Why LinkEnd::send_oneway_beside(Lane lane_name, u16 method, u32 payload_bytes,
                                                  const Beside& beside) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  const OutgoingBlocks blocks(beside);
  const u32 header = ring::kBlocksAt + static_cast<u32>(blocks.bytes().size());
  const std::byte* const message = std::exchange(lane.claimed, nullptr);
  if (!lane.claim_record(header + payload_bytes, lane.admission.reserve())) {
    if (lane.claim.refusal == ring::Refusal::too_big) return Why::too_big;
    if (lane.claim.refusal == ring::Refusal::full) return Why::ring_full;
    broke("an impossible `released` position");
    return Why::peer_violation;
  }
  std::byte* const record = lane.out.memory().bytes(lane.claim.at);
  std::memmove(record + header, message, payload_bytes);
  std::memcpy(record + ring::kBlocksAt, blocks.bytes().data(), blocks.bytes().size());
  lane.out.send_in_place(lane.claim, Head::make(header + payload_bytes, Kind::oneway, ring::flag::extensions, method),
                         turn_->stamp(), u64{blocks.mask()}, u64{0});
  counters_.oneways_sent.add();
  return Why::none;
}

// Claims anew, for the blocks too, and moves what was written behind them.
Why LinkEnd::make_room_beside(LaneEnd& lane, u32 payload_bytes, const OutgoingBlocks& blocks) noexcept {
  const auto block_bytes = static_cast<u32>(blocks.bytes().size());
  const u32 first_piece = piece_bytes_max(lane.out.ring_bytes(), lane.admission.reserve());
  if (lane.claim_room == ClaimRoom::in_buffer) return block_bytes < first_piece ? Why::none : Why::too_big;
  const bool in_arena = lane.claim_room == ClaimRoom::in_arena;
  const std::byte* const message = lane.claimed;
  const u32 header = ring::kBlocksAt + block_bytes;
  const u32 behind = in_arena ? u32{sizeof(ring::ArenaBlock)} : payload_bytes;
  if (lane.claim_record(header + behind, lane.admission.reserve())) {
    if (in_arena) return Why::none;
    std::memmove(lane.out.memory().bytes(lane.claim.at) + header, message, payload_bytes);
    lane.claim_room = ClaimRoom::in_ring;
    return Why::none;
  }
  if (lane.claim.refusal == ring::Refusal::full) return Why::ring_full;
  if (lane.claim.refusal == ring::Refusal::violation) {
    broke("an impossible `released` position");
    return Why::peer_violation;
  }
  // Too big for a record with them, and not without.
  if (in_arena || block_bytes >= first_piece || payload_bytes > wire_->agreement().message_out_max) return Why::too_big;
  if (!claim_buffer(lane, payload_bytes)) return Why::ring_full;
  std::memcpy(lane.claimed, message, payload_bytes);
  lane.claim_room = ClaimRoom::in_buffer;
  return Why::none;
}

}  // namespace taut::rpc
