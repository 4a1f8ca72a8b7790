// Streams: items on their way out and in, the credit that bounds them, and what their two ends are told.
#include <algorithm>
#include <bit>
#include <cstring>

#include "link_end.h"

namespace taut::rpc {
namespace {

constexpr u32 record_bytes(u32 payload_bytes) noexcept {
  return ring::up(u32{sizeof(ring::ReplyHeader)} + payload_bytes);
}

u64 call_of(const std::byte* header) noexcept {
  u64 call;
  std::memcpy(&call, header + offsetof(ring::ReplyHeader, call), sizeof call);
  return call;
}

// Of records that this end of a stream sends: the caller gave the id, so the callee says "yours".
u8 flags_of(const StreamState& stream) noexcept { return stream.caller ? u8{0} : ring::flag::your_id; }

// What the last claim that was refused asked of credit and ring.
u32 wanted(const StreamState& stream) noexcept { return std::max<u32>(stream.refused_bytes, ring::kStep); }

std::shared_ptr<StreamState> make_state(const std::shared_ptr<Turn>& turn, LinkEnd& end, u64 call, Lane lane) {
  auto state = std::make_shared<StreamState>();
  state->end = &end;
  state->turn = turn;
  state->call = call;
  state->lane = lane;
  return state;
}

}  // namespace

// --- opening

std::shared_ptr<StreamState> LinkEnd::open_stream(PendingTable::Row& row, const StreamOptions& options) noexcept {
  auto state = make_state(turn_keep_, *this, row.call, row.lane);
  state->caller = true;
  state->allowed = {ring::kFirstItems, ring::kFirstItemBytes};
  state->window_items = options.credit;
  state->window_bytes = options.credit_bytes;
  // As the header of the request said it: rounded down to powers of two. The rest follows with the first credit.
  state->granted = {std::bit_floor(u64{options.credit}),
                    std::bit_floor(u64{options.credit_bytes / ring::kStep}) * ring::kStep};
  state->plan_grant();
  row.stream = state;
  return state;
}

std::shared_ptr<StreamState> LinkEnd::serve_stream(OpenRequest& request, const StreamOptions& options) noexcept {
  StreamState& state = state_of(request);
  state.allowed = {ring::credit_of_code(static_cast<u8>(request.credit)),
                   ring::credit_of_code(static_cast<u8>(request.credit >> 8)) * ring::kStep};
  state.window_bytes_seen = state.allowed.bytes;
  state.window_items = std::max<u32>(options.credit, ring::kFirstItems);
  state.window_bytes = std::max<u32>(options.credit_bytes, ring::kFirstItemBytes);
  state.granted = {ring::kFirstItems, ring::kFirstItemBytes};
  if (state.allowed.items > ring::kCreditMax || state.allowed.bytes > ring::kCreditMax) misused(state, "huge credit");
  const ServedMethods::Method& method = (*served_)[request.method];
  const bool takes_items = method.kind == CallKind::client_stream || method.kind == CallKind::both_ways;
  if (takes_items) {
    give_credit(state);
  } else {
    state.closed_in = true;  // one request, no items
  }
  return request.stream;
}

StreamState& LinkEnd::state_of(OpenRequest& request) noexcept {
  if (request.stream == nullptr) {
    request.stream = make_state(turn_keep_, *this, request.call, request.lane);
    request.stream->request = &request;
  }
  return *request.stream;
}

// --- sending

std::byte* LinkEnd::claim_item(StreamState& stream, u32 payload_bytes, taut::Sent& why) noexcept {
  LaneEnd& lane = lane_of(stream.lane);
  const u32 bytes = u32{sizeof(ring::ReplyHeader)} + payload_bytes;
  const auto refuse = [&](taut::Sent reason) -> std::byte* {
    stream.refused = reason;
    stream.refused_bytes = record_bytes(payload_bytes);
    why = reason;
    return nullptr;
  };
  if (stream.over || stream.closed_out || broken_ || closed_) [[unlikely]]
    return refuse(Sent::over);
  if (payload_bytes >= lane.out.ring_bytes()) [[unlikely]]
    return refuse(Sent::too_big);
  if (!stream.may_send(ring::up(bytes))) [[unlikely]] {
    const bool never = stream.window_bytes_seen != 0 && ring::up(bytes) > stream.window_bytes_seen;
    return refuse(never ? Sent::too_big : Sent::no_credit);
  }
  if (lane.claimed != nullptr) [[unlikely]]
    return refuse(Sent::open_claim);
  if (!lane.claim_record(bytes, lane.admission.reserve())) [[unlikely]] {
    if (lane.claim.refusal == ring::Refusal::too_big) return refuse(Sent::too_big);
    if (lane.claim.refusal == ring::Refusal::full) return refuse(Sent::ring_full);
    broke("an impossible `released` position");
    return refuse(Sent::over);
  }
  claim_reported_ = false;
  stream.claimed = lane.claimed = lane.begin_record() + sizeof(ring::ReplyHeader);
  stream.claimed_bytes = payload_bytes;
  return stream.claimed;
}

Sent LinkEnd::send_item(StreamState& stream, u32 payload_bytes) noexcept {
  LaneEnd& lane = lane_of(stream.lane);
  std::byte* const claimed = std::exchange(stream.claimed, nullptr);
  if (claimed == nullptr || lane.claimed != claimed) [[unlikely]]
    return Sent::over;  // nothing was claimed, or the claim ended with its call
  if (payload_bytes > stream.claimed_bytes || stream.over) [[unlikely]] {
    drop_claim(lane);
    return stream.over ? Sent::over : Sent::too_big;
  }
  lane.claimed = nullptr;
  const u32 bytes = u32{sizeof(ring::ReplyHeader)} + payload_bytes;
  const Head head = Head::make(bytes, Kind::item, flags_of(stream));
  if (lane.claim_room == ClaimRoom::staged) {
    lane.out.send_copy(lane.claim, head, lane.staged, stream.call);
  } else {
    lane.out.send_in_place(lane.claim, head, stream.call);
  }
  stream.sent.add(ring::up(bytes));
  counters_.items_sent.add();
  sent();
  return Sent::ok;
}

void LinkEnd::drop_item(StreamState& stream) noexcept {
  LaneEnd& lane = lane_of(stream.lane);
  if (stream.claimed != nullptr && lane.claimed == stream.claimed) drop_claim(lane);
  stream.claimed = nullptr;
}

Sent LinkEnd::close_stream(StreamState& stream) noexcept {
  if (stream.over || stream.closed_out || !stream.caller) return Sent::over;
  stream.closed_out = true;
  if (!send_end(stream)) {
    stream.end_owed = true;
    attend(stream);
  }
  return Sent::ok;
}

bool LinkEnd::send_end(const StreamState& stream) noexcept {
  LaneEnd& lane = lane_of(stream.lane);
  if (lane.claimed != nullptr || !lane.claim_record(sizeof(ring::ReplyHeader), lane.admission.reserve())) return false;
  lane.out.send_in_place(lane.claim, Head::make(sizeof(ring::ReplyHeader), Kind::end), stream.call);
  sent();
  return true;
}

// --- credit

void LinkEnd::give_credit(StreamState& stream) noexcept {
  LaneEnd& lane = lane_of(stream.lane);
  if (stream.over || stream.closed_in || broken_ || closed_) {
    stream.credit_owed = false;
    return;
  }
  const StreamState::Amount granted{std::max(stream.granted.items, stream.taken.items + stream.window_items),
                                    std::max(stream.granted.bytes, stream.taken.bytes + stream.window_bytes)};
  if (granted == stream.granted) return;
  if (lane.claimed != nullptr || !lane.claim_record(ring::kCreditRecord, lane.admission.reserve())) {
    stream.credit_owed = true;
    return attend(stream);
  }
  lane.out.send_in_place(lane.claim, Head::make(ring::kCreditRecord, Kind::credit, flags_of(stream)), stream.call,
                         granted.items, granted.bytes);
  stream.credit_owed = false;
  stream.granted = granted;
  stream.plan_grant();
  sent();
}

void LinkEnd::take_credit(Head head, const std::byte* header) noexcept {
  StreamState* const stream = find_stream(head, header);
  if (stream == nullptr || stream->over) return;
  ring::CreditBlock block;
  std::memcpy(&block, header + sizeof(ring::ReplyHeader), sizeof block);
  if (head.bytes() != ring::kCreditRecord) return misused(*stream, "a credit record of another size");
  if (block.items < stream->allowed.items || block.bytes < stream->allowed.bytes) {
    return misused(*stream, "credit that was taken back");
  }
  if (block.items - stream->sent.items > ring::kCreditMax || block.bytes - stream->sent.bytes > ring::kCreditMax) {
    return misused(*stream, "huge credit");
  }
  stream->allowed = {block.items, block.bytes};
  stream->window_bytes_seen = std::max(stream->window_bytes_seen, block.bytes - stream->sent.bytes);
  if (stream->ready) attend(*stream);
}

// --- receiving

// Whose call the record names. Null: it is over, or does not stream.
StreamState* LinkEnd::find_stream(Head head, const std::byte* header) noexcept {
  const u64 call = call_of(header);
  if ((head.flags() & ring::flag::your_id) != 0) {
    PendingTable::Row* const row = pending_.find(call);
    return row != nullptr ? row->stream.get() : nullptr;
  }
  OpenRequest* const request = requests_.find(call);
  return request != nullptr ? request->stream.get() : nullptr;
}

[[gnu::noinline, gnu::flatten]] void LinkEnd::take_item(LaneEnd& lane, Head head, const std::byte* header,
                                                        std::span<const std::byte> payload) noexcept {
  StreamState* const stream = find_stream(head, header);
  counters_.items_received.add();
  if (stream == nullptr || stream->over || stream->lane != lane.name) [[unlikely]]
    return counters_.items_dropped.add();
  stream->came.add(ring::up(head.bytes()));
  if (stream->closed_in) [[unlikely]]
    return misused(*stream, "an item behind the end");
  if (stream->came.items > stream->granted.items || stream->came.bytes > stream->granted.bytes) [[unlikely]]
    return misused(*stream, "more items than the credit allows");
  hand_over(*stream, payload);
}

inline void LinkEnd::hand_over(StreamState& stream, std::span<const std::byte> payload) noexcept {
  if (stream.queue != nullptr) {
    stream.queue->push(payload);
    if (stream.change) attend(stream);
    return;
  }
  if (stream.each) [[likely]] {
    turn_->calling_user = true;
    try {
      stream.each(payload);
    } catch (...) {
      turn_->log_thrown("the function of a stream's items");
      threw(stream);
    }
    turn_->calling_user = false;
  } else {
    counters_.items_dropped.add();
  }
  // Its state stays until the next turn, whatever the function did.
  stream.taken = stream.came;
  if (stream.grant_due()) [[unlikely]]
    give_credit(stream);
}

void LinkEnd::take_end(Head head, const std::byte* header) noexcept {
  StreamState* const stream = find_stream(head, header);
  if (stream == nullptr || stream->over) return;
  if (stream->caller || stream->closed_in) return misused(*stream, "a second end, or one that the server sent");
  stream->closed_in = true;
  attend(*stream);
}

// --- the end

// The peer broke the rules of this stream: the call ends, and the link goes on.
[[gnu::cold, gnu::noinline]] void LinkEnd::misused(StreamState& stream, const char* how) noexcept {
  counters_.streams_misused.add();
  turn_->log(Severity::warning, "ending a stream of process " + std::to_string(wire_->agreement().peer_pid) +
                                    ", which broke its rules: " + how);
  if (!stream.caller) return nobody_waits(*stream.request, OpenRequest::Void::misused);
  end_call_of(stream, Status(Code::failed_precondition, Ran::yes, Why::stream_misuse, how));
}

// A function of this side threw: nobody takes the items any more.
[[gnu::cold, gnu::noinline]] void LinkEnd::threw(StreamState& stream) noexcept {
  if (!stream.caller) return nobody_waits(*stream.request, OpenRequest::Void::threw);
  end_call_of(stream, Status(Code::internal, Ran::yes, Why::handler_threw, "the function that takes the items threw"));
}

// The stubs found an item that is no message. What was kept behind it is not looked at.
[[gnu::cold, gnu::noinline]] void LinkEnd::refuse_item(StreamState& stream, std::string_view text) noexcept {
  if (!stream.caller) {
    stream.refusal = text;
    return nobody_waits(*stream.request, OpenRequest::Void::bad_item);
  }
  end_call_of(stream, Status(Code::internal, Ran::yes, Why::bad_message, text));
}

// At the caller: the server is told, and the callback runs in the next turn.
[[gnu::cold, gnu::noinline]] void LinkEnd::end_call_of(StreamState& stream, const Status& status) noexcept {
  PendingTable::Row* const row = pending_.find(stream.call);
  if (row == nullptr) return;
  abandon(*row);
  turn_->finished.push_back({std::move(row->callback), status});
  row->call = 0;
  close_row(*row);
}

// The call is over. Its handles may live on, and one of its functions may be running: its state stays for another turn.
[[gnu::cold, gnu::noinline]] void LinkEnd::end_stream(std::shared_ptr<StreamState> stream) noexcept {
  drop_item(*stream);
  stream->over = true;
  stream->end = nullptr;
  stream->request = nullptr;
  stream->cancel.clear();
  attend(*stream);
}

// --- turns

void LinkEnd::attend(StreamState& stream) noexcept {
  if (!std::exchange(stream.listed, true)) attended_.push_back(stream.shared_from_this());
  unfinished_ = true;
  if (!closed_) sent();
}

int LinkEnd::poll_streams() noexcept {
  if (!cancels_owed_.empty()) send_owed_cancels();
  const std::size_t count = attended_.size();
  std::size_t left = 0;
  int done = 0;
  for (std::size_t i = 0; i != count; ++i) {
    const std::shared_ptr<StreamState> stream = std::move(attended_[i]);  // its functions may list others
    stream->listed = attend_to(*stream, done);
    if (stream->listed) attended_[left++] = stream;
  }
  attended_.erase(attended_.begin() + static_cast<std::ptrdiff_t>(left),
                  attended_.begin() + static_cast<std::ptrdiff_t>(count));
  note_unfinished();
  return done;
}

// Runs what may run now. True: there is something left that waits for room.
bool LinkEnd::attend_to(StreamState& stream, int& done) noexcept {
  const auto run = [&](auto& stored, auto... arguments) {
    const auto once = std::move(stored);  // which may put another one in its place
    run_user(once, arguments...);
    ++done;
  };
  if (stream.credit_owed) give_credit(stream);
  if (stream.end_owed) stream.end_owed = !stream.over && !send_end(stream);
  if (stream.cancel && stream.over) run(stream.cancel);
  if (stream.close && (stream.closed_in || stream.over)) run(stream.close, stream.closed_in);
  if (stream.ready && may_be_ready(stream)) run(stream.ready);
  if (stream.change && stream.changed()) run(stream.change);
  if (stream.over) stream.each.clear();
  // With credit it is the ring that it waits for, whatever it was refused for.
  const bool waits_for_ring = stream.ready && (stream.over || stream.may_send(wanted(stream)));
  return stream.credit_owed || stream.end_owed || waits_for_ring || (stream.change && stream.changed());
}

template <class... Args>
void LinkEnd::run_user(const StoredFunction<Args...>& function, Args... arguments) noexcept {
  turn_->calling_user = true;
  try {
    function(arguments...);
  } catch (...) {
    turn_->log_thrown("a function of a stream");
  }
  turn_->calling_user = false;
}

// May what was refused last be sent now?
bool LinkEnd::may_be_ready(StreamState& stream) noexcept {
  if (stream.over || broken_) return true;
  if (!stream.may_send(wanted(stream))) return false;
  LaneEnd& lane = lane_of(stream.lane);
  // A claim that is not sent changes nothing.
  return lane.claimed == nullptr && lane.claim_record(wanted(stream), lane.admission.reserve());
}

}  // namespace taut::rpc
