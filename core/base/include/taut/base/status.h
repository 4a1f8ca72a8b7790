// How a call ended: Status{code, ran, why, text}. Errors of set-up (map, bind, connect) are in result.h.
//
// Threads  a value, like an int.
// Memory   never allocates; a text longer than kStatusTextMax is cut.
#pragma once

#include <cstdint>
#include <cstring>
#include <iosfwd>
#include <string_view>

#include "taut/base/clock.h"

namespace taut {

// The canonical codes that RPC users know, with their usual numbers.
enum class Code : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};
inline constexpr unsigned kCodeCount = 17;

// Whether the handler of a failed call ran. `no` is safe to retry.
enum class Ran : std::uint8_t { no = 0, maybe = 1, yes = 2 };
inline constexpr unsigned kRanCount = 3;

// The cause, finer than the code. At most 64 values: it travels in six bits of a reply's head word.
enum class Why : std::uint8_t {
  none = 0,
  ring_full,         // the ring towards the peer has no room
  calls_in_flight,   // every call that the peer granted is in use
  reply_room,        // the server could not reserve room for the answer
  too_big,           // the message does not fit what was claimed, capped or granted
  timeout,           // the caller's timeout passed
  expired_in_queue,  // the deadline had passed before the handler could start
  peer_died,         // proven by the peer's pidfd
  peer_violation,    // the peer broke the rules of the ring; the link was closed
  peer_closed,       // the peer said goodbye
  link_closed,       // this side closed the link
  not_connected,     // the link has no server at present
  halted,            // somebody set the service's halt word
  draining,          // the server takes no new calls
  unknown_method,    // the peer's method table does not hold the method
  schema_mismatch,   // one id means two methods
  bad_message,       // the message failed its check
  reply_dropped,     // the handler let its Reply go without an answer
  handler_threw,     // the handler threw an exception
  wrong_thread,      // used from another thread than the dispatcher's
  inside_handler,    // a wait inside a handler or callback
  open_claim,        // another claim of the lane is still open
  forked,            // used in a child of fork()
  cancelled,         // the caller gave the call up, or let go of its answer
  stream_misuse,     // an item after the end, a second end, or more than the credit allows
  deadline_passed,   // of the call, or of the handler that made it, before it was sent
  bad_metadata,      // over its bounds, or not metadata
  intercepted,       // an interceptor refused the call
  server_limit,      // the server has as many calls open as it takes on; says when to try again
  method_limit,      // the method has; says when to try again
  queue_delay,       // the call lay longer in the queue than the server lets calls wait; says how long that was
  held_back,         // not sent, since the server sheds load
  count_
};
static_assert(static_cast<unsigned>(Why::count_) <= 64);

std::string_view to_text(Code) noexcept;
std::string_view to_text(Ran) noexcept;
std::string_view to_text(Why) noexcept;

// Causes whose replies carry the wait that the server expects.
constexpr bool says_when(Why why) noexcept {
  return why == Why::server_limit || why == Why::method_limit || why == Why::queue_delay;
}

inline constexpr std::size_t kStatusTextMax = 240;

class [[nodiscard]] Status {
 public:
  Status() noexcept {}  // not defaulted: Status{} would clear the text, four lines of it
  Status(Code code, Ran ran, Why why, std::string_view text = {}) noexcept : code_(code), ran_(ran), why_(why) {
    set_text(text);
  }
  Status(const Status& other) noexcept { *this = other; }
  Status& operator=(const Status& other) noexcept {
    code_ = other.code_;
    ran_ = other.ran_;
    why_ = other.why_;
    text_bytes_ = other.text_bytes_;
    wait_ = other.wait_;
    if (text_bytes_ != 0 && this != &other) std::memcpy(text_, other.text_, text_bytes_);
    return *this;
  }

  [[nodiscard]] bool ok() const noexcept { return code_ == Code::ok; }
  explicit operator bool() const noexcept { return ok(); }

  [[nodiscard]] Code code() const noexcept { return code_; }
  // Meaningful when the call failed: did the handler run?
  [[nodiscard]] Ran ran() const noexcept { return ran_; }
  [[nodiscard]] Why why() const noexcept { return why_; }
  // A sentence for people; lives as long as this Status.
  [[nodiscard]] std::string_view text() const noexcept { return {text_, text_bytes_}; }
  // True when a second attempt cannot run the handler twice.
  [[nodiscard]] bool safe_to_retry() const noexcept { return !ok() && ran_ == Ran::no; }

  // How long the server expects a call to wait that is made now; zero when it did not say. A hint for the next attempt:
  // nothing is kept free until then.
  [[nodiscard]] Nanoseconds retry_after() const noexcept { return Nanoseconds{std::int64_t{wait_} * kWaitStepNs}; }
  void set_retry_after(Nanoseconds wait) noexcept { wait_ = wait_steps(wait); }

  // As it travels: steps of 16 ns, rounded up, 68 s at most.
  static constexpr std::int64_t kWaitStepNs = 16;
  static constexpr std::uint32_t wait_steps(Nanoseconds wait) noexcept {
    const std::int64_t steps = wait.count() / kWaitStepNs + (wait.count() % kWaitStepNs != 0 ? 1 : 0);
    return steps <= 0 ? 0 : static_cast<std::uint32_t>(steps < 0xffffffff ? steps : 0xffffffff);
  }

  void set_text(std::string_view text) noexcept {
    text_bytes_ = static_cast<std::uint8_t>(text.size() < kStatusTextMax ? text.size() : kStatusTextMax);
    if (text_bytes_ != 0) std::memcpy(text_, text.data(), text_bytes_);
  }

 private:
  Code code_ = Code::ok;
  Ran ran_ = Ran::yes;
  Why why_ = Why::none;
  std::uint8_t text_bytes_ = 0;
  std::uint32_t wait_ = 0;
  char text_[kStatusTextMax];
};

std::ostream& operator<<(std::ostream&, const Status&);

}  // namespace taut
