// Messages that no record holds, in pieces (pieces.h): the buffers that they are written to, and the turns in which
// they leave.
#include <cstring>

#include "link_end.h"

namespace taut::rpc {
namespace {

// Of one lane in one turn, about as many as a ring takes: what else there is to do comes between.
constexpr int kPiecesPerTurn = 4;
// What stands of a piece in the line of its header.
constexpr u32 kFirstLine = ring::kStep - ring::kPieceHeader;
// Messages that wait for each other in a lane hold so many times the longest message at most.
constexpr u64 kLongestWaiting = 4;

}  // namespace

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

}  // namespace taut::rpc
