// Code that stands before every call of a listener or a link, and hears how it ended: who may call, metrics, traces,
// tests. Set when a listener, link or dispatcher is set up; what is not set costs a call one branch. docs/tracing.md.
//
// Order    on_call() in the order in which they were set, on_end() in the reverse. Each on_call() that let its call
//          through is followed by exactly one on_end(); one that refused it, or threw, by none of its own.
// Threads  the dispatcher's, inside a turn: nothing may wait. An interceptor outlives what it was set on.
// Memory   the first calls allocate what they are remembered by; it is kept for the next ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/status.h"
#include "taut/rpc/metadata.h"
#include "taut/rpc/service.h"

namespace taut {

// Who is at the other end of a link, as far as its transport knows. More may come: it is not to be built by users.
struct Peer {
  std::optional<std::uint32_t> uid;  // proven by the kernel; nothing on loopback
  int pid = 0;                       // in our PID namespace; 0: unknown. For people: pids are used again
};

// How a call ended. A one-way message ends for its client when it was sent or refused, for its server when its handler
// returned.
struct CallEnd {
  const Status& status;
  Nanoseconds took;  // since its on_call()
};

inline constexpr std::size_t kInterceptorsMax = 8;  // of one listener or link

namespace rpc {
class LinkEnd;
struct OpenRequest;
struct RequestContext;
class ClientChain;
class LinkState;
}  // namespace rpc

// A request that passed deadline, halt and admission, before its handler; and again when it is over.
class IncomingCall {
 public:
  [[nodiscard]] std::string_view service() const noexcept { return service_; }  // with namespace
  [[nodiscard]] const rpc::MethodDescription& method() const noexcept { return method_; }
  [[nodiscard]] const Peer& peer() const noexcept { return peer_; }
  [[nodiscard]] MetadataView metadata() const noexcept;
  // Null: the call belongs to no trace.
  [[nodiscard]] const TraceContext* trace() const noexcept;
  // What calls of the handler inherit from here on.
  void set_trace(const TraceContext& trace) noexcept;
  [[nodiscard]] Nanoseconds queued() const noexcept;
  [[nodiscard]] Nanoseconds left() const noexcept;
  // A word for this interceptor, from on_call() to on_end().
  [[nodiscard]] std::uint64_t& note() noexcept;

 private:
  friend class rpc::LinkEnd;
  IncomingCall(std::string_view service, const rpc::MethodDescription& method, const Peer& peer,
               const rpc::OpenRequest& request, rpc::RequestContext& context) noexcept
      : service_(service), method_(method), peer_(peer), request_(request), context_(context) {}
  std::string_view service_;
  const rpc::MethodDescription& method_;
  const Peer& peer_;
  const rpc::OpenRequest& request_;
  rpc::RequestContext& context_;
  std::size_t which_ = 0;  // of the chain
};

class ServerInterceptor {
 public:
  virtual ~ServerInterceptor() = default;
  // Ok lets the call in. Another code refuses it with this text, ran: no (why: intercepted).
  virtual Status on_call(IncomingCall& call) = 0;
  virtual void on_end(IncomingCall& /*call*/, const CallEnd& /*end*/) {}
};

// Interceptors by reference, in their order: {.serve = {events}, .serve_interceptors = {doorman}}.
class ServerInterceptors {
 public:
  ServerInterceptors() = default;
  template <class... Each>
  requires(sizeof...(Each) != 0 && (std::is_base_of_v<ServerInterceptor, Each> && ...))
      ServerInterceptors(Each&... each)
      : list_{&each...} {}  // implicit: it is written as a list
  [[nodiscard]] std::span<ServerInterceptor* const> list() const noexcept { return list_; }

 private:
  std::vector<ServerInterceptor*> list_;
};

// A call before it is sent, and again when it is over; metadata is gone then.
class OutgoingCall {
 public:
  [[nodiscard]] std::string_view service() const noexcept { return service_; }
  [[nodiscard]] const rpc::MethodDescription& method() const noexcept { return *method_; }
  // Of the server; empty while there is none.
  [[nodiscard]] const Peer& peer() const noexcept { return peer_; }
  // As in CallOptions; 0: the default.
  [[nodiscard]] Nanoseconds timeout() const noexcept { return timeout_; }
  void set_timeout(Nanoseconds timeout) noexcept { timeout_ = timeout; }
  [[nodiscard]] MetadataView metadata() const noexcept { return metadata_ ? metadata_->view() : MetadataView(); }
  // False, and the call will be refused: over a bound, no key, or there already.
  bool add_metadata(std::string_view key, std::string_view value) noexcept {
    return metadata_ != nullptr && metadata_->add(key, value);
  }
  [[nodiscard]] const TraceContext* trace() const noexcept { return trace_ ? &*trace_ : nullptr; }
  void set_trace(const TraceContext& trace) noexcept { trace_ = trace; }
  [[nodiscard]] std::uint64_t& note() noexcept { return notes_[which_]; }

 private:
  friend class rpc::ClientChain;
  friend class rpc::LinkState;
  OutgoingCall(std::string_view service, const rpc::MethodDescription& method, const Peer& peer, Nanoseconds timeout,
               Metadata& metadata) noexcept
      : service_(service), method_(&method), peer_(peer), timeout_(timeout), metadata_(&metadata) {}
  std::string_view service_;
  const rpc::MethodDescription* method_;
  Peer peer_;
  Nanoseconds timeout_;
  Metadata* metadata_;
  std::optional<TraceContext> trace_;
  std::array<std::uint64_t, kInterceptorsMax> notes_{};
  std::size_t which_ = 0;
};

class ClientInterceptor {
 public:
  virtual ~ClientInterceptor() = default;
  // Ok lets the call go. Another code ends it with this status, ran: no (why: intercepted), before anything is sent.
  virtual Status on_call(OutgoingCall& call) = 0;
  virtual void on_end(OutgoingCall& /*call*/, const CallEnd& /*end*/) {}
};

}  // namespace taut
