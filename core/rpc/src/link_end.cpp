#include "link_end.h"

#include <cstring>
#include <exception>

#include "taut/memory/copy.h"

namespace taut::rpc {
namespace {

using ring::Head;
using ring::Kind;
using ring::Lane;
using ring::Record;
using ring::u16;
using ring::u32;
using ring::u64;
using ring::u8;

// The clock is read anew after so many records of a turn that never runs empty.
constexpr int kRecordsPerClockRead = 16;

constexpr Lane kLanes[] = {Lane::urgent, Lane::normal};

// Grants of a lane: its ring must keep one line per granted call beside two of its largest records (B4).
constexpr u32 grants_of(const ring::Shape& answers, u32 calls_max) noexcept {
  return std::min(calls_max, (answers.ring_bytes - 2 * answers.record_bytes_max()) / ring::kStep);
}

}  // namespace

LinkEnd::LaneEnd::LaneEnd(const ring::LaneMemory& memory, ring::Shape out_shape, ring::Shape in_shape, u32 granted_in)
    : out(memory.writer(), out_shape),
      in(memory.reader(), in_shape),
      taken(&memory.own->taken),
      peer_taken(&memory.peer->taken),
      admission(granted_in) {
  taken->position.store(in_shape.first, std::memory_order_relaxed);  // before the link is announced: nothing ran yet
  kept.reserve(in_shape.ring_bytes / ring::kStep);  // a wait can read past no more records than the ring holds
}

LinkEnd::LinkEnd(std::shared_ptr<Turn> turn, std::unique_ptr<Wire> wire, std::shared_ptr<const ServedMethods> served)
    : turn_keep_(std::move(turn)),
      turn_(turn_keep_.get()),
      wire_(std::move(wire)),
      counters_(wire_->counters()),
      served_keep_(std::move(served)),
      served_(served_keep_.get()),
      peer_board_(wire_->peer_board()),
      halt_word_(wire_->halt_word()),
      copies_all_(wire_->agreement().check == Check::copy),
      lanes_{{wire_->lane(Lane::normal), wire_->agreement().out[0], wire_->agreement().in[0],
              grants_of(wire_->agreement().out[0], wire_->agreement().calls_in_max)},
             {wire_->lane(Lane::urgent), wire_->agreement().out[1], wire_->agreement().in[1],
              grants_of(wire_->agreement().out[1], wire_->agreement().calls_in_max)}},
      pending_(grants_of(wire_->agreement().in[0], wire_->agreement().calls_out_max) +
               grants_of(wire_->agreement().in[1], wire_->agreement().calls_out_max)) {
  for (const Lane lane : kLanes) {
    lanes_[index(lane)].calls_max = grants_of(wire_->agreement().in[index(lane)], wire_->agreement().calls_out_max);
  }
  may_sleep_ = peer_board_ != nullptr &&
               (peer_board_->load(std::memory_order_relaxed) & ring::board::never_sleeps) == 0;
  if (copies_all_) large_copy_.reset(new (std::align_val_t{64}) std::byte[lanes_[0].in.ring_bytes() / 4]);
}

// The empty poll is the one that a waiting peer waits for: it looks at two heads and little else.
int LinkEnd::poll(int budget) noexcept {
  LaneEnd& urgent = lanes_[index(Lane::urgent)];
  LaneEnd& normal = lanes_[index(Lane::normal)];
  Lane lane = Lane::urgent;
  Record record = urgent.in.next();
  if (!record) {
    lane = Lane::normal;
    record = normal.in.next();
    if (!record && !any_kept_) {
      urgent.in.idle();
      normal.in.idle();
      several_ = false;
      if (urgent.in.violated() | normal.in.violated()) [[unlikely]] broke("a record of impossible size, kind or place");
      return 0;
    }
  }
  return poll_records(lane, record, budget);
}

int LinkEnd::poll_records(Lane lane, Record record, int budget) noexcept {
  if (lanes_[0].claim_open | lanes_[1].claim_open) [[unlikely]] return refuse_poll(lane, record);
  LaneEnd& urgent = lanes_[index(Lane::urgent)];
  LaneEnd& normal = lanes_[index(Lane::normal)];
  if (several_) {
    normal.out.begin_batch();
    batching_ = true;
    sent();
  }
  int done = any_kept_ ? poll_kept() : 0;
  while (record) {
    handle(lane, record, true);
    if (++done % kRecordsPerClockRead == 0) turn_->now = turn_->clock.now();
    if (done >= budget) break;
    lane = Lane::urgent;
    record = urgent.in.next();
    if (!record) {
      lane = Lane::normal;
      record = normal.in.next();
    }
  }
  several_ = done > 1;
  return done;
}

// A claim is open, so nothing may be sent in its lane: what was read waits for the next poll.
int LinkEnd::refuse_poll(Lane lane, const Record& record) noexcept {
  if (record) {
    lanes_[index(lane)].kept.push_back({record, false});
    any_kept_ = true;
  }
  if (!std::exchange(claim_reported_, true)) {
    turn_->log(Severity::error, "poll() with an open claim: send it or let it go first; the link is not polled until then");
  }
  return 0;
}

void LinkEnd::end_turn() noexcept {
  due_ = false;
  if (batching_) {
    batching_ = false;
    lanes_[index(Lane::normal)].out.end_batch();
  }
  if (!may_sleep_) return;
  struct PeerBoard {
    const ring::SharedWord* state;
    void fence(ring::Order) const noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
    [[nodiscard]] u64 load_state(ring::Order) const noexcept { return state->load(std::memory_order_relaxed); }
  } board{peer_board_};
  if (ring::bell_wanted(board)) {
    wire_->ring_bell();
    counters_.bells_rung.add();
  }
}

void LinkEnd::sent() noexcept {
  if (!turn_->inside) return end_turn();
  if (due_) return;
  due_ = true;
  turn_->due.push_back(this);  // reserved by the dispatcher when the link was made
}

bool LinkEnd::waiting() const noexcept {
  for (const LaneEnd& lane : lanes_) {
    if (lane.in.waiting() || !lane.kept.empty()) return true;
  }
  return false;
}

void LinkEnd::broke(std::string text) noexcept {
  if (violation_.empty()) violation_ = std::move(text);
}

// Brings a record into private memory as far as its size and the check mode ask for; the payload may stay in place.
std::span<const std::byte> LinkEnd::take_in(LaneEnd& lane, const Record& record, std::byte* copy, u32 header_bytes) noexcept {
  const u32 bytes = record.head.bytes();
  const std::byte* source = lane.in.memory().bytes(record.at);
  if (bytes <= kCopyMax) [[likely]] {
    memory::opaque_copy(copy, source, ring::up(bytes));
    return {copy + header_bytes, bytes - header_bytes};
  }
  memory::opaque_copy(copy, source, ring::kStep);
  if (!copies_all_) return {source + header_bytes, bytes - header_bytes};
  memory::opaque_copy(large_copy_.get(), source, bytes);
  return {large_copy_.get() + header_bytes, bytes - header_bytes};
}

void LinkEnd::handle(Lane lane_name, const Record& record, bool release) noexcept {
  LaneEnd& lane = lanes_[index(lane_name)];
  const Kind kind = record.head.kind();
  const bool asks = kind == Kind::request || kind == Kind::oneway;
  const u32 header_bytes = asks ? sizeof(ring::RequestHeader) : sizeof(ring::ReplyHeader);
  if (record.head.bytes() < header_bytes) return broke("a record that is shorter than its header");
  alignas(64) std::byte copy[kCopyMax];
  const auto payload = take_in(lane, record, copy, header_bytes);
  // A copied record is free at once; one that is read in place when its handler returns.
  const bool copied = record.head.bytes() <= kCopyMax;
  if (copied && release) lane.in.release(record.end);
  if (asks) {
    serve(lane_name, record, copy, payload);
  } else if (kind == Kind::reply) {
    finish(lane_name, record.head, copy, payload);
  } else if ((record.head.kind_byte() & ring::kKindMayBeSkipped) == 0) {
    broke("a record of kind " + std::to_string(record.head.kind_byte()) + ", which was not agreed");
  }
  if (!copied && release) lane.in.release(record.end);
}

void LinkEnd::serve(Lane lane_name, const Record& record, const std::byte* header_bytes,
                    std::span<const std::byte> payload) noexcept {
  LaneEnd& lane = lanes_[index(lane_name)];
  ring::RequestHeader header;
  std::memcpy(&header, header_bytes, sizeof header);
  const u32 method_index = record.head.detail();
  if (served_ == nullptr || method_index >= served_->count()) {
    return broke("a request for method " + std::to_string(method_index) + " of " +
                 std::to_string(served_ == nullptr ? 0 : served_->count()));
  }
  if ((record.head.flags() & ring::flag::extensions) != 0 || header.extensions != 0) {
    return broke("a request with extensions, which were not agreed");
  }
  if (!lane.admission.enter()) return broke("more unanswered calls than were granted");
  const ServedMethods::Method& method = (*served_)[method_index];
  counters_.requests_received.add();

  RawReply reply({.end = this,
                  .call = header.call,
                  .sent = header.sent,
                  .started = turn_->now,
                  .budget = header.budget,
                  .bound = ring::kStep,
                  .method = static_cast<u16>(method_index),
                  .lane = lane_name,
                  .ran = false});
  if (header.budget - 1 < ring::kBudgetLonger - 1 && turn_->now > header.sent &&  // a stamp from the future counts as now
      turn_->now - header.sent > turn_->budget_ticks(header.budget)) [[unlikely]] {
    counters_.requests_expired.add();
    reply.refuse(Code::deadline_exceeded, Why::expired_in_queue, "the deadline passed in the queue");
    return;
  }
  if (halt_word_ != nullptr && halt_word_->load(std::memory_order_relaxed) != 0) [[unlikely]] {
    reply.refuse(Code::unavailable, Why::halted, "the service is halted");
    return;
  }
  if (!lane.admission.promise(lane.out, method.answer_bound)) [[unlikely]] {
    reply.refuse(Code::resource_exhausted, Why::reply_room, "no room for the answer");
    return;
  }
  reply.duty_.bound = method.answer_bound;
  // For people who look from outside; `position` follows in taken().
  lane.taken->call.store(header.call, std::memory_order_relaxed);
  lane.taken->method.store(method_index, std::memory_order_relaxed);
  lane.taken->since.store(turn_->now, std::memory_order_relaxed);

  ServedCall call(payload, std::move(reply), lane.taken, record.end);
  turn_->calling_user = true;
  try {
    method.serve(*method.service, call);
  } catch (const std::exception& thrown) {
    turn_->log(Severity::error, "the handler of " + std::string(method.description->name) + " threw: " + thrown.what());
  } catch (...) {
    turn_->log(Severity::error, "the handler of " + std::string(method.description->name) + " threw something");
  }
  turn_->calling_user = false;
}

Status LinkEnd::read_status(Head head, std::span<const std::byte> payload) const noexcept {
  const u16 detail = head.detail();
  const auto code = static_cast<u8>(detail);
  const auto ran = static_cast<u8>(detail >> 8) & 3;
  const auto why = static_cast<u8>(detail >> 10);
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), std::min<std::size_t>(payload.size(), kStatusTextMax));
  return {code < kCodeCount ? static_cast<Code>(code) : Code::unknown, ran < static_cast<int>(kRanCount) ? static_cast<Ran>(ran) : Ran::maybe,
          why < static_cast<u8>(Why::count_) ? static_cast<Why>(why) : Why::none, text};
}

void LinkEnd::finish(Lane lane_name, Head head, const std::byte* header_bytes, std::span<const std::byte> payload) noexcept {
  LaneEnd& lane = lanes_[index(lane_name)];
  ring::ReplyHeader header;
  std::memcpy(&header, header_bytes, sizeof header);
  if (lane.calls_open == 0) return broke("an answer to a call that nobody made");
  --lane.calls_open;
  PendingTable::Row* row = pending_.find(header.call);
  if (row == nullptr) {
    counters_.answers_late.add();
    return;
  }
  counters_.answers_received.add();
  if (head.detail() == 0) [[likely]] {
    run_callback(*row, {Status{}, payload});
  } else {
    run_callback(*row, {read_status(head, payload), {}});
  }
}

void LinkEnd::run_callback(PendingTable::Row& row, const RawAnswer& answer) noexcept {
  row.call = 0;  // ended; the row itself is free again when its callback has run, which may make new calls
  turn_->calling_user = true;
  try {
    row.callback.finish(answer);
  } catch (const std::exception& thrown) {
    turn_->log(Severity::error, std::string("a callback threw: ") + thrown.what());
  } catch (...) {
    turn_->log(Severity::error, "a callback threw something");
  }
  turn_->calling_user = false;
  pending_.close(row);
}

int LinkEnd::poll_kept() noexcept {
  int done = 0;
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lanes_[index(lane_name)];
    for (const Kept& kept : lane.kept) {
      if (!kept.handled) {
        handle(lane_name, kept.record, false);
        ++done;
      }
      lane.in.release(kept.record.end);
    }
    lane.kept.clear();
  }
  any_kept_ = false;
  return done;
}

// --- calls of this side

LinkEnd::Room LinkEnd::claim_request(Lane lane_name, u32 payload_bytes) noexcept {
  LaneEnd& lane = lanes_[index(lane_name)];
  if (lane.claim_open) [[unlikely]] return {nullptr, 0, Why::open_claim};
  if (lane.calls_open >= lane.calls_max) [[unlikely]] return {nullptr, 0, Why::calls_in_flight};
  if (halt_word_ != nullptr && halt_word_->load(std::memory_order_relaxed) != 0) [[unlikely]] {
    return {nullptr, 0, Why::halted};
  }
  const u32 bytes = sizeof(ring::RequestHeader) + payload_bytes;
  lane.claim = payload_bytes < lane.out.ring_bytes() ? lane.out.claim(bytes, lane.admission.reserve())
                                                     : ring::Claim{.refusal = ring::Refusal::too_big};
  if (!lane.claim) [[unlikely]] {
    if (lane.claim.refusal == ring::Refusal::violation) broke("an impossible `released` position");
    return {nullptr, 0, lane.claim.refusal == ring::Refusal::too_big ? Why::too_big
                        : lane.claim.refusal == ring::Refusal::full  ? Why::ring_full
                                                                     : Why::peer_violation};
  }
  lane.claim_open = true;
  claim_reported_ = false;
  return {lane.out.memory().bytes(lane.claim.at) + sizeof(ring::RequestHeader), lane.claim.room - u32{sizeof(ring::RequestHeader)},
          Why::none};
}

PendingTable::Row* LinkEnd::send_request(Lane lane_name, u16 method, u32 payload_bytes, u32 budget, Ticks timeout) noexcept {
  LaneEnd& lane = lanes_[index(lane_name)];
  lane.claim_open = false;
  PendingTable::Row* row = pending_.open();
  if (row == nullptr) [[unlikely]] return nullptr;
  const Ticks stamp = turn_->stamp();
  ring::RequestHeader header{0, row->call, stamp, budget, 0, 0};
  std::byte* record = lane.out.memory().bytes(lane.claim.at);
  std::memcpy(record + 8, reinterpret_cast<const std::byte*>(&header) + 8, sizeof header - 8);
  lane.out.send(lane.claim, Head::make(u32{sizeof header} + payload_bytes, Kind::request, 0, method));
  row->end = lane.out.position();
  row->method = method;
  row->lane = lane_name;
  row->deadline = timeout == kNever ? kNever : stamp + timeout;
  if (row->deadline < turn_->earliest_deadline) turn_->earliest_deadline = row->deadline;
  ++lane.calls_open;
  counters_.calls_sent.add();
  sent();
  return row;
}

LinkEnd::Found LinkEnd::look_for(u64 call, Status& status, AnswerBuffer& buffer) noexcept {
  bool any = false;
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lanes_[index(lane_name)];
    while (const Record record = lane.in.next()) {
      any = true;
      alignas(64) std::byte copy[kCopyMax];
      ring::ReplyHeader header{};
      std::span<const std::byte> payload;
      if (record.head.kind() == Kind::reply) {
        payload = take_in(lane, record, copy, sizeof header);
        std::memcpy(&header, copy, sizeof header);
      }
      if (header.call != call) {
        lane.kept.push_back({record, false});
        any_kept_ = true;
        continue;
      }
      PendingTable::Row* row = pending_.find(call);
      if (row == nullptr || lane.calls_open == 0) return broke("an answer given twice"), Found::something;
      --lane.calls_open;
      row->call = 0;
      pending_.close(*row);
      counters_.answers_received.add();
      if (record.head.detail() == 0) [[likely]] {
        memory::opaque_copy(buffer.resize(payload.size()), payload.data(), payload.size());
      } else {
        status = read_status(record.head, payload);
      }
      if (lane.kept.empty()) {
        lane.in.release(record.end);
      } else {
        lane.kept.push_back({record, true});
      }
      return Found::answer;
    }
    lane.in.idle();
    if (lane.in.violated()) [[unlikely]] broke("a record of impossible size, kind or place");
  }
  return any ? Found::something : Found::nothing;
}

Ran LinkEnd::verdict(const PendingTable::Row& row, bool dead) const noexcept {
  const u64 taken = lanes_[index(row.lane)].peer_taken->position.load(std::memory_order_acquire);
  const auto past = static_cast<std::int64_t>(row.end - taken);
  if (past > 0) return dead ? Ran::no : Ran::maybe;
  return past == 0 ? Ran::maybe : Ran::yes;
}

Status LinkEnd::give_up(u64 call, Code code, Why why, std::string_view text) noexcept {
  PendingTable::Row* row = pending_.find(call);
  if (row == nullptr) return {code, Ran::maybe, why, text};
  const Status status(code, verdict(*row, why == Why::peer_died || why == Why::peer_closed), why, text);
  row->call = 0;
  row->callback.clear();
  pending_.close(*row);
  if (why == Why::timeout) counters_.calls_timed_out.add();
  return status;
}

Ticks LinkEnd::expire(Ticks now) noexcept {
  Ticks next = kNever;
  pending_.for_each_open([&](PendingTable::Row& row) {
    if (row.deadline > now) {
      next = std::min(next, row.deadline);
      return;
    }
    counters_.calls_timed_out.add();
    run_callback(row, {Status(Code::deadline_exceeded, verdict(row, false), Why::timeout, "no answer within the timeout"), {}});
  });
  return next;
}

void LinkEnd::bury(const LinkEnded& ended) noexcept {
  // What the peer had committed is still in the ring, and answers that arrived are answers.
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lanes_[index(lane_name)];
    lane.claim_open = false;
    if (served_ == nullptr && !broken() && ended.why != Why::forked) {
      poll_kept();
      while (const Record record = lane.in.next()) handle(lane_name, record, true);
    }
  }
  closed_ = true;
  const bool dead = ended.why == Why::peer_died || ended.why == Why::peer_closed;
  pending_.for_each_open([&](PendingTable::Row& row) {
    // The memory of a link is not there in a child of fork(), and its marks are the parent's to judge.
    const bool no_marks = ended.why == Why::peer_violation || ended.why == Why::forked;
    const Ran ran = no_marks ? Ran::maybe : verdict(row, dead);
    const Code code = ended.why == Why::link_closed || ended.why == Why::forked ? Code::cancelled : Code::unavailable;
    run_callback(row, {Status(code, ran, ended.why, ended.text), {}});
  });
  wire_->close();
}

}  // namespace taut::rpc
