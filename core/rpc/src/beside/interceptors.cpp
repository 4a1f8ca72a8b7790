// What interceptors see of a request, what Replies know of the call that they answer, and Told of its message.
#include "../link/link_end.h"
#include "taut/rpc/interceptor.h"

namespace taut {

MetadataView IncomingCall::metadata() const noexcept { return context_.blocks.view(); }
const TraceContext* IncomingCall::trace() const noexcept { return context_.trace(); }
void IncomingCall::set_trace(const TraceContext& trace) noexcept {
  context_.blocks.trace = trace;
  context_.blocks.traced = true;
}
Nanoseconds IncomingCall::queued() const noexcept { return rpc::queued_of(request_); }
Nanoseconds IncomingCall::left() const noexcept { return rpc::left_of(request_); }
std::uint64_t& IncomingCall::note() noexcept { return context_.notes[which_]; }

namespace rpc {

MetadataView RawReply::metadata() const noexcept {
  const RequestContext* const context = request_ == nullptr ? nullptr : request_->end->context_of(*request_);
  return context == nullptr ? MetadataView() : context->blocks.view();
}

const TraceContext* RawReply::trace() const noexcept {
  const RequestContext* const context = request_ == nullptr ? nullptr : request_->end->context_of(*request_);
  return context == nullptr ? nullptr : context->trace();
}

Peer RawReply::peer() const noexcept { return request_ == nullptr ? Peer{} : request_->end->peer(); }

ContextScope RawReply::go_on() const noexcept {
  static thread_local Inheriting nobodys;
  if (request_ == nullptr || !request_->end->turn().on_owner()) return {nobodys, CallContext()};
  return {request_->end->turn().inheriting, CallContext(Inheriting{request_, trace()})};
}

const OneWayInHandler* ServedCall::oneway() const noexcept {
  return reply_ ? nullptr : reinterpret_cast<const OneWayInHandler*>(ran_);
}

}  // namespace rpc

Nanoseconds Told::queued() const noexcept {
  const rpc::OneWayInHandler* const message = call_.oneway();
  if (message == nullptr) return call_.reply_.queued();
  const rpc::Turn& turn = message->end->turn();
  const Ticks sent = message->sent();
  return turn.clock.to_duration(turn.now > sent ? turn.now - sent : 0);
}

MetadataView Told::metadata() const noexcept {
  const rpc::OneWayInHandler* const message = call_.oneway();
  if (message == nullptr) return call_.reply_.metadata();
  return message->context == nullptr ? MetadataView() : message->context->blocks.view();
}

const TraceContext* Told::trace() const noexcept {
  const rpc::OneWayInHandler* const message = call_.oneway();
  if (message == nullptr) return call_.reply_.trace();
  return message->context == nullptr ? nullptr : message->context->trace();
}

Peer Told::peer() const noexcept {
  const rpc::OneWayInHandler* const message = call_.oneway();
  return message == nullptr ? call_.reply_.peer() : message->end->peer();
}

}  // namespace taut
