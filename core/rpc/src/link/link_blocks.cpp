// Messages in the arena (blocks.h): claimed as room for one record and one block, sent as that record.
#include <cstring>

#include "link_end.h"
#include "taut/memory/copy.h"

namespace taut::rpc {

using ring::ArenaBlock;

// The record is one line, so an answer's room for it is promised already.
bool LinkEnd::claim_block(LaneEnd& lane, u32 payload_bytes, u32 reserve) noexcept {
  if (own_blocks_ == nullptr) return false;
  bool lies = false;
  std::byte* const block = own_blocks_->take(payload_bytes, lies);
  if (lies) broke("blocks that came back and were not out");
  if (block == nullptr) return false;
  if (!lane.claim_record(ring::kArenaHeader, reserve)) {
    own_blocks_->drop(block);
    return false;
  }
  lane.claimed_block = lane.claimed = block;
  return true;
}

// Writes the block's place into the record that was claimed with it.
void LinkEnd::hand_over_block(LaneEnd& lane, u32 payload_bytes, u32 blocks_before) noexcept {
  const ArenaBlock block = own_blocks_->hand_over(std::exchange(lane.claimed_block, nullptr), payload_bytes);
  std::memcpy(lane.out.memory().bytes(lane.claim.at) + ring::kBlocksAt + blocks_before, &block, sizeof block);
}

void LinkEnd::send_request_block(LaneEnd& lane, u16 method, u32 payload_bytes, u64 call, Ticks stamp,
                                 u64 budget_and_credit) noexcept {
  hand_over_block(lane, payload_bytes);
  constexpr u64 kExtensions = u64{ring::extension::arena} << 48;
  lane.out.send_in_place(lane.claim, Head::make(ring::kArenaHeader, Kind::request, 0, method), call, stamp,
                         budget_and_credit | kExtensions);
}

void LinkEnd::send_answer_block(LaneEnd& lane, u32 payload_bytes, u64 call) noexcept {
  hand_over_block(lane, payload_bytes);
  constexpr u8 kFlags = ring::flag::your_id | ring::flag::extensions;
  lane.out.send_in_place(lane.claim, Head::make(ring::kArenaHeader, Kind::reply, kFlags), call,
                         u64{ring::extension::arena}, u64{0});
}

// Where the peer says that the message lies. `header` is a private copy of the record's first line. Nothing: a lie.
std::optional<LinkEnd::PeerBlock> LinkEnd::find_block(Head head, const std::byte* header) noexcept {
  PeerBlock found;
  std::memcpy(&found.block, header + ring::kBlocksAt, sizeof found.block);
  const auto bytes = peer_blocks_ == nullptr ? std::nullopt : peer_blocks_->find(found.block);
  if (!bytes || head.bytes() != ring::kArenaHeader) {
    broke("a message of %lu bytes at %lu, which is not in its arena", found.block.bytes, found.block.offset);
    return std::nullopt;
  }
  found.bytes = *bytes;
  return found;
}

// The block in private memory, for a link that checks copies. Null bytes: larger than agreed, or no memory.
Buffer LinkEnd::copy_block(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() > wire_->agreement().message_in_max) return {};
  Buffer copy = turn_->buffers.take(static_cast<u32>(bytes.size()), counters_);
  if (copy.bytes != nullptr) memory::opaque_copy(copy.bytes.get(), bytes.data(), bytes.size());
  return copy;
}

[[gnu::noinline]] void LinkEnd::serve_block(LaneEnd& lane, Record record, const ring::RequestHeader& header,
                                            const std::byte* header_bytes) noexcept {
  const auto found = find_block(record.head, header_bytes);
  if (!found) return;
  OpenRequest* const request = open_request(lane, header);
  if (request == nullptr) return;
  if (!attach_arriving(*request)) return peer_blocks_->give_back(found->block);
  if (!copies_all_) {
    run_request(lane, *request, record.head.detail(), found->bytes, record.end);
  } else if (Buffer copy = copy_block(found->bytes); copy.bytes != nullptr) {
    run_request(lane, *request, record.head.detail(), {copy.bytes.get(), found->bytes.size()}, record.end);
    turn_->buffers.keep(std::move(copy));
  } else {
    refuse(*request, Code::resource_exhausted, Ran::no, Why::too_big, "larger than message_max, and is copied");
  }
  peer_blocks_->give_back(found->block);
}

// An answer with a callback, or one that nobody waits for any more.
[[gnu::noinline]] void LinkEnd::finish_block(LaneEnd& lane, Head head, const std::byte* header) noexcept {
  const auto found = find_block(head, header);
  if (!found) return;
  if (lane.calls_open == 0) return broke("an answer to a call that nobody made");
  --lane.calls_open;
  u64 call;
  std::memcpy(&call, header + offsetof(ring::ReplyHeader, call), sizeof call);
  PendingTable::Row* const row = pending_.find(call);
  if (row == nullptr) {
    late_answer(lane);
  } else {
    counters_.answers_received.add();
    if (!copies_all_) {
      run_callback(*row, {Status{}, found->bytes});
    } else if (Buffer copy = copy_block(found->bytes); copy.bytes != nullptr) {
      run_callback(*row, {Status{}, {copy.bytes.get(), found->bytes.size()}});
      turn_->buffers.keep(std::move(copy));
    } else {
      run_callback(*row, {too_big_to_copy(), {}});
    }
  }
  peer_blocks_->give_back(found->block);
}

// A wait for another call found it. Who has a callback hears of it in the next poll.
[[gnu::noinline]] void LinkEnd::pass_by_block(LaneEnd& lane, Record record, const std::byte* header) noexcept {
  u64 call;
  std::memcpy(&call, header + offsetof(ring::ReplyHeader, call), sizeof call);
  PendingTable::Row* const row = pending_.find(call);
  if (row != nullptr && row->callback) {
    lane.kept.push_back({record, Then::handle});
    unfinished_ = true;
    return;
  }
  const auto found = find_block(record.head, header);
  if (!found) return;
  if (lane.calls_open == 0) return broke("an answer to a call that nobody made");
  if (row == nullptr) {
    late_answer(lane);
  } else {
    close_row(*row);
    counters_.answers_received.add();
  }
  peer_blocks_->give_back(found->block);
  give_back(lane, record);
}

Status LinkEnd::too_big_to_copy() const noexcept {
  return {Code::resource_exhausted, Ran::yes, Why::too_big, "the answer is larger than message_max, and is copied"};
}

// The answer of a wait outlives the link, so it is copied out of the arena.
[[gnu::noinline]] void LinkEnd::take_answer_block(LaneEnd& lane, Record record, Status& status,
                                                  AnswerBuffer& buffer) noexcept {
  const auto found = find_block(record.head, buffer.record());
  if (!found) return;
  u64 call;
  std::memcpy(&call, buffer.record() + offsetof(ring::ReplyHeader, call), sizeof call);
  if (Buffer copy = turn_->buffers.take(static_cast<u32>(found->bytes.size()), counters_); copy.bytes != nullptr) {
    memory::opaque_copy(copy.bytes.get(), found->bytes.data(), found->bytes.size());
    buffer.adopt(std::move(copy.bytes), found->bytes.size());
  } else {
    status = too_big_to_copy();
  }
  close_row(*pending_.find(call));
  counters_.answers_received.add();
  peer_blocks_->give_back(found->block);
  give_back(lane, record);
}

}  // namespace taut::rpc
