#include "link_end.h"

#include <cstdio>
#include <cstring>
#include <exception>

#include "taut/memory/copy.h"

namespace taut::rpc {
namespace {

// Stands in for the halt word where a transport has none.
const ring::SharedWord kNeverHalted{0};

// Grants of a lane: its ring must keep one line per granted call beside two of its largest records (B4).
constexpr u32 grants_of(const ring::Shape& answers, u32 calls_max) noexcept {
  return std::min(calls_max, (answers.ring_bytes - 2 * answers.record_bytes_max()) / ring::kStep);
}

}  // namespace

LaneEnd::LaneEnd(Lane lane, const ring::LaneMemory& memory, ring::Shape out_shape, ring::Shape in_shape, u32 granted_in,
                 u32 granted_out)
    : name(lane),
      out(memory.writer(), out_shape),
      in(memory.reader(), in_shape),
      taken(&memory.own->taken),
      peer_taken(&memory.peer->taken),
      admission(grants_of(out_shape, granted_in)),
      calls_max(grants_of(in_shape, granted_out)),
      window(calls_max) {
  taken->position.store(in_shape.first, std::memory_order_relaxed);  // before the link is announced: nothing ran yet
  kept.reserve(in_shape.ring_bytes / ring::kStep);  // a wait can read past no more records than the ring holds
}

LinkEnd::LinkEnd(std::shared_ptr<Turn> turn, std::unique_ptr<Wire> wire, Side side,
                 std::shared_ptr<const ServedMethods> served)
    : turn_keep_(std::move(turn)),
      turn_(turn_keep_.get()),
      wire_(std::move(wire)),
      counters_(wire_->counters()),
      served_keep_(std::move(served)),
      served_(served_keep_.get()),
      peer_board_(wire_->peer_board()),
      halt_word_(wire_->halt_word() != nullptr ? wire_->halt_word() : &kNeverHalted),
      serve_halt_word_(halt_word_),
      side_(side),
      copies_all_(wire_->agreement().check == Check::copy),
      lanes_{{Lane::normal, wire_->lane(Lane::normal), wire_->agreement().out[0], wire_->agreement().in[0],
              wire_->agreement().calls_in_max, wire_->agreement().calls_out_max},
             {Lane::urgent, wire_->lane(Lane::urgent), wire_->agreement().out[1], wire_->agreement().in[1],
              wire_->agreement().calls_in_max, wire_->agreement().calls_out_max}},
      pending_(lanes_[0].calls_max + lanes_[1].calls_max, turn_->next_serials()),
      requests_(this, served_ == nullptr ? 0 : lanes_[0].admission.granted() + lanes_[1].admission.granted()) {
  peer_ = {wire_->agreement().peer_uid, wire_->agreement().peer_pid};
  may_sleep_ =
      peer_board_ != nullptr && (peer_board_->load(std::memory_order_relaxed) & ring::board::never_sleeps) == 0;
  const ArenaMemory arena = wire_->arena();
  if (!arena.own.empty()) {
    auto blocks = memory::Arena::over(arena.own);
    if (blocks) {
      own_blocks_ = std::make_unique<OwnBlocks>(*std::move(blocks), arena.own.data(), arena.released);
    } else {
      turn_->log(Severity::warning, blocks.error().what());
    }
  }
  if (!arena.peer.empty()) peer_blocks_ = std::make_unique<PeerBlocks>(arena);
  if (copies_all_) {
    const u32 ring_bytes = std::max(lanes_[0].in.ring_bytes(), lanes_[1].in.ring_bytes());  // as the peer made them
    large_copy_.reset(static_cast<std::byte*>(::operator new (ring_bytes / 4, std::align_val_t{ring::kStep})));
  }
}

void Turn::no_longer_due(LinkEnd& end) noexcept {
  LinkEnd** at = &first_due;
  while (*at != nullptr && *at != &end) at = &(*at)->next_due;
  if (*at != nullptr) *at = end.next_due;
}

// The empty poll is the one that a waiting peer waits for: it looks at two heads and little else.
[[gnu::always_inline]] inline int LinkEnd::poll(int budget) noexcept {
  LaneEnd& normal = lanes_[0];
  LaneEnd& urgent = lanes_[1];
  if (const Record record = urgent.in.next()) return poll_records(urgent, record, budget);
  if (const Record record = normal.in.next()) return poll_records(normal, record, budget);
  if (unfinished_) [[unlikely]]
    return poll_unfinished(budget);
  urgent.in.idle();
  normal.in.idle();
  if (urgent.in.violated() || normal.in.violated()) [[unlikely]]
    broke("a record of impossible size, kind or place");
  return 0;
}

[[gnu::flatten]] int LinkEnd::poll_records(LaneEnd& first_lane, Record record, int budget) noexcept {
  LaneEnd& normal = lanes_[0];
  LaneEnd& urgent = lanes_[1];
  if (normal.claimed != nullptr || urgent.claimed != nullptr) [[unlikely]]
    return refuse_poll(first_lane, record);
  if (expected_ > 1 && turn_->cheap()) {
    normal.out.begin_batch();
    batching_ = true;
    sent();
  }
  int done = 0;
  int pieces = 0;
  if (unfinished_) [[unlikely]] {
    done = poll_kept();
    if (any_kept()) return done + refuse_poll(first_lane, record);  // one of their handlers left a claim open
    pieces = send_pieces() + poll_streams();
  }
  LaneEnd* lane = &first_lane;
  while (record) {
    handle(*lane, record);
    if (++done % kRecordsPerBatch == 0) {
      turn_->stamp_after(kRecordsPerBatch);
      if (!turn_->cheap()) budget = done;  // they take longer than those before: others may be waiting
      if (batching_) {
        normal.out.end_batch();
        normal.out.begin_batch();
      }
    }
    // What is being written counts on the room that is free.
    if (done >= budget || normal.claimed != nullptr || urgent.claimed != nullptr) break;
    lane = &urgent;
    record = urgent.in.next();
    if (!record) {
      lane = &normal;
      record = normal.in.next();
    }
  }
  expected_ = done;
  return done + pieces;
}

// A claim is open, so nothing may be sent in its lane: what was read waits for the next poll.
[[gnu::cold, gnu::noinline]] int LinkEnd::refuse_poll(LaneEnd& lane, Record record) noexcept {
  if (record) keep(lane, {record, Then::handle});
  if (!std::exchange(claim_reported_, true)) {
    turn_->log(Severity::error,
               "poll() with an open claim: send it or let it go first; the link is not polled until then");
  }
  return 0;
}

// A record stays in the ring for now. A writer that keeps I1 never writes over what was not released, so the records
// that wait lie within one ring; a peer that lies shows the same lines lap after lap, and would be kept without end.
[[gnu::cold, gnu::noinline]] void LinkEnd::keep(LaneEnd& lane, Kept kept) noexcept {
  if (kept.record.end - lane.in.position() > lane.in.ring_bytes() - ring::kStep)
    return broke("records over others that were not released");
  lane.kept.push_back(std::move(kept));
  unfinished_ = true;
}

void LinkEnd::end_turn() noexcept {
  due_ = false;
  if (batching_) {
    batching_ = false;
    lanes_[0].out.end_batch();
  }
  ring_if_asleep();
}

void LinkEnd::ring_if_asleep() noexcept {
  if (!may_sleep_) return;
  struct PeerBoard {
    const ring::SharedWord* state;
    void fence(ring::Order) const noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
    [[nodiscard]] u64 load_state(ring::Order) const noexcept { return state->load(std::memory_order_relaxed); }
  } board{peer_board_};
  if (ring::bell_wanted(board)) [[unlikely]] {
    wire_->ring_bell();
    counters_.bells_rung.add();
  }
}

// A fence waits for the stores before it, some 60 ns after a commit, so there is one a turn. Outside a turn the first
// call wakes a sleeping peer at once; those that follow do so with the next turn.
inline void LinkEnd::sent() noexcept {
  if (due_) return;
  due_ = true;
  next_due = turn_->first_due;
  turn_->first_due = this;
  if (!turn_->inside) ring_if_asleep();
}

bool LinkEnd::waiting() const noexcept {
  for (const LaneEnd& lane : lanes_) {
    if (lane.in.waiting() || !lane.kept.empty()) return true;
  }
  return false;
}

[[gnu::cold, gnu::noinline]] void LinkEnd::broke(const char* format, u64 a, u64 b) noexcept {
  if (std::exchange(broken_, true)) return;
  counters_.violations.add();
  turn_->any_broken = true;
  // Nothing more of this peer is handled; the next poll finds nothing, and the dispatcher ends the link.
  for (LaneEnd& lane : lanes_) lane.in.stop();
  char text[160];
  std::snprintf(text, sizeof text, format, static_cast<unsigned long>(a), static_cast<unsigned long>(b));
  violation_ = text;
}

[[gnu::always_inline]] inline void LinkEnd::handle(LaneEnd& lane, Record record) noexcept {
  const u32 bytes = record.head.bytes();
  if (bytes > kCopyMax) [[unlikely]]
    return handle_in_place(lane, record);
  alignas(64) std::byte copy[kCopyMax];
  memory::opaque_copy(copy, lane.in.bytes(record), ring::up(bytes));
  lane.in.release(record.end);  // copied, so its room is free at once
  take(lane, record, copy, copy);
}

[[gnu::noinline]] void LinkEnd::handle_in_place(LaneEnd& lane, Record record) noexcept {
  alignas(64) std::byte copy[kCopyMax];
  const std::byte* bytes = take_in(lane, record, copy);
  take(lane, record, copy, bytes);
  lane.in.release(record.end);  // only now: the handler read it in place
}

// Brings a record into private memory as far as its size and the check mode ask for: the header always, to `copy`.
// Returns where the record's bytes are to be read.
[[gnu::noinline]] const std::byte* LinkEnd::take_in(LaneEnd& lane, Record record, std::byte* copy) noexcept {
  const u32 bytes = record.head.bytes();
  const std::byte* source = lane.in.bytes(record);
  if (bytes <= kCopyMax) [[likely]] {
    memory::opaque_copy(copy, source, ring::up(bytes));
    return copy;
  }
  memory::opaque_copy(copy, source, ring::kStep);
  // A piece is copied into its message's buffer anyway.
  if (!copies_all_ || (record.head.flags() & ring::flag::more_pieces) != 0) return source;
  // Every byte once: the header that is looked at is the one that was copied above.
  std::memcpy(large_copy_.get(), copy, ring::kStep);
  memory::opaque_copy(large_copy_.get() + ring::kStep, source + ring::kStep, bytes - ring::kStep);
  return large_copy_.get();
}

[[gnu::always_inline]] inline void LinkEnd::take(LaneEnd& lane, Record record, const std::byte* header,
                                                 const std::byte* bytes) noexcept {
  const Kind kind = record.head.kind();
  if (kind == Kind::request) {
    if (record.head.bytes() < sizeof(ring::RequestHeader)) [[unlikely]]
      return broke("a request that is shorter than its header");
    serve(lane, record, header,
          {bytes + sizeof(ring::RequestHeader), record.head.bytes() - sizeof(ring::RequestHeader)});
  } else if (kind == Kind::reply) {
    finish(lane, record.head, header,
           {bytes + sizeof(ring::ReplyHeader), record.head.bytes() - sizeof(ring::ReplyHeader)});
  } else if (kind == Kind::item) {
    take_item(lane, record.head, header,
              {bytes + sizeof(ring::ReplyHeader), record.head.bytes() - sizeof(ring::ReplyHeader)});
  } else if (kind == Kind::oneway) {
    serve_oneway(lane, record, header,
                 {bytes + sizeof(ring::ReplyHeader), record.head.bytes() - sizeof(ring::ReplyHeader)});
  } else {
    take_other(lane, record, header);
  }
}

// What comes seldom.
[[gnu::noinline]] void LinkEnd::take_other(LaneEnd& lane, Record record, const std::byte* header) noexcept {
  switch (record.head.kind()) {
    case Kind::credit:
      return take_credit(record.head, header);
    case Kind::end:
      return take_end(record.head, header);
    case Kind::cancel:
      return take_cancel(lane, header);
    case Kind::drain:
      return heard_drain(record.head, header);
    default:
      if ((record.head.kind_byte() & ring::kKindMayBeSkipped) == 0) {
        broke("a record of kind %lu, which was not agreed", record.head.kind_byte());
      }
  }
}

[[gnu::noinline]] int LinkEnd::poll_kept() noexcept {
  int done = 0;
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lane_of(lane_name);
    auto next = lane.kept.begin();
    for (; next != lane.kept.end(); ++next) {
      if (broken_ || lanes_[0].claimed != nullptr || lanes_[1].claimed != nullptr) break;
      done += do_kept(lane, *next);
      lane.in.release(next->record.end);
    }
    if (broken_) next = lane.kept.end();  // nothing more of this peer is handled
    lane.kept.erase(lane.kept.begin(), next);
  }
  note_unfinished();
  return done;
}

int LinkEnd::do_kept(LaneEnd& lane, Kept& kept) noexcept {
  switch (kept.then) {
    case Then::handle: {
      alignas(64) std::byte copy[kCopyMax];
      const std::byte* bytes = take_in(lane, kept.record, copy);
      if (kept.call != 0) std::memcpy(copy + offsetof(ring::ReplyHeader, call), &kept.call, sizeof kept.call);
      take(lane, kept.record, copy, bytes);
      return 1;
    }
    case Then::return_grant:
      --lane.calls_open;  // see give_back()
      return 0;
    case Then::nothing:
      return 0;
    case Then::run_callback:
      --lane.calls_open;
      run_kept_callback(lane, kept);
      return 1;
  }
  return 0;
}

}  // namespace taut::rpc
