// Calls that run no handler, so that the first one that does finds everything warm.
//
// A ping is an ordinary request with a method index that no table holds: it takes the very path of every call, from the
// claim over both rings to the answer in a wait. What it cannot warm is the user's own: generated code and handlers.
#include "../dispatcher/core.h"
#include "link_state.h"

namespace taut::rpc {

Status LinkState::warm_up(std::uint32_t calls) noexcept {
  const auto ping = [this](ring::Lane lane, std::uint32_t times) {
    BoundMethod method;
    method.index = LinkEnd::kPing;
    method.lane = lane;
    method.timeout = turn_->clock.to_ticks(options_.timeout);
    AnswerBuffer answer;
    Status status;
    while (times-- != 0 && status.ok()) status = wait(method, claim(method, 0), 0, CallOptions{}, answer);
    return status;
  };
  const Status status = ping(ring::Lane::normal, calls);
  return status.ok() ? ping(ring::Lane::urgent, (calls + 7) / 8) : status;  // its ring is an eighth
}

}  // namespace taut::rpc

namespace taut {

Status Link::warm_up(std::uint32_t calls) noexcept { return state_->warm_up(calls); }

}  // namespace taut
