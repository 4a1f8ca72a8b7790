// `co_await` on a call: the coroutine goes on when the call has ended, with an Answer that owns its bytes.
//
//   auto ack = co_await orders.Place({.id = 9});
//   if (!ack) co_return;                              // ack.status() says why
//
//   taut::Started first{orders.Place({.id = 1})};     // several at once: both are sent now
//   taut::Started second{orders.Place({.id = 2})};
//   auto one = co_await first;
//   auto two = co_await second;
//
// A coroutine that is destroyed while it waits forgets its call. Works in taut::Task and in other libraries'
// coroutines.
//
// Threads  the dispatcher's: the coroutine goes on inside the callback of its call, in a later turn, never inside
//          co_await itself, also when the call was refused.
// Memory   nothing is allocated for a reply of up to 240 bytes; a longer one goes to the heap.
#pragma once

#include <concepts>
#include <coroutine>
#include <optional>
#include <utility>

#include "taut/base/assert.h"
#include "taut/rpc/call.h"
#include "taut/rpc/context.h"
#include "taut/stubs/answer.h"
#include "taut/stubs/client.h"
#include "taut/stubs/task.h"

namespace taut {

namespace stubs {

// The callback of what a coroutine waits for. It and the waiter in the coroutine's frame know each other's
// place, and either may go first.
template <class Waiter>
class Resumption {
 public:
  explicit Resumption(Waiter& waiter) noexcept : waiter_(&waiter) { waiter.resumption_ = this; }
  Resumption(Resumption&& other) noexcept : waiter_(std::exchange(other.waiter_, nullptr)) {
    if (waiter_ != nullptr) waiter_->resumption_ = this;
  }
  Resumption& operator=(Resumption&&) = delete;
  // Never run: the dispatcher is gone, or belongs to another thread.
  ~Resumption() {
    if (waiter_ != nullptr) [[unlikely]]
      take().abandoned();
  }
  template <class... Answer>
  void operator()(const Answer&... answer) {
    if (waiter_ != nullptr) take().answered(answer...);
  }
  void forget() noexcept { waiter_ = nullptr; }

 private:
  Waiter& take() noexcept {
    waiter_->resumption_ = nullptr;
    return *std::exchange(waiter_, nullptr);
  }
  Waiter* waiter_;
};

// A coroutine that waits. What it inherits from the handler that it was started in is put back when it goes on.
class Suspended {
 public:
  // Inside a handler, or behind it in a coroutine that this was called for before.
  void keep_context(rpc::LinkState& link) noexcept {
    rpc::Inheriting& now = rpc::inheriting(link);
    if (now.origin == nullptr) [[likely]]
      return;
    inheriting_ = &now;
    context_.emplace(now);
  }
  template <class Promise>
  void set(std::coroutine_handle<Promise> coroutine) noexcept {
    coroutine_ = coroutine;
    if constexpr (std::derived_from<Promise, TaskState>) task_ = &coroutine.promise();
  }
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(coroutine_); }
  // The coroutine may destroy this.
  void resume() const {
    if (inheriting_ == nullptr) [[likely]]
      return coroutine_.resume();
    const rpc::ContextScope scope(*inheriting_, *context_);
    coroutine_.resume();
  }
  // Somebody else's coroutine stays as it is: only its owner may destroy it.
  void abandon() noexcept {
    if (task_ != nullptr) task_->abandon();
  }

 private:
  std::coroutine_handle<> coroutine_;
  TaskState* task_ = nullptr;
  rpc::Inheriting* inheriting_ = nullptr;  // of the dispatcher whose turn resumes it
  std::optional<rpc::CallContext> context_;
};

template <class T>
class AwaitedCall {
 public:
  explicit AwaitedCall(rpc::PendingCall pending) noexcept : pending_(pending) {}
  AwaitedCall(const AwaitedCall&) = delete;
  AwaitedCall& operator=(const AwaitedCall&) = delete;
  ~AwaitedCall() {
    if (resumption_ == nullptr) [[likely]]
      return;
    resumption_->forget();
    pending_.ref().forget();
  }

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> coroutine) noexcept {
    suspended_.set(coroutine);
    suspended_.keep_context(pending_.link());
    pending_.then(Resumption<AwaitedCall>(*this));
  }
  [[nodiscard]] Answer<T> await_resume() const { return Answer<T>(*answer_, typename Answer<T>::Owning{}); }

 private:
  friend class Resumption<AwaitedCall>;
  void answered(const rpc::RawAnswer& answer) {
    answer_ = &answer;
    suspended_.resume();
  }
  void abandoned() noexcept { suspended_.abandon(); }

  rpc::PendingCall pending_;
  Suspended suspended_;
  Resumption<AwaitedCall>* resumption_ = nullptr;  // null: none is stored
  const rpc::RawAnswer* answer_ = nullptr;         // while its callback runs
};

}  // namespace stubs

template <class T>
stubs::AwaitedCall<T> Call<T>::operator co_await() && noexcept {
  return stubs::AwaitedCall<T>(pending_);
}

// A call that is under way while its coroutine does something else. Destroying it forgets the call.
template <class T>
class [[nodiscard]] Started {
 public:
  explicit Started(Call<T>&& call) noexcept : ref_(call.pending_.ref()) {
    suspended_.keep_context(call.pending_.link());
    call.pending_.then(stubs::Resumption<Started>(*this));
  }
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;
  ~Started() {
    if (resumption_ == nullptr) return;
    resumption_->forget();
    ref_.forget();
  }

  // Ends the call with `cancelled`, in the next turn.
  void cancel() noexcept { ref_.cancel(); }
  // Has it ended? Then co_await does not wait.
  [[nodiscard]] bool done() const noexcept { return answer_.has_value(); }

  // `co_await started`, once.
  [[nodiscard]] bool await_ready() const noexcept { return done(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> coroutine) noexcept {
    suspended_.set(coroutine);
  }
  [[nodiscard]] Answer<T> await_resume() noexcept { return std::move(*answer_); }

 private:
  friend class stubs::Resumption<Started>;
  void answered(const rpc::RawAnswer& answer) {
    answer_.emplace(answer, typename Answer<T>::Owning{});
    if (suspended_) suspended_.resume();
  }
  void abandoned() noexcept {
    if (suspended_) return suspended_.abandon();
    answer_.emplace(rpc::RawAnswer{Status(Code::cancelled, Ran::maybe, Why::link_closed, "its dispatcher is gone"), {}},
                    typename Answer<T>::Owning{});
  }

  CallRef ref_;
  stubs::Suspended suspended_;
  stubs::Resumption<Started>* resumption_ = nullptr;
  std::optional<Answer<T>> answer_;
};

}  // namespace taut
