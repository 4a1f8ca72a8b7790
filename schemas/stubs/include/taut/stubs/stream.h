// The streams of a client: what the generated methods of calls that stream give back.
//
//   orders.Prices({.symbol = s}).each([](const Tick& t) {...}).then([](const Status& status) {...});
//   auto load = orders.Load();                     // Upload: items there, one answer
//   load.send({...});
//   load.close();
//   load.then([](const Answer<Summary>& summary) {...});
//   auto talk = orders.Talk();                     // Duplex: items both ways, a status at the end
//
// A call that streams ends exactly once, like any other: then() is told. Its handle may go earlier. What nobody could
// finish any more is then cancelled: a side that is not closed, and items that no each() takes. All else goes on.
//
// Threads  the dispatcher's; a handle may be dropped elsewhere.
// Memory   opening a stream allocates, its items do not.
// Waits    never.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "taut/rpc/stream.h"
#include "taut/stubs/answer.h"
#include "taut/stubs/item.h"

namespace taut {
namespace stubs {

class Caller;

// How a call that streams ends. Shared by its handle and the call, which may outlive each other.
class OpenStream : public std::enable_shared_from_this<OpenStream> {
 public:
  static std::shared_ptr<OpenStream> open(rpc::CallClaim&& claim, std::uint32_t payload_bytes,
                                          const StreamOptions& options) noexcept;
  explicit OpenStream(rpc::StreamCall& opened) noexcept : stream(std::move(opened.stream)), ref(opened.call.ref()) {}

  // `f(const rpc::RawAnswer&)` runs in a later turn, also when the call has ended before.
  template <class F>
  CallRef then(F&& f) noexcept {
    end_.emplace(std::forward<F>(f));
    if (ended_) tell_later();
    return ref;
  }
  // It is said for certain, as soon as there is room.
  void close() noexcept;
  void let_go() noexcept;
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] const Status& status() const noexcept { return status_; }

  rpc::StreamEnd stream;
  CallRef ref;
  bool owes_close = false;  // this side sends, and is not closed
  bool owes_each = false;   // this side receives, and nobody said how

 private:
  void finish(const rpc::RawAnswer& answer);
  void tell_later() noexcept;

  rpc::Callback end_;
  bool ended_ = false;
  Status status_;
  rpc::AnswerBuffer answer_;  // when it came before then()
};

// What every handle of a call that streams can do.
class StreamHandle {
 public:
  // Is the call still going on?
  [[nodiscard]] explicit operator bool() const noexcept { return call_ != nullptr && !call_->ended(); }
  // How it ended; ok until then.
  [[nodiscard]] const Status& status() const noexcept { return call_->status(); }
  // Ends the call with `cancelled`; the server is told.
  void cancel() noexcept { call_->stream.cancel(); }

 protected:
  StreamHandle(std::shared_ptr<OpenStream> call, bool sends, bool receives) noexcept : call_(std::move(call)) {
    call_->owes_close = sends;
    call_->owes_each = receives;
  }
  StreamHandle(StreamHandle&&) noexcept = default;
  StreamHandle& operator=(StreamHandle&& other) noexcept {
    if (call_ != nullptr) call_->let_go();
    call_ = std::move(other.call_);
    return *this;
  }
  ~StreamHandle() {
    if (call_ != nullptr) call_->let_go();
  }
  [[nodiscard]] OpenStream& call() const noexcept { return *call_; }

  template <class F>
  CallRef then_status(F&& f) noexcept {
    static_assert(std::is_invocable_v<std::decay_t<F>&, const Status&>,
                  "then() takes a function of const taut::Status&");
    return call_->then([f = std::forward<F>(f)](const rpc::RawAnswer& raw) mutable { f(raw.status); });
  }

 private:
  std::shared_ptr<OpenStream> call_;
};

}  // namespace stubs

// A server stream at its caller: items come until the status does.
template <class T>
class [[nodiscard]] Stream : public stubs::Receiving<T>, public stubs::StreamHandle {
 public:
  template <class F>
  Stream& each(F&& f) & noexcept {
    stubs::Receiving<T>::each(std::forward<F>(f));
    call().owes_each = false;
    return *this;
  }
  template <class F>
  Stream&& each(F&& f) && noexcept {
    return std::move(each(std::forward<F>(f)));
  }
  // `f(const Status&)` runs behind the last item, in a later turn, exactly once.
  template <class F>
  CallRef then(F&& f) noexcept {
    return then_status(std::forward<F>(f));
  }

 private:
  friend class stubs::Caller;
  explicit Stream(std::shared_ptr<stubs::OpenStream> call) noexcept
      : stubs::Receiving<T>(call->stream), StreamHandle(std::move(call), false, true) {}
};

// A client stream at its caller: items go until close(), then one answer comes. The server may also answer earlier:
// then send() says `over`.
template <class Item, class T>
class [[nodiscard]] Upload : public stubs::Sending<Item>, public stubs::StreamHandle {
 public:
  // No item comes behind this. Without it the server never takes the upload for whole.
  Upload& close() noexcept {
    call().close();
    return *this;
  }
  // `f(const Answer<T>&)` runs in a later turn, exactly once.
  template <class F>
  CallRef then(F&& f) noexcept {
    static_assert(std::is_invocable_v<std::decay_t<F>&, const Answer<T>&>,
                  "then() takes a function of const taut::Answer<Reply>&");
    return call().then([f = std::forward<F>(f)](const rpc::RawAnswer& raw) mutable {
      const Answer<T> answer(raw);
      f(answer);
    });
  }

 private:
  friend class stubs::Caller;
  explicit Upload(std::shared_ptr<stubs::OpenStream> call) noexcept
      : stubs::Sending<Item>(call->stream), StreamHandle(std::move(call), true, false) {}
};

// Both ways at their caller: items go until close(), and come until the status does.
template <class Out, class In>
class [[nodiscard]] Duplex : public stubs::Sending<Out>, public stubs::Receiving<In>, public stubs::StreamHandle {
 public:
  template <class F>
  void each(F&& f) noexcept {
    stubs::Receiving<In>::each(std::forward<F>(f));
    call().owes_each = false;
  }
  // This side sends no more; items still come.
  void close() noexcept { call().close(); }
  // `f(const Status&)` runs behind the last item, in a later turn, exactly once.
  template <class F>
  CallRef then(F&& f) noexcept {
    return then_status(std::forward<F>(f));
  }

 private:
  friend class stubs::Caller;
  explicit Duplex(std::shared_ptr<stubs::OpenStream> call) noexcept
      : stubs::Sending<Out>(call->stream),
        stubs::Receiving<In>(call->stream),
        StreamHandle(std::move(call), true, true) {}
};

}  // namespace taut
