// Answer<T>: how a call ended. Either it holds the reply, or status() says what happened.
//
//   auto ack = orders.Place({.id = 8}, taut::wait);
//   if (!ack) return taut::report(ack.status());
//   use(ack->id());
//
// Threads  a value.
// Memory   what a wait returns owns its bytes: up to 240 inside, more on the heap. What a callback gets is a view that
//          costs nothing and lives until the callback returns; taut::keep(*answer) outlives it. What co_await returns
//          owns its bytes too.
#pragma once

#include <memory>
#include <utility>

#include "taut/base/assert.h"
#include "taut/rpc/call.h"
#include "taut/stubs/message.h"

namespace taut {

namespace stubs {

// The reply is not a valid T: the server ran the call, so a second attempt may run it twice.
template <class T>
[[nodiscard, gnu::noinline, gnu::cold]] Status bad_reply(std::span<const std::byte> payload) noexcept {
  Sentence why;
  explain<T>(payload, why);
  why << " (reply " << Schema<T>::kName << ")";
  return Status(Code::internal, Ran::yes, Why::bad_message, why.text());
}

class Caller;

}  // namespace stubs

template <class T>
class [[nodiscard]] Answer {
 public:
  // A view for a callback: `raw` outlives it.
  explicit Answer(const rpc::RawAnswer& raw) noexcept : status_(&raw.status) {
    if (!raw.status.ok()) return;
    accept(raw.payload);
  }
  // With bytes of its own, for a coroutine: it goes on after the callback has returned.
  struct Owning {};
  Answer(const rpc::RawAnswer& raw, Owning) : Answer() {
    if (!raw.status.ok()) [[unlikely]] {
      own_status_ = raw.status;
      return;
    }
    buffer_.keep(raw.payload);
    accept(buffer_.bytes());
  }
  Answer(Answer&& other) noexcept : status_(&own_status_), owns_(other.owns_), own_status_(*other.status_) {
    TAUT_ASSERT(other.owns_);  // a view stays where it is: keep() what you need of it
    std::construct_at(&buffer_, std::move(other.buffer_));
    if (std::exchange(other.message_, nullptr) != nullptr) message_ = stubs::root<T>(buffer_.bytes());
  }
  Answer& operator=(Answer&&) = delete;
  ~Answer() {
    if (owns_) std::destroy_at(&buffer_);
  }

  [[nodiscard]] explicit operator bool() const noexcept { return message_ != nullptr; }
  [[nodiscard]] const T& operator*() const noexcept {
    TAUT_ASSERT(message_ != nullptr);
    return *message_;
  }
  [[nodiscard]] const T* operator->() const noexcept { return &**this; }
  // ok when there is a reply.
  [[nodiscard]] const Status& status() const noexcept { return *status_; }

 private:
  friend class stubs::Caller;

  Answer() noexcept : status_(&own_status_), owns_(true) { std::construct_at(&buffer_); }

  void accept(std::span<const std::byte> payload) noexcept {
    if (stubs::check<T>(payload)) [[likely]] {
      message_ = stubs::root<T>(payload);
    } else {
      own_status_ = stubs::bad_reply<T>(payload);
      status_ = &own_status_;
    }
  }

  const T* message_ = nullptr;
  const Status* status_;
  bool owns_ = false;
  Status own_status_;
  union {
    rpc::AnswerBuffer buffer_;
  };
};

}  // namespace taut
