// Calls that end before their answer came: the caller's word to the server, and what the server makes of it.
//
// A cancel travels on the urgent lane, so it may overtake its call: the server then remembers it where the call's row
// will be. A call that is cancelled keeps its row, its grant and every limit it counts against until it is answered.
#include <cstring>

#include "../dispatcher/core.h"
#include "link_end.h"

namespace taut::rpc {

// --- at the caller

bool LinkEnd::cancel(u64 call, bool run_callback) noexcept {
  PendingTable::Row* const row = pending_.find(call);
  if (row == nullptr) return false;
  const Ran ran = ended != nullptr || broken_ ? verdict_of_end(*row) : verdict(*row, false);
  counters_.calls_cancelled.add();
  abandon(*row);
  if (!run_callback) {
    row->callback.clear();
  } else if (row->callback) {
    turn_->finished.push_back(
        {std::move(row->callback), Status(Code::cancelled, ran, Why::cancelled, "cancelled by the caller")});
  }
  row->call = 0;
  close_row(*row);
  return true;
}

// No record holds more than its id. Owed when there is no room, or a claim is in the way: a call that was given up
// keeps its grant until it is answered, so at most as many are owed as there are grants.
[[gnu::cold, gnu::noinline]] void LinkEnd::tell_cancelled(Lane lane_name, u64 call) noexcept {
  for (const Lane lane : {Lane::urgent, lane_name}) {
    if (lane_of(lane).claimed == nullptr && send_cancel(lane_of(lane), call)) return sent();
  }
  cancels_owed_.push_back(call);
  unfinished_ = true;
  sent();
}

[[gnu::cold, gnu::noinline]] void LinkEnd::send_owed_cancels() noexcept {
  LaneEnd& urgent = lane_of(Lane::urgent);
  while (!cancels_owed_.empty() && urgent.claimed == nullptr && send_cancel(urgent, cancels_owed_.back())) {
    cancels_owed_.pop_back();
    sent();
  }
}

bool LinkEnd::send_cancel(LaneEnd& lane, u64 call) noexcept {
  if (!lane.claim_record(sizeof(ring::ReplyHeader), lane.admission.reserve())) return false;
  lane.out.send_in_place(lane.claim, Head::make(sizeof(ring::ReplyHeader), Kind::cancel), call);
  return true;
}

// --- at the server

[[gnu::noinline]] void LinkEnd::take_cancel(LaneEnd& lane, const std::byte* header) noexcept {
  if (served_ == nullptr) return broke("a cancel of a call that this side serves, and it serves none");
  u64 call;
  std::memcpy(&call, header + offsetof(ring::ReplyHeader, call), sizeof call);
  if (call == 0) return broke("a cancel without a call");
  counters_.cancels_received.add();
  if (lane.arriving.call == call) return cancel_arriving(lane);
  if (OpenRequest* const request = requests_.find(call)) return nobody_waits(*request, OpenRequest::Void::cancelled);
  requests_.remember_cancelled(call);
}

// The handler may find out: by asking, or by what it gave to on_cancel() and to its stream.
[[gnu::noinline]] void LinkEnd::nobody_waits(OpenRequest& request, OpenRequest::Void why) noexcept {
  if (request.nobody_waits == OpenRequest::Void::no) request.nobody_waits = why;
  if (request.stream == nullptr) return;
  request.stream->over = true;
  attend(*request.stream);
}

}  // namespace taut::rpc

namespace taut::rpc {

void LinkState::end_call(u64 call, bool run_callback) noexcept {
  if (!turn_->on_owner() || core_->forked()) {
    turn_->log(Severity::error, core_->forked() ? "a call was cancelled in a child of fork()"
                                                : "a call was cancelled " + core_->wrong_thread_text());
    return;
  }
  if ((call & kKeptCall) != 0) {
    for (LinkUser* const user : users_) {
      if (user->end_call(call, run_callback)) return;
    }
    return;
  }
  if (end_ != nullptr && end_->cancel(call, run_callback)) return;
  core_->cancel(endpoint_, call, run_callback);
}

// The end on which it was made may have been left for a successor.
void Core::cancel(u64 endpoint, u64 call, bool run_callback) noexcept {
  for (const auto& end : ends_) {
    if (end != nullptr && end->endpoint == endpoint && end->cancel(call, run_callback)) return;
  }
}

void cancel_call(LinkState& link, u64 call) noexcept { link.end_call(call, true); }
void forget_call(LinkState& link, u64 call) noexcept { link.end_call(call, false); }

}  // namespace taut::rpc
