// The calls of this side: claimed, sent, answered, waited for, given up.
#include <cstring>

#include "link_end.h"
#include "taut/memory/copy.h"

namespace taut::rpc {

namespace {

// An answer that is ok, without pieces or extensions: the usual one, told by a single comparison.
constexpr bool is_plain_answer(Head head) noexcept {
  return head.word >> 32 == Head::make(0, Kind::reply, ring::flag::your_id).word >> 32;
}

}  // namespace

[[gnu::always_inline]] inline CallRoom LinkEnd::claim_request(Lane lane_name, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  if (lane.claimed != nullptr) [[unlikely]]
    return {nullptr, 0, Why::open_claim};
  if (broken_) [[unlikely]]
    return {nullptr, 0, Why::peer_violation};
  if (lane.calls_open >= lane.calls_max) [[unlikely]] {
    if (const Why why = no_grant(lane); why != Why::none) return {nullptr, 0, why};
  }
  if (halt_word_->load(std::memory_order_relaxed) != 0) [[unlikely]]
    return {nullptr, 0, halted()};
  const u32 bytes = sizeof(ring::RequestHeader) + payload_bytes;
  if (payload_bytes >= lane.out.ring_bytes()) [[unlikely]]
    return claim_large_request(lane, payload_bytes);
  if (!lane.claim_record(bytes, lane.admission.reserve())) [[unlikely]] {
    if (lane.claim.refusal == ring::Refusal::too_big) return claim_large_request(lane, payload_bytes);
    if (lane.claim.refusal == ring::Refusal::full) return {nullptr, 0, Why::ring_full};
    broke("an impossible `released` position");
    return {nullptr, 0, Why::peer_violation};
  }
  claim_reported_ = false;
  lane.claimed = lane.begin_record() + sizeof(ring::RequestHeader);
  return {lane.claimed, lane.claim.room - u32{sizeof(ring::RequestHeader)}, Why::none};
}

[[gnu::always_inline]] inline PendingTable::Row* LinkEnd::send_request(Lane lane_name, u16 method, u32 payload_bytes,
                                                                       u32 budget, Ticks timeout, u16 credit) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  lane.claimed = nullptr;
  const Ticks stamp = turn_->stamp();  // first: it takes a while, and is needed last
  PendingTable::Row* row = pending_.open();
  if (row == nullptr) [[unlikely]]
    return nullptr;
  const Head head = Head::make(u32{sizeof(ring::RequestHeader)} + payload_bytes, Kind::request, 0, method);
  const u64 rest = budget | u64{credit} << 32;  // extensions are 0
  row->lane = lane_name;
  row->sending = false;
  if (lane.claim_room == ClaimRoom::staged) {
    lane.out.send_copy(lane.claim, head, lane.staged, row->call, stamp, rest);
  } else if (lane.claim_room == ClaimRoom::in_ring) {
    lane.out.send_in_place(lane.claim, head, row->call, stamp, rest);
  } else if (lane.claim_room == ClaimRoom::in_arena) {
    send_request_block(lane, method, payload_bytes, row->call, stamp, rest);
  } else {
    send_large_request(lane, *row, method, payload_bytes, rest, stamp);
  }
  call_began(lane, *row, stamp, timeout);
  return row;
}

[[gnu::always_inline]] inline void LinkEnd::call_began(LaneEnd& lane, PendingTable::Row& row, Ticks stamp,
                                                       Ticks timeout) noexcept {
  row.end = lane.out.position();
  row.deadline = timeout == kNever ? kNever : stamp + timeout;
  if (row.deadline < turn_->earliest_deadline) turn_->earliest_deadline = row.deadline;
  ++lane.calls_open;
  counters_.calls_sent.add();
}

// As a request, without grant, row and deadline; its header is that of an answer.
[[gnu::always_inline]] inline CallRoom LinkEnd::claim_oneway(Lane lane_name, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  if (lane.claimed != nullptr) [[unlikely]]
    return {nullptr, 0, Why::open_claim};
  if (broken_) [[unlikely]]
    return {nullptr, 0, Why::peer_violation};
  if (halt_word_->load(std::memory_order_relaxed) != 0) [[unlikely]]
    return {nullptr, 0, halted()};
  if (payload_bytes >= lane.out.ring_bytes()) [[unlikely]]
    return {nullptr, 0, Why::too_big};
  if (!lane.claim_record(sizeof(ring::ReplyHeader) + payload_bytes, lane.admission.reserve())) [[unlikely]] {
    if (lane.claim.refusal == ring::Refusal::too_big) return {nullptr, 0, Why::too_big};
    if (lane.claim.refusal == ring::Refusal::full) return {nullptr, 0, Why::ring_full};
    broke("an impossible `released` position");
    return {nullptr, 0, Why::peer_violation};
  }
  claim_reported_ = false;
  lane.claimed = lane.begin_record() + sizeof(ring::ReplyHeader);
  return {lane.claimed, lane.claim.room - u32{sizeof(ring::ReplyHeader)}, Why::none};
}

[[gnu::always_inline]] inline void LinkEnd::send_oneway(Lane lane_name, u16 method, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  lane.claimed = nullptr;
  const Ticks stamp = turn_->stamp();
  const Head head = Head::make(u32{sizeof(ring::ReplyHeader)} + payload_bytes, Kind::oneway, 0, method);
  if (lane.claim_room == ClaimRoom::staged) {
    lane.out.send_copy(lane.claim, head, lane.staged, stamp);
  } else {
    lane.out.send_in_place(lane.claim, head, stamp);
  }
  counters_.oneways_sent.add();
}

[[gnu::noinline]] Status LinkEnd::read_status(Head head, std::span<const std::byte> payload) const noexcept {
  const u16 detail = head.detail();
  const auto code = static_cast<u8>(detail);
  const auto ran = static_cast<u8>(detail >> 8) & 3;
  const auto why = static_cast<u8>(detail >> 10);
  const Why cause = why < static_cast<u8>(Why::count_) ? static_cast<Why>(why) : Why::none;
  u32 wait = 0;
  if (says_when(cause) && payload.size() >= sizeof wait) {
    std::memcpy(&wait, payload.data(), sizeof wait);
    payload = payload.subspan(sizeof wait);
  }
  const std::string_view text(reinterpret_cast<const char*>(payload.data()),
                              std::min<std::size_t>(payload.size(), kStatusTextMax));
  Status status(code != 0 && code < kCodeCount ? static_cast<Code>(code) : Code::unknown,
                ran < static_cast<int>(kRanCount) ? static_cast<Ran>(ran) : Ran::maybe, cause, text);
  status.set_retry_after(Nanoseconds{std::int64_t{wait} * Status::kWaitStepNs});
  return status;
}

void LinkEnd::finish(LaneEnd& lane, Head head, const std::byte* header_bytes,
                     std::span<const std::byte> payload) noexcept {
  u64 call;
  std::memcpy(&call, header_bytes + offsetof(ring::ReplyHeader, call), sizeof call);
  const bool plain = is_plain_answer(head);
  if (!plain && (head.flags() & ring::flag::extensions) != 0) [[unlikely]]
    return finish_piece(lane, head, header_bytes, payload.data());
  if (lane.calls_open == 0) [[unlikely]]
    return broke("an answer to a call that nobody made");
  --lane.calls_open;
  PendingTable::Row* row = pending_.find(call);
  if (row == nullptr) [[unlikely]]
    return late_answer(lane);
  counters_.answers_received.add();
  if (plain) [[likely]] {
    run_callback(*row, {Status{}, payload});
  } else if (head.flags() != ring::flag::your_id) {
    broke("an answer with flags %lu, which were not agreed", head.flags());
  } else {
    run_callback(*row, {read_refusal(lane, head, payload), {}});
  }
}

// A call that ended here before its answer came. Any other answer is a lie.
[[gnu::cold, gnu::noinline]] void LinkEnd::late_answer(LaneEnd& lane) noexcept {
  if (lane.calls_abandoned == 0) return broke("an answer to a call that nobody made, or a second one");
  --lane.calls_abandoned;
  counters_.answers_late.add();
}

inline void LinkEnd::run_callback(PendingTable::Row& row, const RawAnswer& answer) noexcept {
  row.call = 0;  // ended; the row itself is free again when its callback has run, which may make new calls
  turn_->calling_user = true;
  try {
    row.callback.finish(answer);
  } catch (...) {
    turn_->log_thrown("the callback of a call");
  }
  turn_->calling_user = false;
  close_row(row);
}

LinkEnd::Found LinkEnd::look_for(u64 call, Status& status, AnswerBuffer& buffer) noexcept {
  bool any = false;
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lane_of(lane_name);
    while (const Record record = lane.in.next()) {
      any = true;
      const u64 answered = copy_answer(lane, record, buffer);
      if (answered != call) {
        if (!pass_by(lane, record, answered, buffer.record())) return Found::something;
      } else if (take_answer(lane, record, call, status, buffer)) [[likely]] {
        return broken_ ? Found::something : Found::answer;
      }
    }
    lane.in.idle();
    if (lane.in.violated()) [[unlikely]]
      broke("a record of impossible size, kind or place");
  }
  if (unfinished_) [[unlikely]]
    any |= send_pieces() != 0;
  return any ? Found::something : Found::nothing;
}

// Copies what is looked at to the buffer: a small record whole, the first line of others. Returns the call that it
// answers, 0 for none.
[[gnu::always_inline]] inline u64 LinkEnd::copy_answer(LaneEnd& lane, Record record, AnswerBuffer& buffer) noexcept {
  static_assert(AnswerBuffer::kRecordBytes == kCopyMax);
  if (record.head.kind() != Kind::reply) [[unlikely]]
    return 0;
  const u32 bytes = record.head.bytes();
  memory::opaque_copy(buffer.record(), lane.in.bytes(record), bytes <= kCopyMax ? ring::up(bytes) : ring::kStep);
  u64 id;
  std::memcpy(&id, buffer.record() + offsetof(ring::ReplyHeader, call), sizeof id);
  return id;
}

// Does a wait leave this record, which is no answer, to the next poll()? Behind one that it left it leaves all; and
// handlers run in no wait, so it leaves what belongs to the peer's calls. A client that only waits is thus refused
// `calls_in_flight` in the end, in a sentence that says to poll.
bool LinkEnd::for_next_poll(const LaneEnd& lane, Head head) const noexcept {
  return !lane.kept.empty() || (served_ != nullptr && of_peers_call(head));
}

// A wait found something else. What somebody has a callback for is kept for the next poll(); a record that nobody
// listens to is done with, since a client that only waits would keep it, and all behind it, for ever. False: the wait
// has to look at its deadline before it reads on.
[[gnu::noinline]] bool LinkEnd::pass_by(LaneEnd& lane, Record record, u64 answered, const std::byte* header) noexcept {
  const bool is_answer = record.head.kind() == Kind::reply;
  if (is_answer && (record.head.flags() & ring::flag::extensions) != 0) {
    pass_by_piece(lane, record, header);
    return true;
  }
  PendingTable::Row* row = is_answer ? pending_.find(answered) : nullptr;
  if ((row != nullptr && row->callback) || (!is_answer && for_next_poll(lane, record.head))) {
    keep(lane, {record, Then::handle, answered});
    return true;
  }
  if (!is_answer) return pass_by_other(lane, record);
  if (lane.calls_open == 0) {
    broke("an answer to a call that nobody made");
    return true;
  }
  if (row == nullptr) {
    late_answer(lane);
  } else {
    row->call = 0;
    close_row(*row);
    counters_.answers_received.add();
  }
  give_back(lane, record);
  return true;
}

// As pass_by(), of a record that is no answer.
[[gnu::cold, gnu::noinline]] bool LinkEnd::pass_by_other(LaneEnd& lane, Record record) noexcept {
  alignas(64) std::byte header[ring::kStep];
  memory::opaque_copy(header, lane.in.bytes(record), ring::kStep);
  const Kind kind = record.head.kind();
  if (kind == Kind::item && find_stream(record.head, header) != nullptr) {
    keep(lane, {record, Then::handle});  // somebody reads them, and may be called in a turn only
    return true;
  }
  if (kind == Kind::item) {
    counters_.items_received.add();
    counters_.items_dropped.add();
  } else if (kind == Kind::drain) {
    heard_drain(record.head, header);
  } else if (kind == Kind::credit) {
    take_credit(record.head, header);
  } else if ((record.head.kind_byte() & ring::kKindMayBeSkipped) == 0) {
    broke("a record of kind %lu, which was not agreed", record.head.kind_byte());
    return true;
  }
  lane.in.release(record.end);
  return lane.in.at(record) != 0;  // every lap comes by there
}

// The answer was taken. Behind one that is kept its room and its grant stay in use: the ring is released in order, and
// a grant that came back before its room would let the ring overfill.
inline void LinkEnd::give_back(LaneEnd& lane, Record record) noexcept {
  if (lane.kept.empty()) [[likely]] {
    lane.in.release(record.end);
    --lane.calls_open;
  } else {
    keep(lane, {record, Then::return_grant});
  }
}

[[gnu::always_inline]] inline bool LinkEnd::take_answer(LaneEnd& lane, Record record, u64 call, Status& status,
                                                        AnswerBuffer& buffer) noexcept {
  PendingTable::Row* row = pending_.find(call);
  if (row == nullptr || lane.calls_open == 0) [[unlikely]] {
    broke("an answer given twice");
    return true;
  }
  const u32 bytes = record.head.bytes() - u32{sizeof(ring::ReplyHeader)};
  if (is_plain_answer(record.head)) [[likely]] {
    std::byte* const payload = buffer.resize(bytes);
    if (record.head.bytes() > kCopyMax) [[unlikely]] {
      memory::opaque_copy(payload, lane.in.bytes(record) + sizeof(ring::ReplyHeader), bytes);
    }
  } else if ((record.head.flags() & ring::flag::extensions) != 0) {
    return take_answer_piece(lane, record, status, buffer);
  } else if (record.head.flags() != ring::flag::your_id) {
    broke("an answer with flags %lu, which were not agreed", record.head.flags());
    return true;
  } else {
    const u32 copied =
        std::min<u32>(bytes, (record.head.bytes() <= kCopyMax ? kCopyMax : ring::kStep) - sizeof(ring::ReplyHeader));
    status = read_refusal(lane, record.head, {buffer.record() + sizeof(ring::ReplyHeader), copied});
  }
  row->call = 0;
  close_row(*row);
  counters_.answers_received.add();
  give_back(lane, record);
  return true;
}

}  // namespace taut::rpc
