// Untyped calls: a client and a service that move bytes with a method's id. For gateways, recorders and tools, which do
// not know the schemas of what passes through them; everybody else uses generated stubs.
//
//   taut::raw::Client client{link, "desk.Orders"};
//   client.call(1, bytes).then([](const rpc::RawAnswer& answer) { ... });
//
// Threads  the thread that polls the link's, or the service's, dispatcher.
// Memory   binding and describing allocate; no call does. A Client's names are the link's, a Service's are its own.
// Waits    only wait().
// Trust    nobody looks into a message. A request or answer is whatever the peer sent: small ones (256 bytes) are
//          private copies, larger ones lie where the peer can still change them unless the link has check=copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/status.h"
#include "taut/rpc/call.h"
#include "taut/rpc/raw_binding.h"
#include "taut/rpc/served_call.h"
#include "taut/rpc/service.h"
#include "taut/rpc/stream.h"

namespace taut::raw {

using Bytes = std::span<const std::byte>;
using Claim = rpc::CallClaim;  // payload(), payload_room(); empty when the call was refused
using Reply = rpc::RawReply;   // claim() and send(), or answer(); refuse()

// How a call ended that was waited for. Owns its bytes.
class [[nodiscard]] Answer {
 public:
  [[nodiscard]] explicit operator bool() const noexcept { return status_.ok(); }
  [[nodiscard]] const Status& status() const noexcept { return status_; }
  // Of the reply, 16-aligned; empty when the call failed.
  [[nodiscard]] Bytes bytes() const noexcept { return status_.ok() ? buffer_.bytes() : Bytes{}; }

 private:
  friend class Client;
  Answer() noexcept = default;
  Status status_;
  rpc::AnswerBuffer buffer_;
};

// Calls a service by its name and the ids of its methods. A value; the link outlives it. That a method is called as the
// kind that it is, is the caller's business: call() and wait() for unary ones, tell() for one-way, open() for streams.
class Client {
 public:
  // The methods are those of the server's table, whichever it has when the link is up; a server that comes back with
  // more of them has more. Without a table there are no ids, so calls on a link that was never up are `unavailable`.
  Client(Link& link, std::string_view service) : Client(link, service, {}) {}
  // These methods: with time-outs and lanes of their own, which no table tells.
  Client(Link& link, std::string_view service, std::vector<Method> methods)
      : link_(&link.state()), methods_(&rpc::bind_raw(*link_, service, std::move(methods))) {}

  // Sends now and never waits. `bytes` is read before this returns. A method that the server lacks is `unimplemented`,
  // ran: no, like every other refusal in a later turn.
  rpc::PendingCall call(std::uint16_t method, Bytes bytes, CallOptions options = {}) noexcept {
    return rpc::send_call(filled(method, bytes), size_of(bytes), options);
  }
  // Sends and polls the link until the call ended.
  Answer wait(std::uint16_t method, Bytes bytes, Wait wait = {}) noexcept {
    Answer answer;
    answer.status_ = rpc::wait_call(filled(method, bytes), size_of(bytes), wait, answer.buffer_);
    return answer;
  }

  // A one-way message: sent when this says `ok`, and there is no other answer.
  Sent tell(std::uint16_t method, Bytes bytes, MetadataArgument metadata = {}) noexcept {
    const rpc::BoundMethod& bound = (*methods_)[method];
    Claim room{*link_, bound, rpc::claim_oneway_room(*link_, bound, size_of(bytes))};
    if (room && !bytes.empty()) std::memcpy(room.payload(), bytes.data(), bytes.size());
    if (metadata.get() != nullptr) return rpc::send_oneway(std::move(room), size_of(bytes), metadata);
    return rpc::send_oneway(std::move(room), size_of(bytes));
  }
  // Opens a stream with its first message, which is empty for kinds that have none: `stream` moves items, `call` gets
  // the end. See taut/rpc/stream.h.
  [[nodiscard]] rpc::StreamCall open(std::uint16_t method, Bytes bytes, const StreamOptions& options = {}) noexcept {
    return rpc::open_stream(filled(method, bytes), size_of(bytes), options);
  }

  // Room for a request of up to `bytes_max`, to be written in place, at most one in a lane; then send() or wait() with
  // the bytes that were written. More than there was room for ends the call with `too_big`.
  [[nodiscard]] Claim claim(std::uint16_t method, std::uint32_t bytes_max) noexcept {
    const rpc::BoundMethod& bound = (*methods_)[method];
    return {*link_, bound, rpc::claim_room(*link_, bound, bytes_max)};
  }
  rpc::PendingCall send(Claim&& claim, std::uint32_t bytes, CallOptions options = {}) noexcept {
    return rpc::send_call(std::move(claim), bytes, options);
  }
  Answer wait(Claim&& claim, std::uint32_t bytes, Wait wait = {}) noexcept {
    Answer answer;
    answer.status_ = rpc::wait_call(std::move(claim), bytes, wait, answer.buffer_);
    return answer;
  }

  [[nodiscard]] std::string_view service() const noexcept { return methods_->service(); }
  // What the server has at present, for a Service that stands for it.
  [[nodiscard]] std::vector<Method> methods() const { return methods_->methods(); }
  [[nodiscard]] std::uint64_t fingerprint() const noexcept { return methods_->fingerprint(); }
  // Of a method that it knows; else unary.
  [[nodiscard]] rpc::CallKind kind(std::uint16_t method) const noexcept { return methods_->kind(method); }

 private:
  static std::uint32_t size_of(Bytes bytes) noexcept {
    constexpr std::size_t kTooBig = std::numeric_limits<std::uint32_t>::max();
    return static_cast<std::uint32_t>(bytes.size() < kTooBig ? bytes.size() : kTooBig);
  }
  Claim filled(std::uint16_t method, Bytes bytes) noexcept {
    Claim room = claim(method, size_of(bytes));
    if (room && !bytes.empty()) std::memcpy(room.payload(), bytes.data(), bytes.size());
    return room;
  }

  rpc::LinkState* link_;
  const rpc::RawBinding* methods_;
};

// What a Service is, said at run time. `schema` is the binary schema (.bfbs) when there is one: tools then describe the
// service and call it with JSON. `fingerprint` is the schema's.
struct ServiceOptions {
  std::uint64_t fingerprint = 0;
  std::vector<std::byte> schema = {};
  StreamOptions streams = {};  // what its ends of streams take
};

// Serves methods that are given at run time. Names, methods and schema are its own, so it stays where it is; as every
// service it outlives its dispatcher. Methods that it does not list do not reach it: for clients the server lacks them.
class Service : public taut::Service {
 public:
  Service(std::string name, std::vector<Method> methods, ServiceOptions options = {});
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  [[nodiscard]] const rpc::ServiceDescription& description() const noexcept final { return description_; }

  // One request. `request` is 16-aligned and lives until this returns; nobody has looked into it. The reply may be
  // kept.
  virtual void call(std::uint16_t method, Bytes request, Reply reply) = 0;
  // A one-way message, and what goes with it. Unless it is overridden, it is let go.
  virtual void told(std::uint16_t method, Bytes message, const Told& told);
  // A call that streams: `stream` moves items until `reply` ends it. Unless it is overridden, `unimplemented`.
  virtual void opened(std::uint16_t method, Bytes request, rpc::StreamEnd stream, Reply reply);

 private:
  static void serve(taut::Service& service, rpc::ServedCall& call);

  const std::string name_;
  const std::vector<Method> methods_;
  const std::vector<std::byte> schema_;
  const StreamOptions streams_;
  std::vector<rpc::MethodDescription> described_;
  rpc::ServiceDescription description_;
};

// Hands an answer on, copied once; a failure as it is, `ran` included: who asked learns what became of its request, and
// not that somebody passed it on.
void pass_on(Reply reply, const rpc::RawAnswer& answer) noexcept;

// Makes the call somewhere else and hands its answer on: bytes copied once each way, with the time that is left to the
// caller. A caller that cancels cancels there too; listening for that allocates a few bytes a call.
void forward(Client& to, std::uint16_t method, Bytes request, Reply reply) noexcept;

// The same for a call that streams, out of opened(): items are copied once into a buffer of the credit in `options` and
// once out of it, and wait there as long as their receiver has no credit. Allocates its state and those buffers.
void forward_stream(Client& to, std::uint16_t method, Bytes request, rpc::StreamEnd from, Reply reply,
                    StreamOptions options = {});

}  // namespace taut::raw
