// `co_await` on streams: for the next item, and for room to send one.
//
//   auto prices = orders.Prices({.symbol = s});
//   if (!prices.pull()) co_return;                       // keeps items until they are taken
//   while (const desk::Tick* tick = co_await taut::next(prices)) use(tick->bid());
//
//   while (!out.send(tick)) {                             // no credit, or no room in the ring
//     if (!co_await taut::ready(out)) co_return;          // nobody wants them any more
//   }
//
// Work with both ends of typed streams, and with rpc::StreamEnd.
//
// Threads  the dispatcher's: the coroutine goes on in a turn.
// Memory   nothing is allocated.
#pragma once

#include <concepts>
#include <coroutine>
#include <utility>

#include "taut/stubs/await.h"

namespace taut {
namespace stubs {

// Null pointers and empty optionals stand for no item.
template <class Items>
class AwaitedItem {
 public:
  explicit AwaitedItem(Items& items) noexcept : items_(&items), item_(items.next()) {}
  AwaitedItem(const AwaitedItem&) = delete;
  AwaitedItem& operator=(const AwaitedItem&) = delete;
  ~AwaitedItem() {
    if (resumption_ != nullptr) resumption_->forget();
  }

  [[nodiscard]] bool await_ready() const noexcept { return item_ || items_->closed(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> coroutine) noexcept {
    suspended_.set(coroutine);
    wait();
  }
  [[nodiscard]] auto await_resume() const noexcept { return item_; }

 private:
  friend class Resumption<AwaitedItem>;
  void wait() noexcept { items_->on_change(Resumption<AwaitedItem>(*this)); }
  void answered() {
    item_ = items_->next();
    await_ready() ? suspended_.resume() : wait();
  }
  void abandoned() noexcept { suspended_.abandon(); }

  Items* items_;
  decltype(std::declval<Items&>().next()) item_;
  Suspended suspended_;
  Resumption<AwaitedItem>* resumption_ = nullptr;
};

// Can nothing be sent any more?
template <class Out>
[[nodiscard]] bool is_over(const Out& out) noexcept {
  if constexpr (requires { out.over(); }) {
    return out.over();
  } else if constexpr (requires { out.cancelled(); }) {
    return !out || out.cancelled();
  } else {
    return !out;
  }
}

template <class Out>
class AwaitedRoom {
 public:
  explicit AwaitedRoom(Out& out) noexcept : out_(&out) {}
  AwaitedRoom(const AwaitedRoom&) = delete;
  AwaitedRoom& operator=(const AwaitedRoom&) = delete;
  ~AwaitedRoom() {
    if (resumption_ != nullptr) resumption_->forget();
  }

  [[nodiscard]] bool await_ready() const noexcept { return is_over(*out_); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> coroutine) noexcept {
    suspended_.set(coroutine);
    out_->on_ready(Resumption<AwaitedRoom>(*this));
  }
  [[nodiscard]] bool await_resume() const noexcept { return !is_over(*out_); }

 private:
  friend class Resumption<AwaitedRoom>;
  void answered() { suspended_.resume(); }
  void abandoned() noexcept { suspended_.abandon(); }

  Out* out_;
  Suspended suspended_;
  Resumption<AwaitedRoom>* resumption_ = nullptr;
};

}  // namespace stubs

// The oldest item of a stream that pull() keeps, as its next() gives it: until the following one. None: no more come;
// the stream's status says whether these were all.
template <class Items>
[[nodiscard]] stubs::AwaitedItem<Items> next(Items& items) noexcept {
  return stubs::AwaitedItem<Items>(items);
}

// Waits, behind a send() that was refused, until another attempt is worth it. False: the stream is over.
template <class Out>
[[nodiscard]] stubs::AwaitedRoom<Out> ready(Out& out) noexcept {
  return stubs::AwaitedRoom<Out>(out);
}

}  // namespace taut
