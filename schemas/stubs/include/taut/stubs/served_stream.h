// The streams of a handler: Reader<T> gives the caller's items, Writer<T> sends items to it and ends the call.
//
//   void Prices(const Watch& watch, taut::Writer<Tick> out) override { watchers_.push_back(std::move(out)); }
//   void Load(taut::Reader<Chunk> in, taut::Reply<Summary> reply) override {
//     in.each([this](const Chunk& chunk) {...});
//     in.on_close([this, reply = std::move(reply)](bool complete) mutable { if (complete) reply.send({...}); });
//   }
//
// Threads  the dispatcher's; either may be dropped elsewhere.
// Memory   three words at most, valid after link and dispatcher are gone: sending then says `over`. No item allocates.
// Waits    never.
#pragma once

#include <string_view>
#include <utility>

#include "taut/rpc/served_call.h"
#include "taut/stubs/item.h"

namespace taut {

// The items that a caller sends. It may go when each() was said; the call goes on as long as its answer is owed.
template <class T>
class [[nodiscard]] Reader : public stubs::Receiving<T> {
 public:
  explicit Reader(rpc::StreamEnd stream) noexcept : stubs::Receiving<T>(std::move(stream)) {}
  Reader(Reader&&) noexcept = default;
  Reader& operator=(Reader&&) noexcept = default;

  // The caller closed its side: what came, and next() gives, is all.
  [[nodiscard]] bool complete() const noexcept { return this->receiving_end().complete(); }
  // `f(bool complete)` runs once, in a later turn, behind the last item. True: the caller closed its side, so these are
  // all. False: the call was cancelled, or its link ended.
  template <class F>
  void on_close(F&& f) noexcept {
    this->receiving_end().on_close(std::forward<F>(f));
  }
};

// Items to a caller, and the duty to end its call exactly once: by finish() or refuse(). Dropped before, the call ends
// with `aborted`.
template <class T>
class [[nodiscard]] Writer : public stubs::Sending<T> {
 public:
  Writer(rpc::StreamEnd stream, rpc::RawReply raw) noexcept
      : stubs::Sending<T>(std::move(stream)), raw_(std::move(raw)) {}
  Writer(Writer&&) noexcept = default;
  Writer& operator=(Writer&&) noexcept = default;

  // Is there still a call to end?
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(raw_); }

  // Ends the call with `ok`, behind all items.
  void finish() noexcept { raw_.claim(0) != nullptr ? raw_.send(0) : raw_.refuse_too_big(0); }
  // Ends the call with an error instead.
  void refuse(Code code, std::string_view text) noexcept { raw_.refuse(code, Why::none, text); }
  // With a status as it stands, for who passes on how another call ended.
  void refuse(const Status& status) noexcept { raw_.refuse(status); }

  // Does nobody want the items any more: cancelled, past its deadline, or without a link?
  [[nodiscard]] bool cancelled() const noexcept { return raw_.cancelled(); }
  // `f()` runs once, in a later turn, when that happens.
  template <class F>
  void on_cancel(F&& f) noexcept {
    raw_.on_cancel(std::forward<F>(f));
  }
  // Until the caller's deadline; zero when it has passed, the longest duration when there is none.
  [[nodiscard]] Nanoseconds left() const noexcept { return raw_.left(); }

 private:
  rpc::RawReply raw_;
};

}  // namespace taut
