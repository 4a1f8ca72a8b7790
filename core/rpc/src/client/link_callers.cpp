// Calls from a server to its client, on the client's link: the link that a handler asks its call for. It has the end at
// which the client's requests arrive, shares it with the others that were asked for, and is down for good when the
// client is gone. Set-up: it allocates.
#include "../dispatcher/core.h"

namespace taut::rpc {
namespace {

std::string client_text(const std::string& service, int pid) {
  return "the client of " + service + (pid > 0 ? ", pid " + std::to_string(pid) : std::string());
}

// For who asks where there is no client: a link as of one that is gone.
Link link_to_nobody() {
  auto nowhere = std::make_shared<Core>(std::vector<std::unique_ptr<Transport>>{}, DispatcherOptions{});
  return Link(std::make_unique<LinkState>(std::move(nowhere), nullptr, "the client", LinkOptions{}));
}

}  // namespace

LinkState::LinkState(std::shared_ptr<Core> core, LinkEnd* end, std::string client, LinkOptions options)
    : core_(std::move(core)),
      turn_(&core_->turn()),
      end_(end),
      endpoint_(end != nullptr ? end->endpoint : 0),
      url_(std::move(client)),
      options_(std::move(options)),
      towards_client_(true),
      attempts_({options_.reconnect, options_.reconnect_budget, 0}) {  // it never connects
  if (end != nullptr) end->callers.push_back(this);
}

Link Core::link_to_caller(LinkEnd& end) {
  const auto served = served_.find(end.endpoint);
  const bool known = served != served_.end();
  auto state = std::make_unique<LinkState>(
      shared_from_this(), end.ended == nullptr ? &end : nullptr,
      client_text(known ? served->second.url : "a service", end.wire().agreement().peer_pid),
      known ? served->second.seats->limits() : LinkOptions{});
  // As before those of every link of this dispatcher; there are no more than a link may have.
  for (ClientInterceptor* const interceptor : client_chain_) (void)state->intercept(*interceptor);
  return Link(std::move(state));
}

void Core::forget_caller(LinkState& link) noexcept {
  std::erase(callers_with_news_, &link);
  if (LinkEnd* end = link.end()) {
    std::erase(end->callers, &link);
    end->end_calls_of(link);
  }
}

void Core::part_from_callers(LinkEnd& end) noexcept {
  for (LinkState* link : std::exchange(end.callers, {})) {
    link->disconnected();
    callers_with_news_.push_back(link);
    any_news_ = true;
  }
}

void Core::tell_callers_news() {
  while (!callers_with_news_.empty()) {  // whoever is told may destroy others
    LinkState* const link = callers_with_news_.back();
    callers_with_news_.pop_back();
    link->tell_news();
  }
}

Link RawReply::caller() const {
  if (request_ == nullptr) return link_to_nobody();
  const Turn& turn = request_->end->turn();
  if (turn.on_owner() && !turn.gone.load(std::memory_order_relaxed) && !turn.forked()) {
    return turn.core->link_to_caller(*request_->end);
  }
  turn.log(Severity::error, "caller() was called on thread " + describe_this_thread() +
                                ", but the link belongs to thread " + turn.owner_name +
                                ": ask in the handler, and keep the link there");
  return link_to_nobody();
}

Link ServedCall::caller() const { return reply_.caller(); }

}  // namespace taut::rpc

namespace taut {

Link Told::caller() const {
  const rpc::OneWayInHandler* const message = call_.oneway();
  return message == nullptr ? call_.reply_.caller() : message->end->turn().core->link_to_caller(*message->end);
}

}  // namespace taut
