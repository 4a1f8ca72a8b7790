// Items of a stream: written where the sender's ring takes them, checked before their receiver's function sees them.
// Sending<T> and Receiving<T> are what the streams of clients (stream.h) and of handlers (served_stream.h) are made of.
//
// Threads  the dispatcher's.
// Memory   no item allocates; pull() allocates one buffer.
// Waits    never: what cannot be sent now is not sent, and send() says why.
// Trust    an item that is no T ends its call: the receiver's status says what is wrong, and so does the sender's, or
//          it learns that the call was cancelled.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "taut/rpc/stream.h"
#include "taut/stubs/schema.h"

namespace taut {

// What send() answers. True: the item was sent. Else it was not, and the value says what is in the way:
//   if (out.send({...}) == Sent::no_credit) ...
class [[nodiscard]] SendResult {
 public:
  constexpr SendResult(Sent sent) noexcept : sent_(sent) {}
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return sent_ == Sent::ok; }
  [[nodiscard]] constexpr operator Sent() const noexcept { return sent_; }

 private:
  Sent sent_;
};

namespace stubs {

template <class T>
class Sending;

template <class T>
[[gnu::noinline, gnu::cold]] void refuse_item(rpc::StreamState& stream, std::span<const std::byte> payload) noexcept {
  Sentence why;
  explain<T>(payload, why);
  why << " (item " << Schema<T>::kName << ")";
  rpc::refuse_bad_item(stream, why.text());
}

// The message, or null: its call has then been ended.
template <class T>
[[nodiscard]] inline const T* read_item(rpc::StreamState& stream, std::span<const std::byte> payload) noexcept {
  if (check<T>(payload)) [[likely]]
    return root<T>(payload);
  refuse_item<T>(stream, payload);
  return nullptr;
}

}  // namespace stubs

// An item that is being written in the ring, when its values do not stand in an init struct. Empty: why() says what is
// in the way. One claim a lane is open at a time; dropping it costs nothing.
template <class T>
class [[nodiscard]] ItemClaim {
 public:
  ItemClaim(ItemClaim&&) noexcept = default;
  ItemClaim& operator=(ItemClaim&&) = delete;
  ~ItemClaim() {
    if (stream_) stream_.drop_claim();
  }

  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(stream_); }
  [[nodiscard]] Sent why() const noexcept { return why_; }
  // The item's fields: scalars are set, vectors are filled through the span they answer.
  [[nodiscard]] typename Schema<T>::Setters* operator->() noexcept { return &setters_; }
  // Ends the claim. `too_big`: writing ran past its room, or a cap of the schema is broken.
  SendResult send() noexcept {
    if (!stream_) return why_;
    const std::uint32_t bytes = setters_.finish();
    why_ = bytes != 0 ? Sent::over : Sent::too_big;  // what a second send() answers
    rpc::StreamEnd stream = std::exchange(stream_, {});
    if (bytes != 0) return stream.send(bytes);
    stream.drop_claim();
    return Sent::too_big;
  }

 private:
  friend class stubs::Sending<T>;
  ItemClaim(const rpc::StreamEnd& stream, std::byte* to, std::uint32_t room, Sent why) noexcept
      : stream_(to != nullptr ? stream : rpc::StreamEnd()), why_(why), setters_(to, room) {}

  rpc::StreamEnd stream_;
  Sent why_;
  typename Schema<T>::Setters setters_;
};

namespace stubs {

template <class T>
class Sending {
 public:
  // Views inside `item` are read before this returns. `too_big` also says that a cap of the schema is broken.
  SendResult send(const typename Schema<T>::Init& item) noexcept {
    const std::uint32_t bytes = size<T>(item);
    if (bytes == 0) [[unlikely]]
      return Sent::too_big;
    Sent why = Sent::ok;
    std::byte* const to = stream_.claim(bytes, why);
    if (to == nullptr) [[unlikely]]
      return why;
    write_measured<T>(to, item);
    return stream_.send(bytes);
  }
  // The same for an item that is written field by field, of at most so many bytes.
  ItemClaim<T> claim(std::uint32_t bytes_max) noexcept {
    Sent why = Sent::ok;
    std::byte* const to = stream_.claim(bytes_max, why);
    return ItemClaim<T>(stream_, to, to != nullptr ? bytes_max : 0, why);
  }
  // `f()` runs once, in a later turn: when what was refused last may be sent now, or nothing can be sent any more.
  template <class F>
  void on_ready(F&& f) noexcept {
    stream_.on_ready(std::forward<F>(f));
  }

 protected:
  explicit Sending(rpc::StreamEnd stream) noexcept : stream_(std::move(stream)) {}
  [[nodiscard]] const rpc::StreamEnd& sending_end() const noexcept { return stream_; }

 private:
  rpc::StreamEnd stream_;
};

// Items come one of two ways, to be chosen before the turn ends in which the stream began: each() or pull().
template <class T>
class Receiving {
 public:
  // `f(const T&)` runs for every item, in a turn. The sender may send one more when f returns.
  template <class F>
  void each(F&& f) noexcept {
    using Stored = std::decay_t<F>;
    static_assert(std::is_invocable_v<Stored&, const T&>, "each() takes a function of const Item&");
    static_assert(sizeof(Stored) <= 40, "each() stores 40 bytes of captured state: capture a pointer to the rest");
    // The function is kept in the state that it points to.
    stream_.each([f = std::forward<F>(f), state = stream_.state()](std::span<const std::byte> payload) mutable {
      if (const T* const item = read_item<T>(*state, payload)) f(*item);
    });
  }

  // Keeps items until next() takes them, in a buffer as large as the credit. False: there is no memory for it.
  [[nodiscard]] bool pull() noexcept { return stream_.pull(); }
  // The oldest kept item, until the following next(). Null: none is there now, or, when closed(), none will be.
  [[nodiscard]] const T* next() noexcept {
    const auto payload = stream_.next();
    return payload ? read_item<T>(*stream_.state(), *payload) : nullptr;
  }
  // The sender sends no more, and next() has taken everything.
  [[nodiscard]] bool closed() const noexcept { return stream_.closed(); }
  // `f()` runs once, in a later turn: when next() has something to give, or never will.
  template <class F>
  void on_change(F&& f) noexcept {
    stream_.on_change(std::forward<F>(f));
  }

 protected:
  explicit Receiving(rpc::StreamEnd stream) noexcept : stream_(std::move(stream)) {}
  [[nodiscard]] rpc::StreamEnd& receiving_end() noexcept { return stream_; }
  [[nodiscard]] const rpc::StreamEnd& receiving_end() const noexcept { return stream_; }

 private:
  rpc::StreamEnd stream_;
};

}  // namespace stubs
}  // namespace taut
