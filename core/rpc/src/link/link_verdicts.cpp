// Calls that end at this side without an answer, and what their ends say: did the handler run?
#include "link_end.h"

namespace taut::rpc {

Ran LinkEnd::verdict(const PendingTable::Row& row, bool stopped) const noexcept {
  if (row.sending || left_out(row)) return Ran::no;  // its last piece never left, or it lies behind the last to run
  const u64 taken = lanes_[index(row.lane)].peer_taken->position.load(std::memory_order_acquire);
  const auto past = static_cast<std::int64_t>(row.end - taken);
  if (past > 0) return stopped ? Ran::no : Ran::maybe;
  // A call before the mark ran, or was refused. A refusal is shown before the mark passes it, so it is here by now.
  const LaneEnd& lane = lanes_[index(row.lane)];
  return past == 0 || lane.in.waiting() || !lane.kept.empty() ? Ran::maybe : Ran::yes;
}

// The call ends here, and its answer has still to come.
void LinkEnd::abandon(PendingTable::Row& row) noexcept {
  if (row.sending) [[unlikely]]
    return stop_sending(row);
  ++lane_of(row.lane).calls_abandoned;
  if (ended == nullptr && !broken_) tell_cancelled(row.lane, row.call);
}

Status LinkEnd::give_up(u64 call, Code code, Why why, std::string_view text) noexcept {
  PendingTable::Row* row = pending_.find(call);
  if (row == nullptr) return {code, Ran::maybe, why, text};
  const Status status(code, ended != nullptr || broken_ ? verdict_of_end(*row) : verdict(*row, false), why, text);
  abandon(*row);
  row->callback.clear();
  close_row(*row);
  if (why == Why::timeout) counters_.calls_timed_out.add();
  return status;
}

// What the marks prove once the link is over.
Ran LinkEnd::verdict_of_end(const PendingTable::Row& row) const noexcept {
  if (row.sending) return Ran::no;
  // A peer that broke the rules proves nothing; in a child of fork() the marks are not there to be read.
  if (broken_ || ended->why == Why::peer_violation || ended->why == Why::forked) return Ran::maybe;
  const bool stopped = ended->why == Why::peer_died || ended->why == Why::peer_closed || ended->why == Why::draining;
  return verdict(row, stopped && !ended->runs_on);
}

void LinkEnd::end_calls_of(const LinkState& link) noexcept {
  const bool later = turn_->inside || turn_->calling_user || turn_->waiting;
  pending_.for_each_open([&](PendingTable::Row& row) {
    if (row.owner != &link) return;
    const Status status(Code::cancelled, verdict(row, false), Why::link_closed, "the link was closed by this side");
    abandon(row);
    if (!later) return run_callback(row, {status, {}});
    turn_->finished.push_back({std::move(row.callback), status});
    row.call = 0;
    close_row(row);
  });
}

// The server is not told: it reads no more of them, or refuses them, which is then a late answer.
[[gnu::cold, gnu::noinline]] void LinkEnd::end_left_out() noexcept {
  pending_.for_each_open([&](PendingTable::Row& row) {
    if (!left_out(row)) return;
    if (row.sending) {
      stop_sending(row);
    } else {
      ++lane_of(row.lane).calls_abandoned;
    }
    run_callback(row, {Status(Code::unavailable, Ran::no, Why::draining, kLeftOut), {}});
  });
}

Ticks LinkEnd::expire(Ticks now) noexcept {
  if (last_is_named_) end_left_out();
  Ticks next = kNever;
  pending_.for_each_open([&](PendingTable::Row& row) {
    if (row.deadline > now) {
      next = std::min(next, row.deadline);
      return;
    }
    counters_.calls_timed_out.add();
    const Ran ran = verdict(row, false);
    abandon(row);
    run_callback(row, {Status(Code::deadline_exceeded, ran, Why::timeout, "no answer within the timeout"), {}});
  });
  return next;
}

// What belongs to the peer's calls is stepped over: its requests lie past the mark, so it knows that they did not run.
void LinkEnd::read_what_arrived(LaneEnd& lane) noexcept {
  std::erase_if(lane.kept,
                [](const Kept& kept) { return kept.then == Then::handle && of_peers_call(kept.record.head); });
  poll_kept();
  // One lap: a peer that lives on, or lied before it died, may have left a ring without an end.
  const u64 start = lane.in.position();
  while (const Record record = lane.in.next()) {
    if (record.end - start > lane.in.ring_bytes()) break;
    if (!of_peers_call(record.head)) handle(lane, record);
  }
}

void LinkEnd::bury() noexcept {
  const LinkEnded& how = *ended;
  for (LaneEnd& lane : lanes_) drop_claim(lane);
  // What the peer had committed is still in the ring, and answers that arrived are answers.
  if (!broken() && how.why != Why::forked && !without_calls()) {
    for (const Lane lane_name : kLanes) read_what_arrived(lane_of(lane_name));
  }
  closed_ = true;
  requests_.for_each_open([&](OpenRequest& request) { nobody_waits(request, OpenRequest::Void::cancelled); });
  const Code code = how.why == Why::link_closed || how.why == Why::forked ? Code::cancelled : Code::unavailable;
  pending_.for_each_open([&](PendingTable::Row& row) {
    run_callback(row, {Status(code, verdict_of_end(row), how.why, how.text), {}});
  });
  drop_large();
  poll_streams();
  wire_->close();
}

}  // namespace taut::rpc
