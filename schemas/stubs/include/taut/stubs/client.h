// From a typed request to bytes in the link's ring and back from the answer's: what generated clients are made of.
//
// Threads  the thread that polls the link's dispatcher.
// Memory   no call allocates.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "taut/rpc/call.h"
#include "taut/rpc/hedge.h"
#include "taut/rpc/retry.h"
#include "taut/rpc/service.h"
#include "taut/stubs/answer.h"
#include "taut/stubs/setters.h"
#include "taut/stubs/stream.h"

namespace taut {

namespace stubs {
template <class T>
class AwaitedCall;
}
template <class T>
class Started;

// A call on its way. `then` says what happens when it ends; without it the answer is ignored.
template <class T>
class [[nodiscard]] Call {
 public:
  explicit Call(rpc::PendingCall pending) noexcept : pending_(pending) {}

  // `f(const Answer<T>&)` runs on the polling thread in a later turn, never inside then(). What is given back can
  // cancel the call.
  template <class F>
  CallRef then(F&& f) noexcept {
    static_assert(std::is_invocable_v<std::decay_t<F>&, const Answer<T>&>,
                  "then() takes a function of const taut::Answer<Reply>&");
    pending_.then([f = std::forward<F>(f)](const rpc::RawAnswer& raw) mutable {
      const Answer<T> answer(raw);
      f(answer);
    });
    return pending_.ref();
  }
  // In a coroutine: goes on when the call has ended, with an Answer<T> that owns its bytes (await.h).
  [[nodiscard]] stubs::AwaitedCall<T> operator co_await() && noexcept;

 private:
  friend class Started<T>;
  rpc::PendingCall pending_;
};

// A request that is being written. Empty when the call was refused: sent, it ends with the reason.
// One claim per lane is open at a time; dropping it costs nothing.
template <class Request, class T>
class [[nodiscard]] Claim {
 public:
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(claim_); }
  // The request's fields: scalars are set, vectors are filled through the span they answer.
  [[nodiscard]] typename Schema<Request>::Setters* operator->() noexcept { return &setters_; }

 private:
  friend class stubs::Caller;
  explicit Claim(rpc::CallClaim claim) noexcept
      : claim_(std::move(claim)), setters_(claim_.payload(), claim_ ? claim_.payload_room() : 0) {}

  rpc::CallClaim claim_;
  typename Schema<Request>::Setters setters_;
};

namespace stubs {

// `taut::wait` or `taut::wait(50us)` as an argument. Not an aggregate, so that {.timeout = 50us} means CallOptions.
class Waiting {
 public:
  constexpr Waiting(Wait wait) noexcept : wait_(wait) {}
  [[nodiscard]] constexpr Wait get() const noexcept { return wait_; }

 private:
  Wait wait_;
};

// Base of every generated client.
class Caller {
 public:
  Caller(Link& link, const rpc::ServiceDescription& service)
      : link_(&link.state()), binding_(&rpc::bind(*link_, service)) {}

 protected:
  // `method` is an index into the description's methods.
  template <class Request, class T>
  Call<T> call(std::uint32_t method, const typename Schema<Request>::Init& request, CallOptions options) noexcept {
    const std::uint32_t bytes = size<Request>(request);
    return Call<T>(rpc::send_call(written<Request>(method, request, bytes), sent_bytes(bytes), options));
  }

  template <class Request, class T>
  Answer<T> wait(std::uint32_t method, const typename Schema<Request>::Init& request, Wait wait) noexcept {
    const std::uint32_t bytes = size<Request>(request);
    Answer<T> answer;
    answer.own_status_ =
        rpc::wait_call(written<Request>(method, request, bytes), sent_bytes(bytes), wait, answer.buffer_);
    if (answer.own_status_.ok()) answer.accept(answer.buffer_.bytes());
    return answer;
  }

  // Under a policy, which keeps the message. What it cannot keep goes out once, as a plain call does.
  template <class Request, class T>
  Call<T> call(std::uint32_t method, const typename Schema<Request>::Init& request, CallPolicy& policy,
               CallOptions options) noexcept {
    const std::uint32_t bytes = size<Request>(request);
    std::byte* const kept = bytes == 0 ? nullptr : policy.keep(*link_, *binding_, method, bytes);
    if (kept == nullptr) return call<Request, T>(method, request, options);
    write_measured<Request>(kept, request);
    return Call<T>(policy.send(options));
  }
  template <class Request, class T>
  Answer<T> wait(std::uint32_t method, const typename Schema<Request>::Init& request, Retry& retry,
                 Wait wait) noexcept {
    const std::uint32_t bytes = size<Request>(request);
    RetryRounds rounds(retry, *link_, *binding_, method, wait);
    Answer<T> answer;
    do {
      answer.own_status_ =
          rpc::wait_call(written<Request>(method, request, bytes), sent_bytes(bytes), rounds.next(), answer.buffer_);
    } while (rounds.again(answer.own_status_));
    if (answer.own_status_.ok()) answer.accept(answer.buffer_.bytes());
    return answer;
  }

  // A one-way message. False: it was not sent.
  template <class Request>
  bool tell(std::uint32_t method, const typename Schema<Request>::Init& message, MetadataArgument metadata) noexcept {
    const std::uint32_t bytes = size<Request>(message);
    if (bytes == 0) [[unlikely]]
      return false;
    rpc::CallClaim claim = rpc::claim_oneway(*link_, *binding_, method, bytes);
    if (!claim) [[unlikely]]
      return false;
    write_measured<Request>(claim.payload(), message);
    if (metadata.get() != nullptr) return rpc::send_oneway(std::move(claim), bytes, metadata) == Sent::ok;
    return rpc::send_oneway(std::move(claim), bytes) == Sent::ok;
  }

  template <class Request, class T>
  Stream<T> stream(std::uint32_t method, const typename Schema<Request>::Init& request,
                   const StreamOptions& options) noexcept {
    const std::uint32_t bytes = size<Request>(request);
    return Stream<T>(OpenStream::open(written<Request>(method, request, bytes), sent_bytes(bytes), options));
  }
  // An Upload or a Duplex: their requests are empty.
  template <class S>
  S open(std::uint32_t method, const StreamOptions& options) noexcept {
    return S(OpenStream::open(rpc::claim_call(*link_, *binding_, method, 0), 0, options));
  }

  template <class Request, class T>
  Claim<Request, T> claim(std::uint32_t method, std::uint32_t bytes_max) noexcept {
    return Claim<Request, T>(rpc::claim_call(*link_, *binding_, method, bytes_max));
  }
  template <class Request, class T>
  Call<T> send(Claim<Request, T>&& claim, CallOptions options) noexcept {
    const std::uint32_t bytes = claim ? claim.setters_.finish() : 0;
    return Call<T>(rpc::send_call(std::move(claim.claim_), sent_bytes(bytes), options));
  }

 private:
  // 0 bytes stand for a request that breaks a cap or ran past its room: its call ends with too_big.
  static constexpr std::uint32_t sent_bytes(std::uint32_t bytes) noexcept {
    return bytes != 0 ? bytes : std::numeric_limits<std::uint32_t>::max();
  }

  template <class Request>
  rpc::CallClaim written(std::uint32_t method, const typename Schema<Request>::Init& request,
                         std::uint32_t bytes) noexcept {
    rpc::CallClaim claim = rpc::claim_call(*link_, *binding_, method, bytes);
    if (claim && bytes != 0) [[likely]] {
      write_measured<Request>(claim.payload(), request);
    }
    return claim;
  }

  rpc::LinkState* link_;
  rpc::Binding* binding_;
};

}  // namespace stubs
}  // namespace taut
