// Calls that are waited for: sent, and polled for until they have ended.
#include "link_state.h"

namespace taut::rpc {

Status LinkState::wait(const BoundMethod& method, CallRoom room, u32 payload_bytes, const CallOptions& options,
                       AnswerBuffer& buffer) noexcept {
  if (room.refused == Why::wrong_thread) [[unlikely]]
    return refusal(Why::wrong_thread, method);
  if (turn_->calling_user || turn_->waiting) [[unlikely]] {
    if (room.payload != nullptr) drop(method, room.payload);
    return refusal(Why::inside_handler, method);
  }
  const bool beside = chain_ != nullptr || options.metadata.get() != nullptr;
  if (beside && method.index != LinkEnd::kPing) [[unlikely]]
    return wait_beside(method, room, payload_bytes, options, buffer);
  return wait_sent(commit(method, room, payload_bytes, options.timeout), method, buffer);
}

Status LinkState::wait_sent(const Committed& sent, const BoundMethod& method, AnswerBuffer& buffer) noexcept {
  if (sent.row == nullptr) [[unlikely]] {
    count_refusal(sent.refused);
    // A client that only waits has no other turn in which its link could come back.
    const bool no_link =
        sent.refused == Why::not_connected || sent.refused == Why::peer_violation || sent.refused == Why::draining;
    if (no_link && core_->on_owner()) core_->control_turn(Nanoseconds{0});
    return refusal(sent.refused, method);
  }
  end_->ring_if_asleep();
  return wait_for(sent.row->call, sent.row->deadline, buffer);
}

[[gnu::noinline]] Status LinkState::wait_for(std::uint64_t call, Ticks deadline, AnswerBuffer& buffer) noexcept {
  LinkEnd& end = *end_;
  Turn& turn = *turn_;
  core_->warm(end);
  Status status;
  turn.waiting = true;
  Ticks spin_until = turn.clock.now() + core_->spin_ticks();
  while (true) {
    end.watch(kLooks);
    const LinkEnd::Found found = end.look_for(call, status, buffer);
    if (found == LinkEnd::Found::answer) break;
    turn.now = turn.clock.now();
    if (found == LinkEnd::Found::something) {
      spin_until = turn.now + core_->spin_ticks();
      if (end.leaves_out(call)) {
        status = end.give_up(call, Code::unavailable, Why::draining, LinkEnd::kLeftOut);
        break;
      }
    }
    if (end.wire().needs_pump()) end.wire().pump(turn.now);
    if (core_->control_due()) [[unlikely]]
      core_->control_turn(Nanoseconds{0});
    if (end.ended != nullptr || end.broken()) [[unlikely]] {
      // What had been sent before the end is still to be looked through.
      // Twice: a look may end with a lap of the ring.
      if (end.look_for(call, status, buffer) == LinkEnd::Found::answer) break;
      if (end.look_for(call, status, buffer) == LinkEnd::Found::answer) break;
      status = end.ended != nullptr ? end.give_up(call, Code::unavailable, end.ended->why, end.ended->text)
                                    : end.give_up(call, Code::unavailable, Why::peer_violation, end.violation());
      break;
    }
    if (turn.now >= deadline) [[unlikely]] {
      status = end.give_up(call, Code::deadline_exceeded, Why::timeout, "no answer within the timeout");
      break;
    }
    if (turn.now >= spin_until) [[unlikely]] {
      core_->rest_in_wait(end, kSpinFor + turn.clock.to_duration(turn.now - spin_until), deadline);
    }
  }
  turn.waiting = false;
  return status;
}

}  // namespace taut::rpc
