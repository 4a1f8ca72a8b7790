// Messages that no record holds, in pieces: the buffers that they are written to, the turns in which they leave, and
// what becomes of those that arrive (pieces.h).
#include <cstring>

#include "link_end.h"
#include "taut/memory/copy.h"

namespace taut::rpc {

namespace {

// Of one lane in one turn, about as many as a ring takes: what else there is to do comes between.
constexpr int kPiecesPerTurn = 4;
// What stands of a piece in the line of its header.
constexpr u32 kFirstLine = ring::kStep - ring::kPieceHeader;
// Messages that wait for each other in a lane hold so many times the longest message at most.
constexpr u64 kLongestWaiting = 4;

// A reply's mask, from a private copy of its first line.
u16 extensions_of(const std::byte* header) noexcept {
  u16 mask;
  std::memcpy(&mask, header + sizeof(ring::ReplyHeader), sizeof mask);
  return mask;
}

}  // namespace

// --- on their way out

bool LinkEnd::claim_buffer(LaneEnd& lane, u32 payload_bytes) noexcept {
  const u64 longest = wire_->agreement().message_out_max;
  if (payload_bytes > longest || lane.leaving_bytes + payload_bytes > kLongestWaiting * longest) return false;
  lane.claimed_buffer = turn_->buffers.take(payload_bytes, counters_);
  lane.claimed = lane.claimed_buffer.bytes.get();
  return lane.claimed != nullptr;
}

[[gnu::cold, gnu::noinline]] CallRoom LinkEnd::claim_large_request(LaneEnd& lane, u32 payload_bytes) noexcept {
  if (claim_block(lane, payload_bytes, lane.admission.reserve())) {
    lane.claim_room = ClaimRoom::in_arena;
    return {lane.claimed, payload_bytes, Why::none};
  }
  if (payload_bytes > wire_->agreement().message_out_max) return {nullptr, 0, Why::too_big};
  if (!claim_buffer(lane, payload_bytes)) return {nullptr, 0, Why::ring_full};
  lane.claim_room = ClaimRoom::in_buffer;
  return {lane.claimed, payload_bytes, Why::none};
}

[[gnu::cold, gnu::noinline]] std::byte* LinkEnd::claim_large_answer(OpenRequest& request, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(request.lane);
  lane.claimed_bytes = payload_bytes;
  if (claim_block(lane, payload_bytes, 0)) {
    request.room = AnswerRoom::in_arena;
    return lane.claimed;
  }
  if (!claim_buffer(lane, payload_bytes)) return nullptr;
  request.room = AnswerRoom::in_buffer;
  return lane.claimed;
}

[[gnu::noinline]] void LinkEnd::drop_claim(LaneEnd& lane) noexcept {
  lane.claimed = nullptr;
  if (lane.claimed_block != nullptr) own_blocks_->drop(std::exchange(lane.claimed_block, nullptr));
  turn_->buffers.keep(std::exchange(lane.claimed_buffer, {}));
}

[[gnu::cold, gnu::noinline]] void LinkEnd::send_large_request(LaneEnd& lane, PendingTable::Row& row, u16 method,
                                                              u32 payload_bytes, u64 budget_and_credit, Ticks stamp,
                                                              const OutgoingBlocks* blocks) noexcept {
  row.sending = true;
  lane.leaving_bytes += payload_bytes;
  lane.leaving.push_back({Kind::request, method, row.call, stamp, budget_and_credit, nullptr,
                          std::exchange(lane.claimed_buffer, {}), payload_bytes});
  if (blocks != nullptr) {
    lane.leaving.back().blocks.assign(blocks->bytes().begin(), blocks->bytes().end());
    lane.leaving.back().blocks_mask = blocks->mask();
  }
  unfinished_ = true;
  send_pieces();
  sent();  // even when no piece had room: the dispatcher polls the link every turn from now on
}

[[gnu::cold, gnu::noinline]] void LinkEnd::send_large_answer(OpenRequest& request, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(request.lane);
  request.room = AnswerRoom::none;
  lane.leaving_bytes += payload_bytes;
  lane.leaving.push_back(
      {Kind::reply, 0, request.call, 0, 0, &request, std::exchange(lane.claimed_buffer, {}), payload_bytes});
  unfinished_ = true;
  send_pieces();
  sent();
}

// As far as the rings have room; the rest follows in later turns.
[[gnu::cold, gnu::noinline]] int LinkEnd::send_pieces() noexcept {
  int sent_count = 0;
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lane_of(lane_name);
    for (int i = 0; i < kPiecesPerTurn && !broken_ && lane.claimed == nullptr && send_next(lane); ++i) ++sent_count;
  }
  note_unfinished();
  if (sent_count != 0) wake_for_pieces();
  return sent_count;
}

// A fence waits for all the lines that were just written, so there is one behind the last piece only. A peer that falls
// asleep before it is seen to be by the look at its board in the next turn, which comes as long as pieces are left.
void LinkEnd::wake_for_pieces() noexcept {
  if (!sending_pieces()) {
    if (turn_->inside) return sent();
    return ring_if_asleep();
  }
  if (may_sleep_ && (peer_board_->load(std::memory_order_relaxed) & ring::board::asleep) != 0) {
    wire_->ring_bell();
    counters_.bells_rung.add();
  }
}

// False when the ring is full, or nothing is left to be sent.
bool LinkEnd::send_next(LaneEnd& lane) noexcept {
  while (!lane.leaving.empty()) {
    Leaving& message = lane.leaving.front();
    PendingTable::Row* row = message.kind == Kind::request ? pending_.find(message.call) : nullptr;
    if (message.kind == Kind::request && row == nullptr) {  // answered early, with a refusal; or nobody waits any more
      if (message.given_up && !send_cancel(lane, message.call)) return false;
      forget_leaving(lane, 0);
      continue;
    }
    if (!send_piece(lane, message)) return false;
    if (message.sent != message.total) return true;
    if (row != nullptr) {
      row->end = lane.out.position();
      row->sending = false;
    } else {
      close_request(*message.request, 0);
      counters_.answers_sent.add();
    }
    forget_leaving(lane, 0);
    return true;
  }
  return false;
}

bool LinkEnd::send_piece(LaneEnd& lane, Leaving& message) noexcept {
  const u32 ring_bytes = lane.out.ring_bytes();
  const u32 promised = lane.admission.reserve();
  const u32 beside = message.sent == 0 ? static_cast<u32>(message.blocks.size()) : 0;
  const u32 header = ring::kPieceHeader + beside;
  const u32 bytes = std::min(message.total - message.sent, piece_bytes_max(ring_bytes, promised) - beside);
  if (!lane.claim_record(header + bytes, promised + piece_third(ring_bytes, promised))) {
    if (lane.claim.refusal == ring::Refusal::violation) broke("an impossible `released` position");
    return false;
  }
  std::byte* const record = lane.out.memory().bytes(lane.claim.at);
  const std::byte* const from = message.buffer.bytes.get() + message.sent;
  // The first line last: the peer waits for it, and would take it away from under a copy that began there.
  if (bytes > kFirstLine) std::memcpy(record + header + kFirstLine, from + kFirstLine, bytes - kFirstLine);
  const ring::PieceBlock block{message.total, message.sent};
  if (beside != 0) std::memcpy(record + ring::kBlocksAt, message.blocks.data(), beside);
  std::memcpy(record + ring::kBlocksAt + beside, &block, sizeof block);
  std::memcpy(record + header, from, std::min(bytes, kFirstLine));
  message.sent += bytes;
  const u8 more = message.sent != message.total ? ring::flag::more_pieces : u8{0};
  const u32 record_bytes = header + bytes;
  if (message.kind == Kind::request) {
    const u64 extensions = u64{ring::extension::piece} | (beside != 0 ? message.blocks_mask : 0u);
    lane.out.send_in_place(lane.claim, Head::make(record_bytes, Kind::request, more, message.method), message.call,
                           message.stamp, message.budget_and_credit | extensions << 48);
  } else {
    const u8 flags = ring::flag::your_id | ring::flag::extensions | more;
    lane.out.send_in_place(lane.claim, Head::make(record_bytes, Kind::reply, flags), message.call,
                           u64{ring::extension::piece}, u64{0});
  }
  counters_.pieces_sent.add();
  if (batching_ && &lane == &lanes_[0]) {  // the peer copies it while the next one is written
    lane.out.end_batch();
    lane.out.begin_batch();
  }
  return true;
}

void LinkEnd::forget_leaving(LaneEnd& lane, std::size_t i) noexcept {
  lane.leaving_bytes -= lane.leaving[i].total;
  turn_->buffers.keep(std::move(lane.leaving[i].buffer));
  lane.leaving.erase(lane.leaving.begin() + static_cast<std::ptrdiff_t>(i));
}

// A call ends before its request has wholly left. What the peer never heard of needs no answer.
[[gnu::cold, gnu::noinline]] void LinkEnd::stop_sending(PendingTable::Row& row) noexcept {
  LaneEnd& lane = lane_of(row.lane);
  row.sending = false;
  for (std::size_t i = 0; i != lane.leaving.size(); ++i) {
    if (lane.leaving[i].call != row.call || lane.leaving[i].kind != Kind::request) continue;
    if (lane.leaving[i].sent == 0) {
      --lane.calls_open;
      return forget_leaving(lane, i);
    }
    lane.leaving[i].given_up = true;
  }
  ++lane.calls_abandoned;
}

// There is nothing to read, so the pieces are what this turn is about. As in poll(), the peer hears what was released:
// it may be waiting for room as well.
[[gnu::cold, gnu::noinline]] int LinkEnd::poll_unfinished(int budget) noexcept {
  for (LaneEnd& lane : lanes_) {
    lane.in.idle();
    if (lane.in.violated()) broke("a record of impossible size, kind or place");
  }
  return poll_records(lanes_[0], {}, budget);
}

// --- on their way in

void LinkEnd::forget_arriving(Arriving& arriving) noexcept {
  turn_->buffers.keep(std::move(arriving.buffer));
  arriving = {};
}

// A request's piece, from serve(). `bytes` are what follows its header.
[[gnu::cold, gnu::noinline]] void LinkEnd::serve_piece(LaneEnd& lane, Record record, const ring::RequestHeader& header,
                                                       const std::byte* header_bytes, const std::byte* bytes) noexcept {
  const auto piece = read_piece(record.head, header_bytes, header.extensions, wire_->agreement().message_in_max);
  if (!piece || (record.head.flags() & ~(ring::flag::taken_wanted | ring::flag::more_pieces)) != 0) {
    return broke("a request with flags %lu and extensions %lu, which were not agreed", record.head.flags(),
                 header.extensions);
  }
  Arriving& arriving = lane.arriving;
  counters_.pieces_received.add();
  if (piece->offset == 0) {
    if (arriving.call != 0) return broke("a message in pieces before the one before it was whole");
    OpenRequest* const request = open_request(lane, header);
    if (request == nullptr || !attach_arriving(*request)) return;
    Buffer buffer = turn_->buffers.take(piece->total, counters_);
    if (buffer.bytes == nullptr) {
      return refuse(*request, Code::resource_exhausted, Ran::no, Why::too_big, "no memory for the message");
    }
    arriving = {piece->call, piece->total, 0, std::move(buffer), request, record.head.detail()};
  } else if (arriving.call == 0) {
    return;  // of a request that was refused when it began
  }
  if (arriving.call != piece->call) return broke("pieces of two messages mixed");
  switch (arriving.take(*piece, bytes + sizeof(ring::PieceBlock))) {
    case Arriving::Took::part:
      return;
    case Arriving::Took::broken:
      return broke("a piece at %lu where the one at %lu was due", piece->offset, arriving.filled);
    case Arriving::Took::whole: {
      Arriving whole = std::exchange(arriving, {});  // the handler may answer, call, and let others arrive
      whole.request->started = turn_->now;
      run_request(lane, *whole.request, whole.method, {whole.buffer.bytes.get(), whole.total}, record.end);
      turn_->buffers.keep(std::move(whole.buffer));
    }
  }
}

// The caller gave the request up that arrives in this lane.
[[gnu::cold, gnu::noinline]] void LinkEnd::cancel_arriving(LaneEnd& lane) noexcept {
  OpenRequest& request = *lane.arriving.request;
  forget_arriving(lane.arriving);
  refuse(request, Code::cancelled, Ran::no, Why::cancelled, "the caller gave it up while it was arriving");
}

// A piece of an answer. `header` is a private copy of its first line; `bytes` are the peer's, behind it.
[[gnu::cold, gnu::noinline]] LinkEnd::Took LinkEnd::take_piece(LaneEnd& lane, Head head, const std::byte* header,
                                                               const std::byte* bytes) noexcept {
  constexpr u8 kFlags = ring::flag::your_id | ring::flag::extensions;
  const u16 extensions = extensions_of(header);
  const auto piece = read_piece(head, header, extensions, wire_->agreement().message_in_max);
  if (!piece || (head.flags() & ~ring::flag::more_pieces) != kFlags || head.detail() != 0 || lane.calls_open == 0) {
    broke("an answer with flags %lu and extensions %lu, which were not agreed", head.flags(), extensions);
    return Took::broken;
  }
  counters_.pieces_received.add();
  Arriving& arriving = lane.arriving_answer;
  if (piece->offset == 0 && arriving.call != 0) {
    if (pending_.find(arriving.call) != nullptr) {
      broke("a message in pieces before the one before it was whole");
      return Took::broken;
    }
    forget_arriving(arriving);  // nobody waits for it any more
  }
  if (pending_.find(piece->call) == nullptr) {
    if (arriving.call == piece->call) forget_arriving(arriving);
    return piece->last() ? Took::late : Took::part;
  }
  if (piece->offset == 0) {
    arriving = {piece->call, piece->total, 0, turn_->buffers.take(piece->total, counters_)};
    if (arriving.buffer.bytes == nullptr) {
      broke("no memory for an answer of %lu bytes", piece->total);
      return Took::broken;
    }
  }
  const Arriving::Took took = arriving.call == piece->call ? arriving.take(*piece, bytes) : Arriving::Took::broken;
  if (took == Arriving::Took::broken) broke("a piece at %lu that does not follow the one before it", piece->offset);
  return took == Arriving::Took::whole ? Took::whole : took == Arriving::Took::part ? Took::part : Took::broken;
}

// From finish(): the call has a callback. `bytes` are what follows the reply's header.
[[gnu::cold, gnu::noinline]] void LinkEnd::finish_piece(LaneEnd& lane, Head head, const std::byte* header,
                                                        const std::byte* bytes) noexcept {
  if (extensions_of(header) == ring::extension::arena) return finish_block(lane, head, header);
  const std::byte* const part = bytes + (ring::kPieceHeader - sizeof(ring::ReplyHeader));
  const Took took = take_piece(lane, head, header, part);
  if (took == Took::part || took == Took::broken) return;
  --lane.calls_open;
  if (took == Took::late) return late_answer(lane);
  Arriving whole = std::exchange(lane.arriving_answer, {});
  counters_.answers_received.add();
  run_callback(*pending_.find(whole.call), {Status{}, {whole.buffer.bytes.get(), whole.total}});
  turn_->buffers.keep(std::move(whole.buffer));
}

// From a wait. `buffer` holds the first line of the record; the answer ends up there when it is whole.
[[gnu::cold, gnu::noinline]] bool LinkEnd::take_answer_piece(LaneEnd& lane, Record record, Status& status,
                                                             AnswerBuffer& buffer) noexcept {
  if (extensions_of(buffer.record()) == ring::extension::arena) {
    take_answer_block(lane, record, status, buffer);
    return true;
  }
  switch (take_piece(lane, record.head, buffer.record(), lane.in.bytes(record) + ring::kPieceHeader)) {
    case Took::whole: {
      Arriving whole = std::exchange(lane.arriving_answer, {});
      buffer.adopt(std::move(whole.buffer.bytes), whole.total);
      close_row(*pending_.find(whole.call));
      counters_.answers_received.add();
      give_back(lane, record);
      return true;
    }
    case Took::broken:
      return true;
    default:
      release_in_order(lane, record);
      return false;
  }
}

// A wait for another call found it. The last piece stays in the ring for the next poll, which runs the callback.
[[gnu::cold, gnu::noinline]] void LinkEnd::pass_by_piece(LaneEnd& lane, Record record,
                                                         const std::byte* header) noexcept {
  if (extensions_of(header) == ring::extension::arena) return pass_by_block(lane, record, header);
  switch (take_piece(lane, record.head, header, lane.in.bytes(record) + ring::kPieceHeader)) {
    case Took::broken:
      return;
    case Took::part:
      return release_in_order(lane, record);
    case Took::late:
      late_answer(lane);
      return give_back(lane, record);
    case Took::whole:
      break;
  }
  Arriving whole = std::exchange(lane.arriving_answer, {});
  PendingTable::Row& row = *pending_.find(whole.call);
  if (row.callback) {
    return keep(lane, {record, Then::run_callback, whole.call, std::move(whole.buffer), whole.total});
  }
  close_row(row);
  counters_.answers_received.add();
  turn_->buffers.keep(std::move(whole.buffer));
  give_back(lane, record);
}

void LinkEnd::run_kept_callback(LaneEnd& lane, Kept& kept) noexcept {
  PendingTable::Row* const row = pending_.find(kept.call);
  if (row == nullptr) {
    late_answer(lane);  // it ended after its answer had arrived
  } else {
    counters_.answers_received.add();
    run_callback(*row, {Status{}, {kept.message.bytes.get(), kept.message_bytes}});
  }
  turn_->buffers.keep(std::move(kept.message));
}

// Done with a record that ends no call.
void LinkEnd::release_in_order(LaneEnd& lane, Record record) noexcept {
  if (lane.kept.empty()) {
    lane.in.release(record.end);
  } else {
    keep(lane, {record, Then::nothing});
  }
}

// The link is over.
void LinkEnd::drop_large() noexcept {
  for (LaneEnd& lane : lanes_) {
    drop_claim(lane);
    while (!lane.leaving.empty()) {
      if (OpenRequest* request = lane.leaving.front().request) {
        close_request(*request, kLost);
        counters_.answers_lost.add();
      }
      forget_leaving(lane, 0);
    }
    if (lane.arriving.request != nullptr) close_request(*lane.arriving.request, kLost);
    forget_arriving(lane.arriving);
    forget_arriving(lane.arriving_answer);
  }
}

}  // namespace taut::rpc
