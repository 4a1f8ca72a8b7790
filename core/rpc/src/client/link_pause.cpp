// Between the attempts of a call that is waited for.
#include "../dispatcher/core.h"
#include "link_state.h"

namespace taut::rpc {

void LinkState::pause(Ticks until) noexcept {
  Turn& turn = *turn_;
  const bool spins = core_->options().idle == Idle::spin;
  turn.waiting = true;
  while ((turn.now = turn.clock.now()) < until) {
    const bool pumped = end_ != nullptr && end_->wire().needs_pump();
    if (pumped) {
      end_->wire().pump(turn.now);
    } else if (turn.clock.source() == ClockSource::manual) {
      break;  // the time stands still until the test moves it, which it cannot do in here
    }
    const Nanoseconds left = turn.clock.to_duration(until - turn.now);
    if (core_->control_due() || (!spins && !pumped && left > kSpinFor)) {
      core_->control_turn(spins || pumped ? Nanoseconds{0} : left);
    }
  }
  turn.waiting = false;
}

}  // namespace taut::rpc
