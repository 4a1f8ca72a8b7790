#include "taut/rpc/tracing.h"

#include <cstring>
#include <random>

namespace taut {

Tracing::Tracing(SpanExporter& exporter, std::uint32_t sample) : exporter_(exporter), sample_(sample) {
  std::random_device device;  // each process has ids of its own
  for (std::uint64_t& word : state_) word = std::uint64_t{device()} << 32 | device();
  state_[0] |= 1;  // all zeros would stay zeros
}

// xoroshiro128+: ids have to differ, and need not be secret.
std::uint64_t Tracing::random() noexcept {
  const auto rotate = [](std::uint64_t x, int by) { return x << by | x >> (64 - by); };
  const std::uint64_t result = state_[0] + state_[1];
  const std::uint64_t mixed = state_[0] ^ state_[1];
  state_[0] = rotate(state_[0], 24) ^ mixed ^ mixed << 16;
  state_[1] = rotate(mixed, 37);
  return result | 1;  // no id is zero
}

// From here on the call belongs to a span of its own, and what it calls to that.
template <class Call>
void Tracing::begin(Call& call) {
  TraceContext trace;
  std::uint64_t parent = 0;
  if (call.trace() != nullptr) {
    trace = *call.trace();
    std::memcpy(&parent, trace.span_id.data(), sizeof parent);
  } else {
    const std::uint64_t id[] = {random(), random()};
    std::memcpy(trace.trace_id.data(), id, sizeof id);
    if (sample_ != 0 && random() / 2 % sample_ == 0) trace.flags = TraceContext::kSampled;
  }
  const std::uint64_t span = random();
  std::memcpy(trace.span_id.data(), &span, sizeof span);
  call.note() = parent;
  call.set_trace(trace);
}

template <class Call>
void Tracing::end(Call& call, const CallEnd& end, Span::Kind kind, Nanoseconds queued) {
  if (call.trace() == nullptr || !call.trace()->sampled()) return;
  Span span{
      *call.trace(), {},     kind,      call.service(), call.method().name, std::chrono::system_clock::now() - end.took,
      end.took,      queued, end.status};
  std::memcpy(span.parent_id.data(), &call.note(), sizeof span.parent_id);
  exporter_.ended(span);
}

Status Tracing::Server::on_call(IncomingCall& call) {
  tracing.begin(call);
  return {};
}
void Tracing::Server::on_end(IncomingCall& call, const CallEnd& end) {
  tracing.end(call, end, Span::Kind::server, call.queued());
}
Status Tracing::Client::on_call(OutgoingCall& call) {
  tracing.begin(call);
  return {};
}
void Tracing::Client::on_end(OutgoingCall& call, const CallEnd& end) {
  tracing.end(call, end, Span::Kind::client, Nanoseconds{0});
}

}  // namespace taut
