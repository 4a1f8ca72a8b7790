// Reply<T>: the duty to answer one call with a T, exactly once. Handlers get it by value and may answer at once, or
// move it somewhere and answer later.
//
// Threads  the dispatcher's; carried to another thread it comes back through Dispatcher::post().
// Memory   one pointer, valid after link and dispatcher are gone: what it needs of them stays until then. Nothing
//          allocates.
// Waits    never: room for the answer was reserved when the call was admitted.
#pragma once

#include <string_view>
#include <utility>

#include "taut/rpc/call.h"
#include "taut/rpc/served_call.h"
#include "taut/stubs/schema.h"

namespace taut {

template <class T>
class Reply {
 public:
  Reply() noexcept = default;
  explicit Reply(rpc::RawReply raw) noexcept : raw_(std::move(raw)) {}
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&&) noexcept = default;

  // Is there still an answer to give?
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(raw_); }

  // Views inside `answer` are read before this returns. An answer larger than its cap, or than what the ring has, ends
  // the call with resource_exhausted (why: too_big). A lost client is a counter, not the handler's problem.
  void send(const typename Schema<T>::Init& answer) noexcept {
    const std::uint32_t bytes = stubs::size<T>(answer);
    std::byte* const to = bytes != 0 ? raw_.claim(bytes) : nullptr;
    if (to == nullptr) [[unlikely]] {
      raw_.refuse_too_big(bytes);
      return;
    }
    stubs::write_measured<T>(to, answer);
    raw_.send(bytes);
  }
  // Ends the call with an error instead.
  void refuse(Code code, std::string_view text) noexcept { raw_.refuse(code, Why::none, text); }
  // With how another call ended, for who passes this one on: its `ran` is said as it is.
  void refuse(const Status& status) noexcept { raw_.refuse(status); }

  // Does nobody wait for the answer any more: cancelled, past its deadline, or without a link? It is still owed, and
  // counts against every limit until it is given.
  [[nodiscard]] bool cancelled() const noexcept { return raw_.cancelled(); }
  // `f()` runs once, in a later turn, when that happens before the answer.
  template <class F>
  void on_cancel(F&& f) noexcept {
    raw_.on_cancel(std::forward<F>(f));
  }

  // Until the caller's deadline; zero when it has passed.
  [[nodiscard]] Nanoseconds left() const noexcept { return raw_.left(); }
  // How long the request lay in the ring before its handler started.
  [[nodiscard]] Nanoseconds queued() const noexcept { return raw_.queued(); }

  // The client that made this call, to be called in turn: chat::Events::Client events{link}, of a link that is kept. As
  // RawReply::caller().
  [[nodiscard]] Link caller() const { return raw_.caller(); }
  // What came beside the message; views of it end when this Reply has answered.
  [[nodiscard]] MetadataView metadata() const noexcept { return raw_.metadata(); }
  [[nodiscard]] const TraceContext* trace() const noexcept { return raw_.trace(); }  // null: the call has none
  [[nodiscard]] Peer peer() const noexcept { return raw_.peer(); }
  // For work that goes on behind the handler: calls made while the scope lives inherit as if they were made in it.
  [[nodiscard]] rpc::ContextScope go_on() const noexcept { return raw_.go_on(); }

 private:
  rpc::RawReply raw_;
};

}  // namespace taut
