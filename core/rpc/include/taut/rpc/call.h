// The caller's side of one call, in bytes. Generated clients wrap it with types.
//
// Threads  the thread that polls the link's dispatcher.
// Memory   no call allocates; a callback is stored in the pending row, inline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/result.h"
#include "taut/base/status.h"
#include "taut/ring/lane.h"
#include "taut/rpc/metadata.h"

namespace taut {

class ClientInterceptor;

// How long a call may take. The default of a method is its schema's `timeout`, else the link's (1 s). Inside a handler
// a call ends no later than the call that is being handled, unless its timeout is taut::forever.
// Metadata travels beside the message (docs/tracing.md).
struct CallOptions {
  Nanoseconds timeout{0};  // 0: the default; taut::forever: no timeout; below 0: over before it is sent
  MetadataArgument metadata = {};
};
inline constexpr Nanoseconds forever = Nanoseconds::max();

// `client.Method(request, taut::wait)` sends and waits for the answer; `taut::wait(50us)` at most so long.
// Refused inside a handler or callback, before anything is sent.
struct Wait {
  CallOptions options = {};
  [[nodiscard]] constexpr Wait operator()(Nanoseconds at_most) const noexcept { return {{.timeout = at_most}}; }
  [[nodiscard]] constexpr Wait operator()(const CallOptions& with) const noexcept { return {with}; }
};
inline constexpr Wait wait{};

namespace rpc {

class LinkState;
struct ServiceDescription;

// An answer while its callback runs: `status` says how the call ended, `payload` holds the reply when it is ok.
struct RawAnswer {
  Status status;
  std::span<const std::byte> payload;
};

// Bytes on the heap, 64-aligned.
struct AlignedDelete {
  void operator()(std::byte* bytes) const noexcept { ::operator delete (bytes, std::align_val_t{64}); }
};
using AlignedBytes = std::unique_ptr<std::byte, AlignedDelete>;

// Storage for the reply of a waiting call. A small one is kept inside, with its record's header before it, so that it
// is copied out of the ring once; larger ones are put on the heap.
class AnswerBuffer {
 public:
  static constexpr std::size_t kRecordBytes = 256;
  AnswerBuffer() noexcept {}  // the bytes are left as they are: clearing them would cost a call four lines
  AnswerBuffer(AnswerBuffer&& other) noexcept { *this = std::move(other); }
  AnswerBuffer& operator=(AnswerBuffer&& other) noexcept {
    large_ = std::move(other.large_);
    bytes_ = std::exchange(other.bytes_, 0);
    if (!large_ && bytes_ != 0) std::memcpy(record_, other.record_, sizeof(ring::ReplyHeader) + bytes_);
    return *this;
  }

  // Room for a record of up to kRecordBytes, 64-aligned: resize() with the bytes of its payload keeps them.
  [[nodiscard]] std::byte* record() noexcept { return record_; }
  // Room for a payload of any size; a small one has its place in record().
  std::byte* resize(std::size_t payload_bytes) {
    bytes_ = payload_bytes;
    if (payload_bytes > kRecordBytes - sizeof(ring::ReplyHeader)) {
      large_.reset(static_cast<std::byte*>(::operator new (payload_bytes, std::align_val_t{64})));
      return large_.get();
    }
    large_.reset();
    return record_ + sizeof(ring::ReplyHeader);
  }
  // Keeps a copy of a payload that has just arrived. It was stored 16 bytes at a time: a wider load would wait for
  // those stores and for all before them, which wait for lines of the ring. So would a word that is stored here in
  // halves.
  void keep(std::span<const std::byte> payload) {
    std::byte* to = resize(payload.size());
    const std::byte* from = payload.data();
    std::size_t left = payload.size();
    if (left > kRecordBytes) [[unlikely]] {
      std::memcpy(to, from, left);
      return;
    }
    for (; left >= 16; left -= 16, from += 16, to += 16) {
      std::memcpy(to, from, 16);
      asm("" : "+r"(to));  // else the loop becomes a call of memcpy()
    }
    for (std::size_t bytes = 8; bytes != 0; bytes /= 2) {
      if ((left & bytes) == 0) continue;
      std::memcpy(to, from, bytes);
      to += bytes;
      from += bytes;
    }
  }
  // Takes a payload that arrived elsewhere.
  void adopt(AlignedBytes payload, std::size_t payload_bytes) noexcept {
    large_ = std::move(payload);
    bytes_ = payload_bytes;
  }
  // The payload, 16-aligned.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {large_ ? large_.get() : record_ + sizeof(ring::ReplyHeader), bytes_};
  }

 private:
  alignas(64) std::byte record_[kRecordBytes];
  AlignedBytes large_;
  std::size_t bytes_ = 0;
};

// What to do when a call ends: a function with up to kBytes of captured state, stored in place.
class Callback {
 public:
  static constexpr std::size_t kBytes = 48;

  Callback() noexcept = default;
  template <class F>
  void emplace(F&& f) noexcept {
    using Stored = std::decay_t<F>;
    static_assert(sizeof(Stored) <= kBytes, "a callback may capture 48 bytes: capture a pointer to the rest");
    static_assert(alignof(Stored) <= 16);
    static_assert(std::is_nothrow_move_constructible_v<Stored>, "a callback must be movable without exceptions");
    ::new (static_cast<void*>(state_)) Stored(std::forward<F>(f));
    run_ = [](Callback& self, const RawAnswer* answer, Callback* to) {
      auto& stored = *std::launder(reinterpret_cast<Stored*>(self.state_));
      if (answer != nullptr) stored(*answer);
      if (to != nullptr) ::new (static_cast<void*>(to->state_)) Stored(std::move(stored));
      stored.~Stored();
    };
  }
  Callback(Callback&& other) noexcept { *this = std::move(other); }
  Callback& operator=(Callback&& other) noexcept {
    clear();
    if (other.run_ != nullptr) other.run_(other, nullptr, this);
    run_ = std::exchange(other.run_, nullptr);
    return *this;
  }
  ~Callback() { clear(); }

  explicit operator bool() const noexcept { return run_ != nullptr; }
  // Runs the function and destroys it.
  void finish(const RawAnswer& answer) {
    if (auto* run = std::exchange(run_, nullptr)) run(*this, &answer, nullptr);
  }
  void clear() noexcept {
    if (auto* run = std::exchange(run_, nullptr)) run(*this, nullptr, nullptr);
  }

 private:
  void (*run_)(Callback& self, const RawAnswer* answer, Callback* to) = nullptr;
  alignas(16) std::byte state_[kBytes];
};

// One method of a service as its peer knows it, ready for the running path.
struct BoundMethod {
  static constexpr std::uint16_t kMissing = 0xffff;
  static constexpr std::uint16_t kMisfit = 0xfffe;  // the service's schemas contradict each other: nothing is sent
  std::uint16_t index = kMissing;                   // in the peer's method table
  ring::Lane lane = ring::Lane::normal;
  std::uint32_t budget = 0;   // the default timeout in steps of 16 ns
  Ticks timeout = ~Ticks{0};  // the same in ticks
};

// A service as one client sees it. The link keeps it and fills it anew whenever it reconnects.
struct Binding {
  explicit Binding(const ServiceDescription& with);
  const ServiceDescription& service;
  std::vector<BoundMethod> methods;
};

// Room for the message of one request, or why there is none. Two words, so that it stays in registers.
struct CallRoom {
  std::byte* payload = nullptr;
  std::uint32_t bytes = 0;
  Why refused = Why::none;
};

// The running path of a client, in whole words. Claimed room is sent, waited for, or dropped: CallClaim sees to it.
[[nodiscard]] CallRoom claim_room(LinkState& link, const BoundMethod& method, std::uint32_t payload_bytes) noexcept;
void drop_room(LinkState& link, const BoundMethod& method, const std::byte* payload) noexcept;
// What became of a call that was to be sent: where its callback belongs, and its id; 0: it was refused.
struct SentCall {
  Callback* callback;
  std::uint64_t call;
};
[[nodiscard]] SentCall send_room(LinkState& link, const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes,
                                 Nanoseconds timeout) noexcept;
[[nodiscard]] SentCall send_room_with(LinkState& link, const BoundMethod& method, CallRoom room,
                                      std::uint32_t payload_bytes, const CallOptions& options) noexcept;
Status wait_room(LinkState& link, const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes,
                 const CallOptions& options, AnswerBuffer& buffer) noexcept;

void cancel_call(LinkState& link, std::uint64_t call) noexcept;
void forget_call(LinkState& link, std::uint64_t call) noexcept;
[[nodiscard]] Status take_refusal(LinkState& link) noexcept;

}  // namespace rpc

// Names one call of a link, to end it early. A value; to be used while its link lives, and harmless behind the call's
// end. A call that was refused has none.
class CallRef {
 public:
  CallRef() noexcept = default;
  CallRef(rpc::LinkState& link, std::uint64_t call) noexcept : link_(&link), call_(call) {}

  [[nodiscard]] explicit operator bool() const noexcept { return call_ != 0; }
  // Ends the call with `cancelled`: its callback runs in the next turn. The server is told, and may have run it.
  void cancel() noexcept {
    if (call_ != 0) rpc::cancel_call(*link_, std::exchange(call_, 0));
  }
  // The same, but the callback is destroyed without being run: whoever waited is gone.
  void forget() noexcept {
    if (call_ != 0) rpc::forget_call(*link_, std::exchange(call_, 0));
  }

 private:
  rpc::LinkState* link_ = nullptr;
  std::uint64_t call_ = 0;
};

namespace rpc {

// Room for one request. At most one claim per lane is open at a time; dropping it costs nothing.
class CallClaim {
 public:
  CallClaim() noexcept = default;
  CallClaim(LinkState& link, const BoundMethod& method, CallRoom room) noexcept
      : link_(&link), method_(&method), room_(room) {}
  CallClaim(CallClaim&& other) noexcept : link_(other.link_), method_(other.method_), room_(other.take()) {}
  CallClaim& operator=(CallClaim&&) = delete;
  ~CallClaim() {
    if (room_.payload != nullptr) drop_room(*link_, *method_, room_.payload);
  }

  // Empty when the call was refused; send_call() then makes a call that ends with the reason.
  explicit operator bool() const noexcept { return room_.payload != nullptr; }
  [[nodiscard]] std::byte* payload() const noexcept { return room_.payload; }
  [[nodiscard]] std::uint32_t payload_room() const noexcept { return room_.bytes; }
  [[nodiscard]] LinkState& link() const noexcept { return *link_; }
  [[nodiscard]] const BoundMethod& method() const noexcept { return *method_; }
  // The room belongs to the caller from here on.
  [[nodiscard]] CallRoom take() noexcept {
    CallRoom room = room_;
    room_.payload = nullptr;
    return room;
  }

 private:
  LinkState* link_ = nullptr;
  const BoundMethod* method_ = nullptr;
  CallRoom room_;
};

// A call that was sent (or refused): says what happens when it ends. Dropped without then(), its answer is ignored.
class PendingCall {
 public:
  PendingCall(LinkState& link, SentCall sent) noexcept : link_(&link), sent_(sent) {}
  // `f(const RawAnswer&)` runs on the polling thread, in a later turn and never inside then(). To be called before
  // the link is used again.
  template <class F>
  void then(F&& f) noexcept {
    sent_.callback->emplace(std::forward<F>(f));
  }
  // To cancel it with; empty when it was refused.
  [[nodiscard]] CallRef ref() const noexcept { return sent_.call != 0 ? CallRef(*link_, sent_.call) : CallRef(); }

  [[nodiscard]] LinkState& link() const noexcept { return *link_; }

  // For who would rather know at once (a coroutine need not be suspended): the call was not sent. take_refusal() says
  // why, instead of then(), and before the link is used again.
  [[nodiscard]] bool refused() const noexcept { return sent_.call == 0; }
  [[nodiscard]] Status take_refusal() noexcept { return rpc::take_refusal(*link_); }

 private:
  LinkState* link_;
  SentCall sent_;
};

// What a generated client calls. All but bind() is on the running path and allocates nothing.
//
//   method         index into ServiceDescription::methods
//   payload_bytes  room wanted for the message
Binding& bind(LinkState& link, const ServiceDescription& service);  // set-up; lives as long as the link
[[nodiscard]] inline CallClaim claim_call(LinkState& link, const Binding& binding, std::uint32_t method,
                                          std::uint32_t payload_bytes) noexcept {
  const BoundMethod& bound = binding.methods[method];
  return {link, bound, claim_room(link, bound, payload_bytes)};
}
// Sends the claimed request with `payload_bytes` of message; more than the claim's room says that writing ran past it,
// and the call ends with `too_big`.
inline PendingCall send_call(CallClaim&& claim, std::uint32_t payload_bytes, CallOptions options) noexcept {
  if (options.metadata.get() != nullptr) [[unlikely]]
    return {claim.link(), send_room_with(claim.link(), claim.method(), claim.take(), payload_bytes, options)};
  return {claim.link(), send_room(claim.link(), claim.method(), claim.take(), payload_bytes, options.timeout)};
}
// The same, and polls the link until the call ended. The reply's payload is put into `buffer`.
inline Status wait_call(CallClaim&& claim, std::uint32_t payload_bytes, Wait wait, AnswerBuffer& buffer) noexcept {
  return wait_room(claim.link(), claim.method(), claim.take(), payload_bytes, wait.options, buffer);
}

// Logs the exception that is being handled, which nobody else will: to the dispatcher that this thread owns, of several
// the one it took over last, else to stderr.
void log_thrown(const char* by_whom) noexcept;

}  // namespace rpc

// One connection to a service, which makes itself anew when the server comes back. Movable; calls go through
// generated clients. Destroying it ends its calls with `cancelled`.
//
// Threads  its dispatcher's; a Link of taut::connect() brings a dispatcher of its own, and belongs to the thread that
//          uses it first.
class Link {
 public:
  explicit Link(std::unique_ptr<rpc::LinkState> state) noexcept;
  Link(Link&&) noexcept;
  Link& operator=(Link&&) noexcept;
  ~Link();

  // Is there a server at present? Calls made while there is none end with `unavailable`, ran: no.
  [[nodiscard]] bool up() const noexcept;
  // Do this client's and the server's schema of a service work together, as `fits(greeter::Greeter::description())`?
  // The error says which method stands in the way; calls of such a service end with `schema_mismatch`, ran: no.
  [[nodiscard]] Result<void> fits(const rpc::ServiceDescription& service) const;
  // `f(bool up)` runs on the polling thread whenever the server went or came back.
  void on_link(std::function<void(bool up)> f);
  // From the next call on, behind those that were set before. For set-up.
  Result<void> intercept(ClientInterceptor& interceptor);
  // Makes so many calls that run no handler, one after the other, over the whole path of both sides: rings, tables,
  // caches and branch predictors are warm when the first real call comes. The default goes round a default ring four
  // times. Memory needs nothing: it was touched when the link was made. The status of the first call that failed, else
  // ok.
  Status warm_up(std::uint32_t calls = 4096) noexcept;
  // Polls the link's dispatcher: runs callbacks, reconnects. Returns the units of work done.
  int poll() noexcept;
  // The calling thread takes the link's own dispatcher over.
  void adopt_thread() noexcept;

  // For generated clients.
  [[nodiscard]] rpc::LinkState& state() const noexcept { return *state_; }

 private:
  std::unique_ptr<rpc::LinkState> state_;
};

}  // namespace taut
