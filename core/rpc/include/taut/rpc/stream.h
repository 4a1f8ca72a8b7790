// One end of a stream of items, in bytes. Generated clients and services wrap it with types.
//
// A stream belongs to the call that opened it and ends with that call's answer. Items keep their order. Each direction
// has credit, in items and in bytes of ring: what the receiver said it will take. A sender without credit, or in front
// of a full ring, is told so at once; nothing queues up behind its back.
//
// Threads  the dispatcher's. A StreamEnd may be carried elsewhere and dropped there; anything else it does there is
//          refused and logged.
// Memory   opening a stream allocates its state, pull() one buffer; items never allocate.
// Trust    what the peer sends beyond its credit or behind its end costs it the call, not the link.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "taut/base/clock.h"
#include "taut/rpc/call.h"
#include "taut/rpc/stored_function.h"

namespace taut {

// What became of an item. Only `ok` was sent.
enum class Sent : std::uint8_t {
  ok = 0,
  no_credit,   // the receiver takes no more at present: on_ready() tells when it does
  ring_full,   // no room in the ring at present: likewise
  too_big,     // larger than a record (a quarter of the ring), than the receiver's credit, or than what was claimed
  open_claim,  // another claim of the lane is open: send it or let it go first
  over,        // the call has ended, or this side closed the stream
  refused,     // a one-way message: an interceptor did not let it go, or its metadata is over a bound
};
std::string_view to_text(Sent sent) noexcept;

// What this side takes at most before it was handled: the credit that it gives the sender.
struct StreamOptions {
  Nanoseconds timeout{0};                  // of the whole call; 0: the schema's, else none
  std::uint32_t credit = 256;              // items
  std::uint32_t credit_bytes = 64 * 1024;  // of ring: an item takes its bytes and 16, rounded up to 64
  MetadataArgument metadata = {};
};

namespace rpc {

struct StreamState;

class StreamEnd {
 public:
  StreamEnd() noexcept = default;
  explicit StreamEnd(std::shared_ptr<StreamState> state) noexcept : state_(std::move(state)) { hold(); }
  StreamEnd(const StreamEnd& other) noexcept : state_(other.state_) { hold(); }
  StreamEnd(StreamEnd&& other) noexcept : state_(std::move(other.state_)) {}
  StreamEnd& operator=(StreamEnd other) noexcept {
    state_.swap(other.state_);
    return *this;
  }
  // What each() and on_close() were given goes on without handles; on_ready() and on_change() are for whoever holds
  // one, and run no more when the last is gone.
  ~StreamEnd() { let_go(); }

  [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }
  // Has the call ended, or its link? Then nothing is sent any more; what pull() kept can still be taken.
  [[nodiscard]] bool over() const noexcept;

  // --- sending
  // Room for an item, or null: `why` says what is in the way. One claim a lane may be open.
  [[nodiscard]] std::byte* claim(std::uint32_t payload_bytes, Sent& why) noexcept;
  // Sends the claimed item with so many of its bytes; more than were claimed: too_big, and nothing is sent.
  Sent send(std::uint32_t payload_bytes) noexcept;
  void drop_claim() noexcept;
  // The caller sends no more items. Its answer is still to come. `ok`, also when the ring is full: the peer is then
  // told as soon as there is room.
  Sent close() noexcept;
  // `f()` runs once, in a later turn: when the last refused item may be sent now, or the stream is over.
  template <class F>
  void on_ready(F&& f) noexcept {
    StoredFunction<> ready;
    ready.emplace(std::forward<F>(f));
    set_ready(std::move(ready));
  }

  // --- receiving: each() or pull(), to be chosen before the turn ends in which the stream began
  // `f(std::span<const std::byte>)` runs for every item, in a turn. Its credit goes back when f returns.
  template <class F>
  void each(F&& f) noexcept {
    StoredFunction<std::span<const std::byte>> item;
    item.emplace(std::forward<F>(f));
    set_each(std::move(item));
  }
  // Keeps items until next() takes them: as many as the credit allows, in a buffer that is allocated now. False: there
  // is no memory for it.
  [[nodiscard]] bool pull() noexcept;
  // The oldest kept item, until the following next(). Its credit goes back then.
  [[nodiscard]] std::optional<std::span<const std::byte>> next() noexcept;
  // The peer sends no more, and nothing is kept.
  [[nodiscard]] bool closed() const noexcept;
  // At the callee: the caller closed its side, so what came and will be taken is all.
  [[nodiscard]] bool complete() const noexcept;
  // `f()` runs once, in a later turn: when an item has come, or no more will.
  template <class F>
  void on_change(F&& f) noexcept {
    StoredFunction<> change;
    change.emplace(std::forward<F>(f));
    set_change(std::move(change));
  }
  // At the callee: `f(bool complete)` runs once. True: the caller closed its side, all items came. False: the call was
  // cancelled or its link ended before that.
  template <class F>
  void on_close(F&& f) noexcept {
    StoredFunction<bool> close;
    close.emplace(std::forward<F>(f));
    set_close(std::move(close));
  }
  // Changes what this side takes from now on; never takes back what was granted.
  void credit(std::uint32_t items, std::uint32_t bytes) noexcept;

  // At the caller: ends the call with `cancelled`; what its then() was given runs in the next turn.
  void cancel() noexcept;
  // The same, and nothing runs any more: neither the end nor items.
  void forget() noexcept;

  // `f` runs in the next turn of the dispatcher, with an empty answer, whatever has become of the stream.
  void later(Callback f) noexcept;
  // For refuse_bad_item().
  [[nodiscard]] StreamState* state() const noexcept { return state_.get(); }

 private:
  void hold() noexcept;
  void let_go() noexcept;
  void set_ready(StoredFunction<> f) noexcept;
  void set_change(StoredFunction<> f) noexcept;
  void set_close(StoredFunction<bool> f) noexcept;
  void set_each(StoredFunction<std::span<const std::byte>> f) noexcept;

  std::shared_ptr<StreamState> state_;
};

// An item is no message of its type. Ends the call: at the caller with `internal`, and the callee hears of a cancel; at
// the callee the answer will be `invalid_argument`, whatever the handler says.
void refuse_bad_item(StreamState& stream, std::string_view text) noexcept;

// A call that streams, at its caller: `call` gets the final answer, behind the last item.
struct StreamCall {
  StreamEnd stream;
  PendingCall call;
};
// Sends the claimed request and opens its stream. A refused one is over at once, and `call` ends with the reason.
[[nodiscard]] StreamCall open_stream(CallClaim&& claim, std::uint32_t payload_bytes,
                                     const StreamOptions& options) noexcept;

// A one-way message: sent when the answer is `ok`. There is no other answer.
[[nodiscard]] CallClaim claim_oneway(LinkState& link, const Binding& binding, std::uint32_t method,
                                     std::uint32_t payload_bytes) noexcept;
[[nodiscard]] CallRoom claim_oneway_room(LinkState& link, const BoundMethod& method,
                                         std::uint32_t payload_bytes) noexcept;
Sent send_oneway(CallClaim&& claim, std::uint32_t payload_bytes) noexcept;
// The same with metadata; `too_big` also when that is over its bounds.
Sent send_oneway(CallClaim&& claim, std::uint32_t payload_bytes, MetadataArgument metadata) noexcept;

}  // namespace rpc
}  // namespace taut
