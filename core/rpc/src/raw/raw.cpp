#include "taut/raw.h"

#include <algorithm>

namespace taut::raw {

Service::Service(std::string name, std::vector<Method> methods, ServiceOptions options)
    : name_(std::move(name)),
      methods_(std::move(methods)),
      schema_(std::move(options.schema)),
      streams_(options.streams) {
  for (const Method& method : methods_) {
    described_.push_back({.name = method.name,
                          .id = method.id,
                          .kind = method.kind,
                          .idempotent = method.idempotent,
                          .urgent = method.urgent,
                          .request_bound = method.request_bound,
                          .reply_bound = method.reply_bound,
                          .timeout_ns = method.timeout.count(),
                          .request = {},
                          .reply = {},
                          .serve = &Service::serve});
  }
  description_ = {name_, options.fingerprint, described_, schema_};
}

void Service::serve(taut::Service& service, rpc::ServedCall& call) {
  auto& self = static_cast<Service&>(service);
  const rpc::MethodDescription& method = call.method();
  call.taken();
  if (method.kind == rpc::CallKind::unary) [[likely]]
    return self.call(method.id, call.payload(), call.reply());
  if (method.kind == rpc::CallKind::oneway) return self.told(method.id, call.payload(), call.told());
  rpc::StreamEnd stream = call.stream(self.streams_);
  self.opened(method.id, call.payload(), std::move(stream), call.reply());
}

void Service::told(std::uint16_t, Bytes, const Told&) {}
void Service::opened(std::uint16_t, Bytes, rpc::StreamEnd, Reply reply) {
  reply.refuse(Code::unimplemented, Why::none, "the service has no handler for streams");
}

void pass_on(Reply reply, const rpc::RawAnswer& answer) noexcept {
  if (!answer.status.ok()) return reply.refuse(answer.status);
  reply.answer(answer.payload);
}

void forward(Client& to, std::uint16_t method, Bytes request, Reply reply) noexcept {
  // Nothing left is a time-out that has passed, and not the one of the method.
  const CallOptions options{.timeout = std::max(reply.left(), Nanoseconds{1})};
  rpc::PendingCall call = to.call(method, request, options);
  reply.on_cancel([ref = call.ref()]() mutable { ref.cancel(); });
  call.then([reply = std::move(reply)](const rpc::RawAnswer& answer) mutable { pass_on(std::move(reply), answer); });
}

}  // namespace taut::raw
