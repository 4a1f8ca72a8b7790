// A server goes in good order: it takes no new calls, answers those that it took, hears the answers to its own, and
// then says goodbye.
//
// What is still in the ring at the goodbye lies past the mark `taken`, so its callers learn that it did not run. A
// drain therefore loses nothing whatever the client does. The record that tells it is there so that it stops sending,
// and looks for the successor while this server still works; and it names the last request of each lane that may run,
// so that the callers of all others know at once that theirs did not.
#include <cstring>

#include "../dispatcher/core.h"

namespace taut::rpc {
namespace {

// Stands in for the halt word of a link that drains: the running path asks one question for both.
const ring::SharedWord kDraining{1};

}  // namespace

void LinkEnd::drain() noexcept {
  if (drain_ == Drain::told || broken_ || closed_) return;
  if (drain_ == Drain::no) {
    // What was read may run, also the request whose handler drains; what is read from here on is refused.
    for (std::size_t i = 0; i != ring::kLaneCount; ++i) last_to_run_[i] = lanes_[i].in.read_to();
    serve_halt_word_ = &kDraining;
    drain_ = Drain::begun;
  }
  LaneEnd& lane = lanes_[0];
  constexpr u32 kBytes = sizeof(ring::DrainHeader);
  if (lane.claimed != nullptr || !lane.claim_record(kBytes, lane.admission.reserve())) return;
  lane.out.send_in_place(lane.claim, Head::make(kBytes, Kind::drain), last_to_run_[0], last_to_run_[1]);
  drain_ = Drain::told;
  ring_if_asleep();
}

void LinkEnd::show() noexcept {
  if (batching_) {
    lanes_[0].out.end_batch();
    lanes_[0].out.begin_batch();
  }
  ring_if_asleep();
}

void LinkEnd::make_no_more_calls() noexcept { halt_word_ = &kDraining; }

void LinkEnd::heard_drain(Head head, const std::byte* header) noexcept {
  if (side_ == Side::server) return broke("a drain from a client");
  drain_ = Drain::heard;
  if (head.bytes() >= sizeof(ring::DrainHeader)) {
    ring::DrainHeader drain;
    std::memcpy(&drain, header, sizeof drain);
    last_to_run_[0] = drain.normal;
    last_to_run_[1] = drain.urgent;
    last_is_named_ = true;
  }
  turn_->earliest_deadline = 0;  // calls that will not run end with this turn, and the link goes on to the successor
  goodbye_may_be_of_a_drain();   // which may have come first: it does not travel through the ring
  halt_word_ = &kDraining;       // what the server still calls is served: it may need it for its answers
}

void Core::begin_drain(std::uint64_t endpoint) noexcept {
  const auto found = served_.find(endpoint);
  if (found == served_.end()) return;
  if (!std::exchange(found->second.draining, true)) tell_of_drain(endpoint);
  stop_listening(endpoint);  // before the links: a client that is told must not find this server again
  for (const auto& end : ends_) {
    if (end->endpoint == endpoint) end->drain();
  }
  control_after_ = 0;
}

// Before the name goes, and before requests are refused: what the services send to their clients, these can read then.
void Core::tell_of_drain(std::uint64_t endpoint) noexcept {
  const Served& served = served_.at(endpoint);
  const bool within = std::exchange(turn_->calling_user, true);  // a drain may begin in a handler
  for (Service* const service : served.seat->services()) {
    try {
      service->drain_begins();
    } catch (...) {
      turn_->log_thrown("drain_begins() of " + std::string(service->description().name));
    }
  }
  turn_->calling_user = within;
  for (const auto& end : ends_) {
    if (end->endpoint == endpoint) end->show();
  }
}

bool Core::drained(std::uint64_t endpoint) const noexcept {
  const auto found = served_.find(endpoint);
  return found == served_.end() || (found->second.draining && std::none_of(ends_.begin(), ends_.end(), [&](auto& end) {
                                      return end->endpoint == endpoint;
                                    }));
}

void Core::drain_turn(LinkEnd& end) noexcept {
  if (end.drain_state() == LinkEnd::Drain::heard) {
    // The link goes on to the successor; this end stays until what it sent is answered.
    const auto link = links_.find(end.endpoint);
    if (link == links_.end() || link->second->end() != &end) return;
    link->second->disconnected();
    any_news_ = true;
    return;
  }
  end.drain();
  // Handlers that are under way may call their clients, and what they sent is waited for.
  if (end.held_by_replies()) return;
  end.make_no_more_calls();
  if (!end.awaits_answers()) end_link(end, {Why::link_closed, "this side drained the link"});
}

bool Core::drain(std::uint64_t endpoint, Nanoseconds at_most) noexcept {
  if (!on_owner() || turn_->calling_user || turn_->waiting) {
    turn_->log(Severity::error, on_owner() ? std::string("drain() inside a handler, a callback or a wait does nothing")
                                           : "drain() was " + wrong_thread_text());
    return false;
  }
  begin_drain(endpoint);
  const auto begin = std::chrono::steady_clock::now();
  while (true) {
    const int done = poll(Dispatcher::kPollDefault);
    const Nanoseconds left = at_most - (std::chrono::steady_clock::now() - begin);
    // Its own turns, since the clock may be one that a test moves.
    control_turn(done == 0 ? std::clamp(left, Nanoseconds{0}, Nanoseconds{std::chrono::milliseconds(1)})
                           : Nanoseconds{0});
    if (drained(endpoint)) return true;
    if (left <= Nanoseconds{0}) break;
  }
  for (const auto& end : ends_) {
    if (end->endpoint == endpoint) end_link(*end, {Why::link_closed, "draining took too long"});
  }
  control_turn(Nanoseconds{0});
  return false;
}

}  // namespace taut::rpc
