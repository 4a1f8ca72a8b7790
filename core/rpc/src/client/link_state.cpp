// The running side of a link: claiming, sending and waiting for calls.
#include "link_state.h"

#include "../dispatcher/core.h"
#include "taut/base/assert.h"

namespace taut::rpc {
namespace {

struct Explained {
  Code code;
  const char* text;
};

// What a call that was refused before it was sent tells its caller. All of them ran: no.
Explained explain(Why why) noexcept {
  switch (why) {
    case Why::ring_full:
      return {Code::resource_exhausted,
              "the ring towards the server is full: poll, or open the link with a larger ring="};
    case Why::calls_in_flight:
      return {Code::resource_exhausted,
              "every call that the server grants is unanswered: poll, or open the link with a larger inflight="};
    case Why::held_back:
      return {Code::resource_exhausted, "the server sheds load, so this side sends it fewer calls for a while"};
    case Why::too_big:
      return {
          Code::out_of_range,
          "the message does not fit its room: at most what was claimed, and what the server takes (its message_max=)"};
    case Why::not_connected:
      return {Code::unavailable, "the link has no server at present and reconnects by itself"};
    case Why::halted:
      return {Code::unavailable, "the service is halted"};
    case Why::draining:
      return {Code::unavailable, "the server takes no new calls; the link looks for its successor"};
    case Why::open_claim:
      return {Code::failed_precondition, "another claim of this lane is open: send it or let it go first"};
    case Why::inside_handler:
      return {Code::failed_precondition, "a wait inside a handler or callback would stop the dispatcher: use then()"};
    case Why::forked:
      return {Code::failed_precondition,
              "this process is a child of fork(): links belong to the process that opened them"};
    case Why::bad_metadata:
      return {Code::invalid_argument,
              "the metadata is over 16 pairs or 1 KiB, or has a key that is none or is there twice"};
    case Why::deadline_passed:
      return {Code::deadline_exceeded, "the deadline had passed before the call was sent: its own, or its handler's"};
    case Why::peer_violation:
      return {Code::unavailable, "the server broke the rules of the ring"};
    default:
      return {Code::internal, "refused"};
  }
}

// The same of a server that calls its client, as far as the sentence differs.
Explained explain_towards_client(Why why) noexcept {
  switch (why) {
    case Why::ring_full:
      return {Code::resource_exhausted, "the ring towards the client is full: poll, or serve with a larger ring="};
    case Why::calls_in_flight:
      return {Code::resource_exhausted,
              "every call that the client grants is unanswered: poll, or open the link with a larger inflight="};
    case Why::too_big:
      return {
          Code::out_of_range,
          "the message does not fit its room: at most what was claimed, and what the client takes (its message_max=)"};
    case Why::not_connected:
      return {Code::unavailable, "the client is gone"};
    case Why::draining:
      return {Code::unavailable, "this side drains the link, and has answered everything that it took"};
    case Why::peer_violation:
      return {Code::unavailable, "the client broke the rules of the ring"};
    default:
      return explain(why);
  }
}

// Steps of 16 ns, rounded up; beyond 32 bits only the caller keeps the time.
u32 budget_of(Nanoseconds timeout) noexcept {
  const auto steps = (static_cast<u64>(timeout.count()) + ring::kBudgetStepNs - 1) / ring::kBudgetStepNs;
  return steps >= ring::kBudgetLonger ? ring::kBudgetLonger : std::max<u32>(static_cast<u32>(steps), 1);
}

}  // namespace

[[gnu::always_inline]] inline Why LinkState::not_callable(const BoundMethod& method) noexcept {
  if (!turn_->on_owner()) [[unlikely]] {  // first: nothing else may be looked at on another thread
    if (!core_->on_owner()) return Why::wrong_thread;
  }
  if (end_ == nullptr) [[unlikely]]
    return Why::not_connected;
  if (core_->forked()) [[unlikely]]
    return Why::forked;
  if (method.index >= BoundMethod::kMisfit) [[unlikely]]
    return method.index == BoundMethod::kMissing ? Why::unknown_method : Why::schema_mismatch;
  return Why::none;
}

CallRoom LinkState::claim(const BoundMethod& method, u32 payload_bytes) noexcept {
  if (const Why why = not_callable(method); why != Why::none) [[unlikely]]
    return {nullptr, 0, why};
  return end_->claim_request(method.lane, payload_bytes);
}

CallRoom LinkState::claim_oneway(const BoundMethod& method, u32 payload_bytes) noexcept {
  if (const Why why = not_callable(method); why != Why::none) [[unlikely]]
    return {nullptr, 0, why};
  return end_->claim_oneway(method.lane, payload_bytes);
}

Sent LinkState::send_oneway(const BoundMethod& method, CallRoom room, u32 payload_bytes,
                            MetadataArgument metadata) noexcept {
  // The room first: on another thread nothing else may be looked at.
  if (room.payload == nullptr || chain_ != nullptr || metadata.get() != nullptr || turn_->inheriting.trace != nullptr)
      [[unlikely]] {
    return send_oneway_beside(method, room, payload_bytes, metadata);
  }
  const Why refused = commit_oneway(method, room, payload_bytes, {});
  if (refused != Why::none) [[unlikely]]
    return oneway_refused(refused);
  return Sent::ok;
}

Why LinkState::commit_oneway(const BoundMethod& method, CallRoom room, u32 payload_bytes,
                             const Beside& beside) noexcept {
  if (room.payload == nullptr) [[unlikely]]
    return room.refused;
  if (end_ == nullptr || !end_->claimed(method.lane, room.payload)) [[unlikely]] {  // a claim of an end that is over
    drop(method, room.payload);
    return Why::not_connected;
  }
  if (payload_bytes > room.bytes) [[unlikely]] {
    end_->drop_request(method.lane);
    return Why::too_big;
  }
  if (beside.any()) [[unlikely]] {
    if (const Why why = commit_oneway_beside(method, payload_bytes, beside); why != Why::none) return why;
  } else {
    end_->send_oneway(method.lane, method.index, payload_bytes);
  }
  end_->sent();
  return Why::none;
}

// What there is to say of a refused message; whoever sends many of them wants no more than this.
[[gnu::cold, gnu::noinline]] Sent LinkState::oneway_refused(Why why) noexcept {
  if (why == Why::wrong_thread) {
    turn_->log(Severity::error, "a one-way message was " + core_->wrong_thread_text());
    return Sent::over;
  }
  count_refusal(why);
  switch (why) {
    case Why::ring_full:
      return Sent::ring_full;
    case Why::too_big:
      return Sent::too_big;
    case Why::open_claim:
      return Sent::open_claim;
    case Why::bad_metadata:
    case Why::intercepted:
      return Sent::refused;
    default:
      return Sent::over;
  }
}

void LinkState::drop(const BoundMethod& method, const std::byte* payload) noexcept {
  core_->drop_claim(endpoint_, method.lane, payload);
}

[[gnu::noinline]] bool LinkState::inherit_deadline(Nanoseconds timeout, u32& budget, Ticks& ticks) const noexcept {
  const Ticks deadline = turn_->inherited_deadline();
  if (deadline == kNever || timeout >= kPracticallyForever) return true;
  if (turn_->clock.now() >= deadline) return false;
  const Ticks left = deadline - std::min(deadline, turn_->stamp());  // as send_request() will count from its stamp
  if (left >= ticks) return true;
  ticks = left;
  budget = budget_of(turn_->clock.to_duration(left));
  return true;
}

LinkState::Committed LinkState::commit(const BoundMethod& method, CallRoom room, u32 payload_bytes, Nanoseconds timeout,
                                       u16 credit, Beside beside) noexcept {
  if (room.payload == nullptr) [[unlikely]]
    return {nullptr, room.refused};
  if (end_ == nullptr || !end_->claimed(method.lane, room.payload)) [[unlikely]] {  // a claim of an end that is over
    drop(method, room.payload);
    return {nullptr, Why::not_connected};
  }
  if (payload_bytes > room.bytes) [[unlikely]] {
    end_->drop_request(method.lane);
    return {nullptr, Why::too_big};
  }
  u32 budget = method.budget;
  Ticks ticks = method.timeout;
  if (timeout.count() != 0) [[unlikely]] {
    if (timeout.count() < 0) {  // until a point in time that has passed
      end_->drop_request(method.lane);
      return {nullptr, Why::deadline_passed};
    }
    budget = timeout >= kPracticallyForever ? ring::kBudgetNone : budget_of(timeout);
    ticks = timeout >= kPracticallyForever ? kNever : turn_->clock.to_ticks(timeout);
  }
  if (turn_->inheriting.origin != nullptr) [[unlikely]] {
    if (!inherit_deadline(timeout, budget, ticks)) {
      end_->drop_request(method.lane);
      return {nullptr, Why::deadline_passed};
    }
    if (beside.trace == nullptr) beside.trace = turn_->inheriting.trace;
  }
  if (beside.any()) [[unlikely]]
    return commit_beside(method, payload_bytes, budget, ticks, credit, beside);
  PendingTable::Row* row = end_->send_request(method.lane, method.index, payload_bytes, budget, ticks, credit);
  if (row == nullptr) [[unlikely]]
    return {nullptr, Why::calls_in_flight};
  row->owner = this;
  return {row, Why::none};
}

Status LinkState::refusal(Why why, const BoundMethod& method) const noexcept {
  if (why == Why::unknown_method || why == Why::schema_mismatch) return no_such_call(why, method);
  if (why == Why::wrong_thread)
    return {Code::failed_precondition, Ran::no, why, "a call was " + core_->wrong_thread_text()};
  const Explained explained = towards_client_ ? explain_towards_client(why) : explain(why);
  Status status(explained.code, Ran::no, why, explained.text);
  if (why == Why::held_back && end_ != nullptr)
    status.set_retry_after(turn_->clock.to_duration(end_->wait_of_shed(method.lane)));
  return status;
}

void LinkState::count_refusal(Why why) noexcept {
  // A child of fork() has none of the link's memory, and so no counters.
  if (end_ != nullptr && why != Why::forked) end_->counters().calls_refused.add();
}

SentCall LinkState::send(const BoundMethod& method, CallRoom room, u32 payload_bytes, Nanoseconds timeout) noexcept {
  if (chain_ != nullptr) [[unlikely]]
    return send_beside(method, room, payload_bytes, {.timeout = timeout});
  const Committed sent = commit(method, room, payload_bytes, timeout);
  if (sent.row == nullptr) [[unlikely]]
    return finish_later(sent.refused, method);
  end_->sent();
  return {&sent.row->callback, sent.row->call};
}

// A stream lives as long as it is wanted: it has no timeout but one that was said (link_setup.cpp, fill()).
[[gnu::noinline]] StreamCall LinkState::open_stream(const BoundMethod& method, CallRoom room, u32 payload_bytes,
                                                    const StreamOptions& options) noexcept {
  const auto credit =
      static_cast<u16>(ring::credit_code(options.credit) | ring::credit_code(options.credit_bytes / ring::kStep) << 8);
  PendingTable::Row* row = nullptr;
  const SentCall sent = send_beside(method, room, payload_bytes,
                                    {.timeout = options.timeout, .metadata = options.metadata}, credit, &row);
  if (row == nullptr) {
    auto none = std::make_shared<StreamState>();
    none->turn = core_->shared_turn();
    none->caller = none->over = true;
    return {StreamEnd(std::move(none)), PendingCall(*this, sent)};
  }
  return {StreamEnd(end_->open_stream(*row, options)), PendingCall(*this, sent)};
}

// The last call was refused, and its end is queued: the caller wants it now.
[[gnu::cold]] Status LinkState::take_refusal() noexcept {
  if (!core_->on_owner())
    return {Code::failed_precondition, Ran::no, Why::wrong_thread, "a call was " + core_->wrong_thread_text()};
  TAUT_ASSERT(!turn_->finished.empty());
  const Status status = turn_->finished.back().status;
  turn_->finished.pop_back();
  return status;
}

// The call was not sent: its callback runs in the next turn.
[[gnu::cold, gnu::noinline]] SentCall LinkState::finish_later(Why refused, const BoundMethod& method) noexcept {
  if (refused == Why::wrong_thread) {
    // The list of ended calls belongs to another thread, and so would the callback: it is destroyed without being run.
    turn_->log(Severity::error, "a call was " + core_->wrong_thread_text() + ". Its callback does not run");
    thread_local Callback nobody;
    nobody.clear();
    return {&nobody, 0};
  }
  count_refusal(refused);
  turn_->finished.push_back({Callback{}, refusal(refused, method)});
  return {&turn_->finished.back().callback, 0};
}

// --- what generated code calls

Binding::Binding(const ServiceDescription& with) : service(with), methods(with.methods.size()) {}

Binding& bind(LinkState& link, const ServiceDescription& service) { return link.bind(service); }

Inheriting& inheriting(LinkState& link) noexcept { return link.inheriting(); }

[[gnu::flatten]] CallRoom claim_room(LinkState& link, const BoundMethod& method, u32 payload_bytes) noexcept {
  return link.claim(method, payload_bytes);
}

void drop_room(LinkState& link, const BoundMethod& method, const std::byte* payload) noexcept {
  link.drop(method, payload);
}

[[gnu::flatten]] SentCall send_room(LinkState& link, const BoundMethod& method, CallRoom room, u32 payload_bytes,
                                    Nanoseconds timeout) noexcept {
  return link.send(method, room, payload_bytes, timeout);
}

StreamCall open_stream(CallClaim&& claim, u32 payload_bytes, const StreamOptions& options) noexcept {
  return claim.link().open_stream(claim.method(), claim.take(), payload_bytes, options);
}

[[gnu::flatten]] CallClaim claim_oneway(LinkState& link, const Binding& binding, u32 method,
                                        u32 payload_bytes) noexcept {
  const BoundMethod& bound = binding.methods[method];
  return {link, bound, link.claim_oneway(bound, payload_bytes)};
}

[[gnu::flatten]] CallRoom claim_oneway_room(LinkState& link, const BoundMethod& method, u32 payload_bytes) noexcept {
  return link.claim_oneway(method, payload_bytes);
}

[[gnu::flatten]] Sent send_oneway(CallClaim&& claim, u32 payload_bytes) noexcept {
  return claim.link().send_oneway(claim.method(), claim.take(), payload_bytes, {});
}

Sent send_oneway(CallClaim&& claim, u32 payload_bytes, MetadataArgument metadata) noexcept {
  return claim.link().send_oneway(claim.method(), claim.take(), payload_bytes, metadata);
}

Status take_refusal(LinkState& link) noexcept { return link.take_refusal(); }

Status wait_room(LinkState& link, const BoundMethod& method, CallRoom room, u32 payload_bytes,
                 const CallOptions& options, AnswerBuffer& buffer) noexcept {
  return link.wait(method, room, payload_bytes, options, buffer);
}

}  // namespace taut::rpc
