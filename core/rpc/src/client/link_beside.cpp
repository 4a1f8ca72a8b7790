// Calls with metadata, with a trace, or before which interceptors stand: what a link does for them beside sending them.
#include <algorithm>

#include "../dispatcher/core.h"
#include "client_chain.h"
#include "link_state.h"

namespace taut::rpc {
namespace {

// Of a method that no generated client bound.
constexpr MethodDescription kUntypedMethod{
    .name = "(untyped)", .id = 0, .request_bound = 0, .reply_bound = 0, .request = "", .reply = ""};
constexpr ServiceDescription kUntyped{.name = "(untyped)", .fingerprint = 0, .methods = {}, .schema = {}};

}  // namespace

Result<void> LinkState::intercept(ClientInterceptor& interceptor) {
  if (chain_ == nullptr) chain_ = std::make_shared<ClientChain>(turn_->clock, turn_->log);
  if (chain_->interceptors.size() == kInterceptorsMax) {
    return make_error(Code::resource_exhausted, 0, "let one interceptor do the work of two",
                      "more than %zu interceptors on the link to %s", kInterceptorsMax, url_.c_str());
  }
  chain_->interceptors.push_back(&interceptor);
  return {};
}

// One call on its way through the interceptors.
struct LinkState::Intercepted {
  Metadata metadata;
  ClientChain::Open* open = nullptr;
  Beside beside;
  Nanoseconds timeout{0};
  Status refused;
};

// False: an interceptor refused the call.
bool LinkState::begin(Intercepted& call, const BoundMethod& method, const CallOptions& options) {
  const Metadata* const given = options.metadata.get();
  call.timeout = options.timeout;
  call.beside.metadata = given;
  if (given != nullptr && given->trace()) call.beside.trace = &*given->trace();
  if (chain_ == nullptr) return true;
  if (given != nullptr) call.metadata = *given;
  const auto [service, description] = describe(method);
  OutgoingCall seen(service->name, *description, end_ != nullptr ? end_->peer() : Peer{}, options.timeout,
                    call.metadata);
  const TraceContext* const trace = call.beside.trace != nullptr ? call.beside.trace : turn_->inheriting.trace;
  if (trace != nullptr) seen.set_trace(*trace);
  const bool calling_user = std::exchange(turn_->calling_user, true);
  call.open = chain_->begin(seen, call.refused);
  turn_->calling_user = calling_user;
  if (call.open == nullptr) return false;
  call.timeout = call.open->call.timeout();
  call.beside.metadata = call.metadata.complete() && call.metadata.block().empty() ? nullptr : &call.metadata;
  call.beside.trace = call.open->call.trace();
  return true;
}

[[gnu::noinline]] SentCall LinkState::send_beside(const BoundMethod& method, CallRoom room, u32 payload_bytes,
                                                  const CallOptions& options, u16 credit,
                                                  PendingTable::Row** row) noexcept {
  if (room.refused == Why::wrong_thread) return finish_later(Why::wrong_thread, method);
  Intercepted call;
  if (!begin(call, method, options)) {
    if (room.payload != nullptr) drop(method, room.payload);
    count_refusal(Why::intercepted);
    turn_->finished.push_back({Callback{}, call.refused});
    return {&turn_->finished.back().callback, 0};
  }
  const Committed sent = commit(method, room, payload_bytes, call.timeout, credit, call.beside);
  if (row != nullptr) *row = sent.row;
  if (sent.row == nullptr) {
    if (call.open != nullptr) finish(call, refusal(sent.refused, method));
    return finish_later(sent.refused, method);
  }
  end_->sent();
  if (call.open == nullptr) return {&sent.row->callback, sent.row->call};
  call.open->call.metadata_ = nullptr;
  sent.row->callback.emplace(ClientChain::Ending(*call.open));
  return {&call.open->callback, sent.row->call};
}

[[gnu::noinline]] Status LinkState::wait_beside(const BoundMethod& method, CallRoom room, u32 payload_bytes,
                                                const CallOptions& options, AnswerBuffer& buffer) noexcept {
  Intercepted call;
  if (!begin(call, method, options)) {
    if (room.payload != nullptr) drop(method, room.payload);
    count_refusal(Why::intercepted);
    return call.refused;
  }
  const Status status = wait_sent(commit(method, room, payload_bytes, call.timeout, 0, call.beside), method, buffer);
  if (call.open != nullptr) finish(call, status);
  return status;
}

void LinkState::finish(Intercepted& call, const Status& status) noexcept {
  chain_->end(*call.open, status);
  chain_->give_back(*call.open);
}

[[gnu::noinline]] LinkState::Committed LinkState::commit_beside(const BoundMethod& method, u32 payload_bytes,
                                                                u32 budget, Ticks ticks, u16 credit,
                                                                const Beside& beside) noexcept {
  Why refused = Why::none;
  if (beside.metadata != nullptr && !beside.metadata->complete()) {
    end_->drop_request(method.lane);
    return {nullptr, Why::bad_metadata};
  }
  PendingTable::Row* const row =
      end_->send_request_beside(method.lane, method.index, payload_bytes, budget, ticks, credit, beside, refused);
  return {row, refused};
}

// The interceptors hear at once how it ended: it was sent, or why not.
[[gnu::noinline]] Sent LinkState::send_oneway_beside(const BoundMethod& method, CallRoom room, u32 payload_bytes,
                                                     MetadataArgument metadata) noexcept {
  if (room.refused == Why::wrong_thread) return oneway_refused(Why::wrong_thread);
  Intercepted call;
  if (!begin(call, method, {.metadata = metadata})) {
    if (room.payload != nullptr) drop(method, room.payload);
    return oneway_refused(Why::intercepted);
  }
  if (call.beside.trace == nullptr) call.beside.trace = turn_->inheriting.trace;
  const Why refused = commit_oneway(method, room, payload_bytes, call.beside);
  if (call.open != nullptr) finish(call, refused == Why::none ? Status() : refusal(refused, method));
  return refused == Why::none ? Sent::ok : oneway_refused(refused);
}

[[gnu::noinline]] Why LinkState::commit_oneway_beside(const BoundMethod& method, u32 payload_bytes,
                                                      const Beside& beside) noexcept {
  if (beside.metadata != nullptr && !beside.metadata->complete()) {
    end_->drop_request(method.lane);
    return Why::bad_metadata;
  }
  return end_->send_oneway_beside(method.lane, method.index, payload_bytes, beside);
}

// What generated code says of a method that it bound.
std::pair<const ServiceDescription*, const MethodDescription*> LinkState::describe(
    const BoundMethod& method) const noexcept {
  const auto holds = [&](const auto& binding) {
    return &method >= binding->methods.data() && &method < binding->methods.data() + binding->methods.size();
  };
  const auto found = std::find_if(bindings_.begin(), bindings_.end(), holds);
  if (found == bindings_.end()) return {&kUntyped, &kUntypedMethod};
  const Binding& binding = **found;
  return {&binding.service, &binding.service.methods[static_cast<std::size_t>(&method - binding.methods.data())]};
}

SentCall send_room_with(LinkState& link, const BoundMethod& method, CallRoom room, u32 payload_bytes,
                        const CallOptions& options) noexcept {
  return link.send_beside(method, room, payload_bytes, options);
}

}  // namespace taut::rpc
