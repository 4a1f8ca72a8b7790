// Calls that run no handler, so that the first one that does finds everything warm.
//
// A ping is an ordinary request with a method index that no table holds: it takes the very path of every call, from the
// claim over both rings to the answer in a wait. What it cannot warm is the user's own: generated code and handlers.
#include "core.h"
#include "link_state.h"

namespace taut::rpc {

void LinkEnd::answer_ping(ring::Lane lane_name, const ring::RequestHeader& header) noexcept {
  LaneEnd& lane = lane_of(lane_name);
  if (!lane.admission.enter()) {
    lane.admission.leave(ring::kStep);
    return broke("more unanswered calls than were granted");
  }
  counters_.requests_received.add();
  OpenRequest& request = requests_.open();
  request.call = header.call;
  request.sent = header.sent;
  request.started = turn_->now;
  request.budget = header.budget;
  request.bound = ring::kStep;
  request.lane = lane_name;
  request.room = AnswerRoom::none;
  request.ran = false;
  RawReply reply(request);
  if (drain_ != Drain::no) return reply.refuse(Code::unavailable, Why::draining, "the server takes no new calls");
  // Null while a handler writes another answer: the reply is then refused when it goes.
  if (reply.claim(0) != nullptr) reply.send(0);
}

Status LinkState::warm_up(std::uint32_t calls) noexcept {
  const auto ping = [this](ring::Lane lane, std::uint32_t times) {
    BoundMethod method;
    method.index = LinkEnd::kPing;
    method.lane = lane;
    method.timeout = turn_->clock.to_ticks(options_.timeout);
    AnswerBuffer answer;
    Status status;
    while (times-- != 0 && status.ok()) status = wait(method, claim(method, 0), 0, Nanoseconds{0}, answer);
    return status;
  };
  const Status status = ping(ring::Lane::normal, calls);
  return status.ok() ? ping(ring::Lane::urgent, (calls + 7) / 8) : status;  // its ring is an eighth
}

}  // namespace taut::rpc

namespace taut {

Status Link::warm_up(std::uint32_t calls) noexcept { return state_->warm_up(calls); }

}  // namespace taut
