// The server's side of one call. ServedCall is what generated code sees while the handler is being started;
// RawReply is the duty to answer, which it turns into a typed taut::Reply<T> for the handler.
//
// Threads  the dispatcher's thread. A RawReply may be carried to another thread and comes back through
//          Dispatcher::post(); dropped on another thread it is answered from the dispatcher's next turn.
// Memory   neither allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "taut/base/clock.h"
#include "taut/base/status.h"
#include "taut/ring/lane.h"
#include "taut/rpc/context.h"
#include "taut/rpc/interceptor.h"
#include "taut/rpc/stored_function.h"
#include "taut/rpc/stream.h"
#include "taut/rpc/told.h"

namespace taut {
class Link;
}

namespace taut::rpc {

class LinkEnd;
struct MethodDescription;
struct OneWayInHandler;
struct OpenRequest;

// The duty to answer one call, exactly once. Valid after its link and dispatcher are gone: sending is then a counter.
// Dropped unsent it answers `aborted` (why: reply_dropped), or `internal` (why: handler_threw) while an exception
// flies.
class RawReply {
 public:
  RawReply() noexcept = default;
  RawReply(RawReply&& other) noexcept : request_(std::exchange(other.request_, nullptr)) {}
  RawReply& operator=(RawReply&& other) noexcept {
    if (this == &other) return *this;
    if (request_ != nullptr) drop();
    request_ = std::exchange(other.request_, nullptr);
    return *this;
  }
  ~RawReply() {
    if (request_ != nullptr) drop();
  }

  // Is there still an answer to give?
  [[nodiscard]] explicit operator bool() const noexcept { return request_ != nullptr; }

  // Room for an answer of `payload_bytes`, or null: larger than what was reserved at admission and than the ring has
  // left, or the link is gone. The caller then calls refuse() or, when it does not care, lets the reply go.
  [[nodiscard]] std::byte* claim(std::uint32_t payload_bytes) noexcept;
  // Sends the claimed answer, of at most the claimed bytes. Ends the duty.
  void send(std::uint32_t payload_bytes) noexcept;
  // Both in one: copies the payload. One that does not fit ends the call with `too_big`.
  void answer(std::span<const std::byte> payload) noexcept;
  // Answers with an error. Ends the duty. The text is cut to what fits beside a reply header.
  void refuse(Code code, Why why, std::string_view text) noexcept;
  // The same with how another call ended: its `ran` is said as it is, and not that this handler ran.
  void refuse(const Status& status) noexcept;
  // The answer did not fit: claim() gave null, or writing ran past the room. Ends the duty.
  void refuse_too_big(std::uint32_t payload_bytes) noexcept;

  // Until the caller's deadline; zero when it has passed, the longest duration when the caller set none.
  [[nodiscard]] Nanoseconds left() const noexcept;
  // How long the request lay in the ring before its handler started.
  [[nodiscard]] Nanoseconds queued() const noexcept;
  // What came beside the message; views of it end with the duty.
  [[nodiscard]] MetadataView metadata() const noexcept;
  [[nodiscard]] const TraceContext* trace() const noexcept;  // null: the call belongs to no trace
  [[nodiscard]] Peer peer() const noexcept;
  // For work that goes on behind the handler: calls made while the scope lives inherit as if they were made in it. On
  // another thread than the dispatcher's they do not.
  [[nodiscard]] ContextScope go_on() const noexcept;

  // Does nobody wait for the answer any more: the caller cancelled, its deadline passed, or its link is over? The duty
  // stays, and with it the grant and every limit that the call counts against.
  [[nodiscard]] bool cancelled() const noexcept;
  // `f()` runs once, on the polling thread, when the caller cancels or gives up, or its link ends, before the answer.
  template <class F>
  void on_cancel(F&& f) noexcept {
    StoredFunction<> cancel;
    cancel.emplace(std::forward<F>(f));
    set_cancel(std::move(cancel));
  }

  // The client that made this call, to be called in turn: generated clients are made from it, as from a link that this
  // side opened. To be asked on the polling thread while there is an answer to give; it allocates, so whoever calls a
  // client often keeps its link. That is down for good when the client is gone: calls then end `unavailable`, and
  // on_link() says so. What may be called is what the client offers (LinkOptions::serve).
  [[nodiscard]] Link caller() const;

 private:
  friend class LinkEnd;
  friend class ServedCall;
  explicit RawReply(OpenRequest& request) noexcept : request_(&request) {}
  [[nodiscard]] bool at_home() const noexcept;
  void set_cancel(StoredFunction<> f) noexcept;
  void drop() noexcept;
  void drop_elsewhere(bool wrong_thread) noexcept;

  OpenRequest* request_ = nullptr;  // null when there is nothing to answer
};

// A request that passed deadline and admission, on its way into the handler. Lives until serve() returns.
class ServedCall {
 public:
  // The request's payload, 16-aligned. A private copy when it is small or the link checks copies; in place otherwise.
  [[nodiscard]] std::span<const std::byte> payload() const noexcept { return payload_; }

  // Which method is called, for code that serves several.
  [[nodiscard]] const MethodDescription& method() const noexcept { return *method_; }

  // To be called when the check passed, directly before the handler: stores the mark that tells a survivor which calls
  // may have run.
  void taken() noexcept {
    // Relaxed and a compiler barrier: a killed thread has executed a prefix of its program (docs/memory-model.md,
    // taken).
    taken_->position.store(end_, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    *ran_ = true;
  }

  // What came beside the message, and from whom; to be asked before reply(), and valid as long as the call is open.
  [[nodiscard]] MetadataView metadata() const noexcept { return reply_.metadata(); }
  [[nodiscard]] const TraceContext* trace() const noexcept { return reply_.trace(); }

  // The duty to answer moves to the caller. Without this call it is answered when the ServedCall goes.
  [[nodiscard]] RawReply reply() noexcept { return std::move(reply_); }

  // This side's end of the call's stream, once. `options` say what it takes. It is over when the call is answered.
  [[nodiscard]] StreamEnd stream(const StreamOptions& options = {}) noexcept;

  // As RawReply::caller(), before reply() was taken.
  [[nodiscard]] Link caller() const;

  // Of a one-way message, in place of all that asks for a reply.
  [[nodiscard]] Told told() const noexcept { return Told(*this); }

  // The payload is not a valid message of the method's request type.
  void refuse_bad_message(std::string_view text) noexcept {
    reply_.refuse(Code::invalid_argument, Why::bad_message, text);
  }

 private:
  friend class LinkEnd;
  friend class taut::Told;
  // Null: the peer sent a request in place of a one-way message, and the reply knows it.
  [[nodiscard]] const OneWayInHandler* oneway() const noexcept;
  ServedCall(const MethodDescription& method, std::span<const std::byte> payload, RawReply reply, bool& ran,
             ring::Taken& taken, std::uint64_t end) noexcept
      : method_(&method), payload_(payload), reply_(std::move(reply)), ran_(&ran), taken_(&taken), end_(end) {}

  const MethodDescription* method_;
  std::span<const std::byte> payload_;
  RawReply reply_;
  bool* ran_;  // of the request's row, or of the OneWayInHandler
  ring::Taken* taken_;
  std::uint64_t end_;  // position behind the request's record
};

}  // namespace taut::rpc
