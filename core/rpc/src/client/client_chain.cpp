#include "client_chain.h"

#include <string>

namespace taut::rpc {

ClientChain::Open* ClientChain::begin(const OutgoingCall& call, Status& refused) {
  if (free_.empty()) {
    all_.push_back(std::make_unique<Open>(call));
    free_.reserve(all_.size());
    free_.push_back(all_.back().get());
  }
  Open& open = *free_.back();
  free_.pop_back();
  open.call = call;
  open.entered = 0;
  open.since = clock_.now();
  for (ClientInterceptor* const interceptor : interceptors) {
    open.call.which_ = open.entered;
    Status status;
    try {
      status = interceptor->on_call(open.call);
    } catch (...) {
      log_thrown();
      status = Status(Code::internal, Ran::no, Why::intercepted, "an interceptor threw an exception");
    }
    if (!status.ok()) {
      refused = Status(status.code(), Ran::no, Why::intercepted, status.text());
      end(open, refused);
      give_back(open);
      return nullptr;
    }
    ++open.entered;
  }
  open.chain = shared_from_this();
  return &open;
}

void ClientChain::end(Open& open, const Status& status) noexcept {
  const Ticks now = clock_.now();
  const CallEnd how{status, clock_.to_duration(now > open.since ? now - open.since : 0)};
  open.call.metadata_ = nullptr;  // it was the caller's
  while (open.entered != 0) {
    open.call.which_ = --open.entered;
    try {
      interceptors[open.call.which_]->on_end(open.call, how);
    } catch (...) {
      log_thrown();
    }
  }
}

// May be the end of this object.
void ClientChain::give_back(Open& open) noexcept {
  const std::shared_ptr<ClientChain> alive = std::move(open.chain);
  free_.push_back(&open);
}

void ClientChain::log_thrown() const noexcept {
  std::string text = "an interceptor threw";
  try {
    throw;
  } catch (const std::exception& thrown) {
    text += std::string(": ") + thrown.what();
  } catch (...) {
  }
  log_(Severity::error, text);
}

void ClientChain::Ending::operator()(const RawAnswer& answer) {
  Open& open = *std::exchange(open_, nullptr);
  open.chain->end(open, answer.status);
  Callback callback = std::move(open.callback);
  open.chain->give_back(open);
  callback.finish(answer);
}

ClientChain::Ending::~Ending() {
  if (open_ == nullptr) return;
  open_->chain->end(*open_, Status(Code::cancelled, Ran::maybe, Why::none, "the caller forgot it"));
  open_->callback.clear();
  open_->chain->give_back(*open_);
}

}  // namespace taut::rpc
