// Spans: what an exporter of traces wants to hear. A Tracing makes a span of each call that a link makes and of each
// call that a listener serves, and hands it on when the call is over. docs/tracing.md.
//
//   struct Exporter final : taut::SpanExporter { void ended(const taut::Span& span) override { ... } } exporter;
//   taut::Tracing tracing(exporter);
//   loop.intercept(tracing.server());   // before serve() and connect(): of all that the dispatcher makes from then on
//   loop.intercept(tracing.client());
//
// The span of a call made inside a handler is a child of the handler's, which is a child of its caller's, in whichever
// process that runs.
//
// Threads  as interceptors: the dispatcher's. One Tracing for each dispatcher.
// Memory   as interceptors. ended() runs on the dispatcher's thread and may not wait: queue what has to go far.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "taut/rpc/interceptor.h"

namespace taut {

struct Span {
  enum class Kind : std::uint8_t { client, server };
  TraceContext context;                   // the trace, and the span's own id
  std::array<std::uint8_t, 8> parent_id;  // zeros: the root of its trace
  Kind kind;
  std::string_view service, method;  // of the description: they outlive the span
  std::chrono::system_clock::time_point start;
  Nanoseconds took;
  Nanoseconds queued;  // of a server's span: how long the request lay in the ring before `start`
  const Status& status;
};

class SpanExporter {
 public:
  virtual ~SpanExporter() = default;
  virtual void ended(const Span& span) = 0;
};

class Tracing {
 public:
  // A call without a trace begins one: one of `sample` is recorded (1: all; 0: none), and all spans that belong to it
  // follow, since the flag travels. What is not recorded is not handed on.
  explicit Tracing(SpanExporter& exporter, std::uint32_t sample = 1);
  Tracing(const Tracing&) = delete;

  [[nodiscard]] ServerInterceptor& server() noexcept { return server_; }
  [[nodiscard]] ClientInterceptor& client() noexcept { return client_; }

 private:
  // The parent's id is the word that is kept for each call.
  struct Server final : ServerInterceptor {
    explicit Server(Tracing& with) : tracing(with) {}
    Status on_call(IncomingCall& call) override;
    void on_end(IncomingCall& call, const CallEnd& end) override;
    Tracing& tracing;
  };
  struct Client final : ClientInterceptor {
    explicit Client(Tracing& with) : tracing(with) {}
    Status on_call(OutgoingCall& call) override;
    void on_end(OutgoingCall& call, const CallEnd& end) override;
    Tracing& tracing;
  };
  template <class Call>
  void begin(Call& call);
  template <class Call>
  void end(Call& call, const CallEnd& end, Span::Kind kind, Nanoseconds queued);
  [[nodiscard]] std::uint64_t random() noexcept;

  SpanExporter& exporter_;
  const std::uint32_t sample_;
  std::uint64_t state_[2];
  Server server_{*this};
  Client client_{*this};
};

}  // namespace taut
