#include "link_end.h"

#include <cstdio>
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

constexpr u32 kPrefetchLines = 4;

// An answer that is ok, without pieces or extensions: the usual one, told by a single comparison.
constexpr bool is_plain_answer(Head head) noexcept {
  return head.word >> 32 == Head::make(0, Kind::reply, ring::flag::your_id).word >> 32;
}

constexpr Lane kLanes[] = {Lane::urgent, Lane::normal};

// Stands in for the halt word where a transport has none.
const ring::SharedWord kNeverHalted{0};

[[gnu::cold, gnu::noinline]] void report_thrown(Turn& turn, const char* whose, std::string_view name) noexcept {
  std::string text = std::string(whose) + " " + std::string(name) + " threw";
  try {
    throw;
  } catch (const std::exception& thrown) {
    text += std::string(": ") + thrown.what();
  } catch (...) {
  }
  turn.log(Severity::error, text);
}

// Grants of a lane: its ring must keep one line per granted call beside two of its largest records (B4).
constexpr u32 grants_of(const ring::Shape& answers, u32 calls_max) noexcept {
  return std::min(calls_max, (answers.ring_bytes - 2 * answers.record_bytes_max()) / ring::kStep);
}

}  // namespace

LinkEnd::LaneEnd::LaneEnd(Lane lane, const ring::LaneMemory& memory, ring::Shape out_shape, ring::Shape in_shape,
                          u32 granted_in, u32 granted_out)
    : name(lane),
      out(memory.writer(), out_shape),
      in(memory.reader(), in_shape),
      taken(&memory.own->taken),
      peer_taken(&memory.peer->taken),
      admission(grants_of(out_shape, granted_in)),
      calls_max(grants_of(in_shape, granted_out)) {
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
      halt_word_(wire_->halt_word() != nullptr ? wire_->halt_word() : &kNeverHalted),
      copies_all_(wire_->agreement().check == Check::copy),
      lanes_{{Lane::normal, wire_->lane(Lane::normal), wire_->agreement().out[0], wire_->agreement().in[0],
              wire_->agreement().calls_in_max, wire_->agreement().calls_out_max},
             {Lane::urgent, wire_->lane(Lane::urgent), wire_->agreement().out[1], wire_->agreement().in[1],
              wire_->agreement().calls_in_max, wire_->agreement().calls_out_max}},
      pending_(lanes_[0].calls_max + lanes_[1].calls_max),
      requests_(this, served_ == nullptr ? 0 : lanes_[0].admission.granted() + lanes_[1].admission.granted()) {
  may_sleep_ =
      peer_board_ != nullptr && (peer_board_->load(std::memory_order_relaxed) & ring::board::never_sleeps) == 0;
  if (copies_all_) large_copy_.reset(new (std::align_val_t{ring::kStep}) std::byte[lanes_[0].in.ring_bytes() / 4]);
}

void Turn::no_longer_due(LinkEnd& end) noexcept {
  LinkEnd** at = &first_due;
  while (*at != nullptr && *at != &end) at = &(*at)->next_due;
  if (*at != nullptr) *at = end.next_due;
}

// The empty poll is the one that a waiting peer waits for: it looks at two heads and little else.
int LinkEnd::poll(int budget) noexcept {
  LaneEnd& normal = lanes_[0];
  LaneEnd& urgent = lanes_[1];
  if (const Record record = urgent.in.next()) return poll_records(urgent, record, budget);
  if (const Record record = normal.in.next()) return poll_records(normal, record, budget);
  if (any_kept_) [[unlikely]]
    return poll_records(normal, {}, budget);
  urgent.in.idle();
  normal.in.idle();
  if (urgent.in.violated() | normal.in.violated()) [[unlikely]]
    broke("a record of impossible size, kind or place");
  return 0;
}

// Behind a record of a batch there are more, written already: their lines are asked for while this one is handled. Not
// outside a batch, where the writer may be at work on them.
[[gnu::always_inline]] inline void LinkEnd::prefetch_behind(const LaneEnd& lane, Record record) noexcept {
  const std::byte* next = lane.in.bytes(record) + ring::up(record.head.bytes());
  for (u32 line = 1; line <= kPrefetchLines; ++line) __builtin_prefetch(next + line * ring::kStep);
}

[[gnu::flatten]] int LinkEnd::poll_records(LaneEnd& first_lane, Record record, int budget) noexcept {
  LaneEnd& normal = lanes_[0];
  LaneEnd& urgent = lanes_[1];
  if (normal.claimed != nullptr || urgent.claimed != nullptr) [[unlikely]]
    return refuse_poll(first_lane, record);
  if (several_) {
    normal.out.begin_batch();
    batching_ = true;
    sent();
  }
  int done = 0;
  if (any_kept_) [[unlikely]] {
    done = poll_kept();
    if (any_kept_) return done + refuse_poll(first_lane, record);  // one of their handlers left a claim open
  }
  LaneEnd* lane = &first_lane;
  while (record) {
    if (batching_) prefetch_behind(*lane, record);
    handle(*lane, record);
    if (++done % kRecordsPerBatch == 0) {
      turn_->now = turn_->clock.now();
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
  several_ = done > 1;
  return done;
}

// A claim is open, so nothing may be sent in its lane: what was read waits for the next poll.
[[gnu::cold, gnu::noinline]] int LinkEnd::refuse_poll(LaneEnd& lane, Record record) noexcept {
  if (record) {
    lane.kept.push_back({record, false});
    any_kept_ = true;
  }
  if (!std::exchange(claim_reported_, true)) {
    turn_->log(Severity::error,
               "poll() with an open claim: send it or let it go first; the link is not polled until then");
  }
  return 0;
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
  if (!copies_all_) return source;
  memory::opaque_copy(large_copy_.get(), source, bytes);
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
  } else if ((record.head.kind_byte() & ring::kKindMayBeSkipped) == 0) {
    broke("a record of kind %lu, which was not agreed", record.head.kind_byte());
  }
}

void LinkEnd::serve(LaneEnd& lane, Record record, const std::byte* header_bytes,
                    std::span<const std::byte> payload) noexcept {
  ring::RequestHeader header;
  std::memcpy(&header, header_bytes, sizeof header);
  Turn& turn = *turn_;
  const u32 method_index = record.head.detail();
  if (served_ == nullptr || method_index >= served_->count()) [[unlikely]] {
    return broke("a request for method %lu of %lu", method_index, served_ == nullptr ? 0 : served_->count());
  }
  if ((record.head.flags() & ~ring::flag::taken_wanted) != 0 || header.extensions != 0) [[unlikely]] {
    return broke("a request with flags %lu and extensions %lu, which were not agreed", record.head.flags(),
                 header.extensions);
  }
  if (!lane.admission.enter()) [[unlikely]] {
    lane.admission.leave(ring::kStep);  // nobody holds a Reply for it
    return broke("more unanswered calls than were granted");
  }
  const ServedMethods::Method& method = (*served_)[method_index];
  counters_.requests_received.add();
  OpenRequest& request = requests_.open();
  request.call = header.call;
  request.sent = header.sent;
  request.started = turn.now;
  request.budget = header.budget;
  request.bound = ring::kStep;
  request.lane = lane.name;
  request.room = AnswerRoom::none;
  request.ran = false;

  // A stamp from the future counts as now; `none` and `longer` are not checked here.
  const Ticks waited = turn.now > header.sent ? turn.now - header.sent : 0;
  if (waited > turn.budget_ticks(header.budget) && header.budget - 1 < ring::kBudgetLonger - 1) [[unlikely]] {
    counters_.requests_expired.add();
    return refuse(request, Code::deadline_exceeded, Ran::no, Why::expired_in_queue, "the deadline passed in the queue");
  }
  if (halt_word_->load(std::memory_order_relaxed) != 0) [[unlikely]] {
    return refuse(request, Code::unavailable, Ran::no, Why::halted, "the service is halted");
  }
  if (!lane.admission.promise(lane.out, method.answer_bound)) [[unlikely]] {
    return refuse(request, Code::resource_exhausted, Ran::no, Why::reply_room, "no room for the answer");
  }
  request.bound = method.answer_bound;
  // For people who look from outside; `position` follows in taken().
  lane.taken->call.store(header.call, std::memory_order_relaxed);
  lane.taken->method.store(method_index, std::memory_order_relaxed);
  lane.taken->since.store(turn.now, std::memory_order_relaxed);

  ServedCall call(payload, RawReply(request), request.ran, *lane.taken, record.end);
  turn.calling_user = true;
  try {
    method.serve(*method.service, call);
  } catch (...) {
    report_thrown(turn, "the handler of", method.description->name);
    call.reply().refuse(Code::internal, Why::handler_threw, "the handler threw an exception");  // if it still has it
  }
  turn.calling_user = false;
}

[[gnu::noinline]] Status LinkEnd::read_status(Head head, std::span<const std::byte> payload) const noexcept {
  const u16 detail = head.detail();
  const auto code = static_cast<u8>(detail);
  const auto ran = static_cast<u8>(detail >> 8) & 3;
  const auto why = static_cast<u8>(detail >> 10);
  const std::string_view text(reinterpret_cast<const char*>(payload.data()),
                              std::min<std::size_t>(payload.size(), kStatusTextMax));
  return {code != 0 && code < kCodeCount ? static_cast<Code>(code) : Code::unknown,
          ran < static_cast<int>(kRanCount) ? static_cast<Ran>(ran) : Ran::maybe,
          why < static_cast<u8>(Why::count_) ? static_cast<Why>(why) : Why::none, text};
}

void LinkEnd::finish(LaneEnd& lane, Head head, const std::byte* header_bytes,
                     std::span<const std::byte> payload) noexcept {
  u64 call;
  std::memcpy(&call, header_bytes + offsetof(ring::ReplyHeader, call), sizeof call);
  if (lane.calls_open == 0) [[unlikely]]
    return broke("an answer to a call that nobody made");
  --lane.calls_open;
  PendingTable::Row* row = pending_.find(call);
  if (row == nullptr) [[unlikely]]
    return late_answer(lane);
  counters_.answers_received.add();
  if (is_plain_answer(head)) [[likely]] {
    run_callback(*row, {Status{}, payload});
  } else if (head.flags() != ring::flag::your_id) {
    broke("an answer with flags %lu, which were not agreed", head.flags());
  } else {
    run_callback(*row, {read_status(head, payload), {}});
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
    report_thrown(*turn_, "a callback of", "a call");
  }
  turn_->calling_user = false;
  pending_.close(row);
}

[[gnu::noinline]] int LinkEnd::poll_kept() noexcept {
  int done = 0;
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lane_of(lane_name);
    auto next = lane.kept.begin();
    for (; next != lane.kept.end(); ++next) {
      if (broken_ || lanes_[0].claimed != nullptr || lanes_[1].claimed != nullptr) break;
      if (!next->handled) {
        alignas(64) std::byte copy[kCopyMax];
        const std::byte* bytes = take_in(lane, next->record, copy);
        take(lane, next->record, copy, bytes);
        ++done;
      } else {
        --lane.calls_open;  // see give_back()
      }
      lane.in.release(next->record.end);
    }
    if (broken_) next = lane.kept.end();  // nothing more of this peer is handled
    lane.kept.erase(lane.kept.begin(), next);
  }
  any_kept_ = !lanes_[0].kept.empty() || !lanes_[1].kept.empty();
  return done;
}

// --- calls of this side

[[gnu::always_inline]] inline CallRoom LinkEnd::claim_request(Lane lane_name, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  if (lane.claimed != nullptr) [[unlikely]]
    return {nullptr, 0, Why::open_claim};
  if (broken_) [[unlikely]]
    return {nullptr, 0, Why::peer_violation};
  if (lane.calls_open >= lane.calls_max) [[unlikely]]
    return {nullptr, 0, Why::calls_in_flight};
  if (halt_word_->load(std::memory_order_relaxed) != 0) [[unlikely]]
    return {nullptr, 0, Why::halted};
  const u32 bytes = sizeof(ring::RequestHeader) + payload_bytes;
  if (payload_bytes >= lane.out.ring_bytes()) [[unlikely]]
    return {nullptr, 0, Why::too_big};
  if (!lane.claim_record(bytes, lane.admission.reserve())) [[unlikely]] {
    if (lane.claim.refusal == ring::Refusal::violation) broke("an impossible `released` position");
    return {nullptr, 0,
            lane.claim.refusal == ring::Refusal::too_big ? Why::too_big
            : lane.claim.refusal == ring::Refusal::full  ? Why::ring_full
                                                         : Why::peer_violation};
  }
  claim_reported_ = false;
  lane.claim_staged = lane.claim.room <= kCopyMax && !lane.out.unseen();
  std::byte* const record = lane.claim_staged ? lane.staged : lane.out.memory().bytes(lane.claim.at);
  lane.claimed = record + sizeof(ring::RequestHeader);
  return {lane.claimed, lane.claim.room - u32{sizeof(ring::RequestHeader)}, Why::none};
}

[[gnu::always_inline]] inline PendingTable::Row* LinkEnd::send_request(Lane lane_name, u16 method, u32 payload_bytes,
                                                                       u32 budget, Ticks timeout) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  lane.claimed = nullptr;
  const Ticks stamp = turn_->stamp();  // first: it takes a while, and is needed last
  PendingTable::Row* row = pending_.open();
  if (row == nullptr) [[unlikely]]
    return nullptr;
  const Head head = Head::make(u32{sizeof(ring::RequestHeader)} + payload_bytes, Kind::request, 0, method);
  const u64 rest = budget;  // credit and extensions are 0
  if (lane.claim_staged) {
    lane.out.send_copy(lane.claim, head, lane.staged, row->call, stamp, rest);
  } else {
    lane.out.send_in_place(lane.claim, head, row->call, stamp, rest);
  }
  row->end = lane.out.position();
  row->lane = lane_name;
  row->deadline = timeout == kNever ? kNever : stamp + timeout;
  if (row->deadline < turn_->earliest_deadline) turn_->earliest_deadline = row->deadline;
  ++lane.calls_open;
  counters_.calls_sent.add();
  return row;
}

LinkEnd::Found LinkEnd::look_for(u64 call, Status& status, AnswerBuffer& buffer) noexcept {
  bool any = false;
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lane_of(lane_name);
    while (const Record record = lane.in.next()) {
      any = true;
      const u64 answered = copy_answer(lane, record, buffer);
      if (answered == call) [[likely]] {
        take_answer(lane, record, call, status, buffer);
        return broken_ ? Found::something : Found::answer;
      }
      pass_by(lane, record, answered);
    }
    lane.in.idle();
    if (lane.in.violated()) [[unlikely]]
      broke("a record of impossible size, kind or place");
  }
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

// A wait found something else. What somebody has a callback for is kept for the next poll(); a record that nobody
// listens to is done with, since a client that only waits would keep it, and all behind it, for ever.
[[gnu::noinline]] void LinkEnd::pass_by(LaneEnd& lane, Record record, u64 answered) noexcept {
  const bool is_answer = record.head.kind() == Kind::reply;
  PendingTable::Row* row = is_answer ? pending_.find(answered) : nullptr;
  if ((row != nullptr && row->callback) || (!is_answer && !lane.kept.empty())) {
    lane.kept.push_back({record, false});
    any_kept_ = true;
    return;
  }
  if (!is_answer) {  // only a client waits, and nothing else is sent to one
    if ((record.head.kind_byte() & ring::kKindMayBeSkipped) == 0)
      return broke("a record of kind %lu, which was not agreed", record.head.kind_byte());
    return lane.in.release(record.end);
  }
  if (lane.calls_open == 0) return broke("an answer to a call that nobody made");
  if (row == nullptr) {
    late_answer(lane);
  } else {
    row->call = 0;
    pending_.close(*row);
    counters_.answers_received.add();
  }
  give_back(lane, record);
}

// The answer was taken. Behind one that is kept its room and its grant stay in use: the ring is released in order, and
// a grant that came back before its room would let the ring overfill.
inline void LinkEnd::give_back(LaneEnd& lane, Record record) noexcept {
  if (lane.kept.empty()) [[likely]] {
    lane.in.release(record.end);
    --lane.calls_open;
  } else {
    lane.kept.push_back({record, true});
  }
}

[[gnu::always_inline]] inline void LinkEnd::take_answer(LaneEnd& lane, Record record, u64 call, Status& status,
                                                        AnswerBuffer& buffer) noexcept {
  PendingTable::Row* row = pending_.find(call);
  if (row == nullptr || lane.calls_open == 0) [[unlikely]]
    return broke("an answer given twice");
  const u32 bytes = record.head.bytes() - u32{sizeof(ring::ReplyHeader)};
  if (is_plain_answer(record.head)) [[likely]] {
    std::byte* const payload = buffer.resize(bytes);
    if (record.head.bytes() > kCopyMax) [[unlikely]] {
      memory::opaque_copy(payload, lane.in.bytes(record) + sizeof(ring::ReplyHeader), bytes);
    }
  } else if (record.head.flags() != ring::flag::your_id) {
    return broke("an answer with flags %lu, which were not agreed", record.head.flags());
  } else {
    const u32 copied =
        std::min<u32>(bytes, (record.head.bytes() <= kCopyMax ? kCopyMax : ring::kStep) - sizeof(ring::ReplyHeader));
    status = read_status(record.head, {buffer.record() + sizeof(ring::ReplyHeader), copied});
  }
  row->call = 0;
  pending_.close(*row);
  counters_.answers_received.add();
  give_back(lane, record);
}

Ran LinkEnd::verdict(const PendingTable::Row& row, bool stopped) const noexcept {
  const u64 taken = lanes_[index(row.lane)].peer_taken->position.load(std::memory_order_acquire);
  const auto past = static_cast<std::int64_t>(row.end - taken);
  if (past > 0) return stopped ? Ran::no : Ran::maybe;
  return past == 0 ? Ran::maybe : Ran::yes;
}

Status LinkEnd::give_up(u64 call, Code code, Why why, std::string_view text) noexcept {
  PendingTable::Row* row = pending_.find(call);
  if (row == nullptr) return {code, Ran::maybe, why, text};
  const Status status(code, ended != nullptr || broken_ ? verdict_of_end(*row) : verdict(*row, false), why, text);
  row->call = 0;
  row->callback.clear();
  ++lane_of(row->lane).calls_abandoned;
  pending_.close(*row);
  if (why == Why::timeout) counters_.calls_timed_out.add();
  return status;
}

// What the marks prove once the link is over.
Ran LinkEnd::verdict_of_end(const PendingTable::Row& row) const noexcept {
  // A peer that broke the rules proves nothing; in a child of fork() the marks are not there to be read.
  if (broken_ || ended->why == Why::peer_violation || ended->why == Why::forked) return Ran::maybe;
  return verdict(row, (ended->why == Why::peer_died || ended->why == Why::peer_closed) && !ended->runs_on);
}

Ticks LinkEnd::expire(Ticks now) noexcept {
  Ticks next = kNever;
  pending_.for_each_open([&](PendingTable::Row& row) {
    if (row.deadline > now) {
      next = std::min(next, row.deadline);
      return;
    }
    counters_.calls_timed_out.add();
    ++lane_of(row.lane).calls_abandoned;
    run_callback(
        row, {Status(Code::deadline_exceeded, verdict(row, false), Why::timeout, "no answer within the timeout"), {}});
  });
  return next;
}

void LinkEnd::bury() noexcept {
  const LinkEnded& how = *ended;
  for (LaneEnd& lane : lanes_) lane.claimed = nullptr;
  // What the peer had committed is still in the ring, and answers that arrived are answers.
  for (const Lane lane_name : kLanes) {
    LaneEnd& lane = lane_of(lane_name);
    if (served_ == nullptr && !broken() && how.why != Why::forked) {
      poll_kept();
      while (const Record record = lane.in.next()) handle(lane, record);
    }
  }
  closed_ = true;
  const Code code = how.why == Why::link_closed || how.why == Why::forked ? Code::cancelled : Code::unavailable;
  pending_.for_each_open([&](PendingTable::Row& row) {
    run_callback(row, {Status(code, verdict_of_end(row), how.why, how.text), {}});
  });
  wire_->close();
}

}  // namespace taut::rpc
