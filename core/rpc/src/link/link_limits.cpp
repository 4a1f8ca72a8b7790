// Limits of the server, asked between a request and its handler (serve_limits.h), and what a client makes of a refusal
// (send_window.h).
#include <cstring>

#include "link_end.h"

namespace taut::rpc {

// A client whose server lets nothing in asks again at least so often.
constexpr Nanoseconds kClosedMax = std::chrono::seconds(1);

// Is the request to be run? Else it was refused. Only where a listener has limits: the clock is read for each request,
// since the handler before may have taken as long as a call may wait.
[[gnu::noinline]] bool LinkEnd::let_in(Limits& limits, OpenRequest& request, u32 method_index) noexcept {
  Turn& turn = *turn_;
  request.started = turn.now = turn.clock.now();
  const Ticks waited = turn.now > request.sent ? turn.now - request.sent : 0;
  if (waited > turn.budget_ticks(request.budget) && request.budget - 1 < ring::kBudgetLonger - 1) {
    counters_.requests_expired.add();
    refuse(request, Code::deadline_exceeded, Ran::no, Why::expired_in_queue, "the deadline passed in the queue");
    return false;
  }
  OpenCalls& of_method = limits.of(method_index);
  if (of_method.full()) [[unlikely]] {
    counters_.requests_over_method.add();
    refuse_for_now(request, Why::method_limit, of_method.until_one_ends(), "the method has its limit of open calls");
    return false;
  }
  if (request.lane == Lane::normal) {  // what is urgent is bounded by its grants alone
    if (limits.all.full()) [[unlikely]] {
      counters_.requests_over_server.add();
      refuse_for_now(request, Why::server_limit, limits.all.until_one_ends(), "the server has its limit of open calls");
      return false;
    }
    if (limits.delay.limited() && !limits.delay.lets_in(waited, turn.now)) [[unlikely]] {
      counters_.requests_over_delay.add();
      refuse_for_now(request, Why::queue_delay, waited, "the call waited too long in the queue");
      return false;
    }
  }
  request.counted = true;
  of_method.enter();
  limits.all.enter();
  return true;
}

// The wait goes before the text: a status has one line, and its head word no bit to spare.
void LinkEnd::refuse_for_now(OpenRequest& request, Why why, Ticks wait, std::string_view text) noexcept {
  char bytes[ring::kStep - sizeof(ring::ReplyHeader)];
  const u32 steps = Status::wait_steps(turn_->clock.to_duration(wait));
  std::memcpy(bytes, &steps, sizeof steps);
  const std::size_t text_bytes = std::min(text.size(), sizeof bytes - sizeof steps);
  std::memcpy(bytes + sizeof steps, text.data(), text_bytes);
  refuse(request, Code::resource_exhausted, Ran::no, why, {bytes, sizeof steps + text_bytes});
}

[[gnu::noinline]] void LinkEnd::count_closed(Limits& limits, OpenRequest& request) noexcept {
  if (!request.counted) return;  // it was refused, or there was no limit when it came
  request.counted = false;
  const Ticks open_for = turn_->now > request.started ? turn_->now - request.started : 0;
  limits.of(request.method).leave(open_for);
  limits.all.leave(open_for);
}

// --- the caller's side

// A call was refused. When the server sheds load, less is sent to it.
[[gnu::noinline]] Status LinkEnd::read_refusal(LaneEnd& lane, Head head, std::span<const std::byte> payload) noexcept {
  const Status status = read_status(head, payload);
  if (status.ran() == Ran::no && (status.why() == Why::queue_delay || status.why() == Why::server_limit)) {
    lane.window.shed(lane.calls_max, {.answers = counters_.answers_received.value(),
                                      .open = lane.calls_open,
                                      .now = turn_->clock.now(),
                                      .wait = turn_->clock.to_ticks(status.retry_after()),
                                      .closed_max = turn_->clock.to_ticks(kClosedMax)});
  }
  return status;
}

// As many calls are open as may be. None: there may be one more by now.
[[gnu::noinline]] Why LinkEnd::no_grant(LaneEnd& lane) noexcept {
  if (!lane.window.narrow()) return Why::calls_in_flight;
  lane.window.widen(lane.calls_max, counters_.answers_received.value(), turn_->clock);
  if (lane.calls_open < lane.calls_max) return Why::none;
  if (!lane.window.narrow()) return Why::calls_in_flight;
  counters_.calls_held_back.add();
  return Why::held_back;
}

}  // namespace taut::rpc
