// What generated code tells the core about a service: names, ids, bounds, and how to run a method.
// The core moves byte spans; it never looks into a message.
//
// Threads  descriptions are constant data. A Service's methods run on the thread that polls its dispatcher.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace taut {

class Service;

namespace rpc {

class ServedCall;
struct Serving;

// Who sends how many messages in one call. Part of the method table that travels in the handshake.
enum class CallKind : std::uint8_t {
  unary = 0,          // one request, one answer
  oneway = 1,         // one request
  server_stream = 2,  // one request, items back
  client_stream = 3,  // items, one answer
  both_ways = 4,      // items both ways
};
inline constexpr unsigned kCallKindCount = 5;
[[nodiscard]] std::string_view to_text(CallKind kind) noexcept;

// One method of a service, as its schema declares it.
struct MethodDescription {
  std::string_view name;  // as in the schema: SayHello
  std::uint16_t id;       // from `(id: N)`; unique within the service
  CallKind kind = CallKind::unary;
  bool idempotent = false;      // may be run twice
  bool urgent = false;          // travels on the urgent lane
  bool needed = false;          // a client refuses a server that lacks it
  std::uint32_t request_bound;  // most payload bytes of a request by the schema's caps; 0: the schema sets no bound
  std::uint32_t reply_bound;    // likewise of a reply
  std::int64_t timeout_ns = 0;  // default timeout of a call; 0: the link's
  std::string_view request;     // names of the two tables, with namespace
  std::string_view reply;
  // Checks the payload and runs the handler, or refuses. Generated; null in a description that only clients use.
  void (*serve)(Service& service, ServedCall& call) = nullptr;
};

struct ServiceDescription {
  std::string_view name;  // with namespace: greeter.Greeter
  // Over the canonical form of the service: names, ids, types, defaults. Equal fingerprints: the same wire bytes.
  std::uint64_t fingerprint;
  std::span<const MethodDescription> methods;  // in order of id
  std::span<const std::byte> schema;           // the binary schema (.bfbs), for tools
};

}  // namespace rpc

// Base of every generated service. The object outlives the dispatcher that serves it.
class Service {
 public:
  virtual ~Service() = default;
  [[nodiscard]] virtual const rpc::ServiceDescription& description() const noexcept = 0;
  // May its methods run on several threads at once? Then dispatchers that share a listener may share the object too.
  [[nodiscard]] virtual bool thread_safe() const noexcept { return false; }

  // Two things that its listeners tell it, on their dispatcher's thread. A service that a client offers is told
  // nothing. It is served from now on, beside others (taut/rpc/serving.h).
  virtual void is_served(const rpc::Serving& /*serving*/) {}
  // A listener of it begins to drain. Its name is still there, and what is sent to its clients in here, the ends of
  // calls too, can be read by them before the name goes. The place to end streams that have no end of their own: the
  // drain would wait for them.
  virtual void drain_begins() {}

 protected:
  Service() = default;
  Service(const Service&) = default;
  Service& operator=(const Service&) = default;
};

// Services by reference, as a client names those that it offers its server: {.serve = {events, sink}}.
class Services {
 public:
  Services() = default;
  template <class... Each>
  requires(sizeof...(Each) != 0 && (std::is_base_of_v<Service, Each> && ...)) Services(Each&... each)
      : list_{&each...} {}  // implicit: it is written as a list
  [[nodiscard]] std::span<Service* const> list() const noexcept { return list_; }
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }

 private:
  std::vector<Service*> list_;
};

}  // namespace taut
