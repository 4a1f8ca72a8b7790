// The interceptors of a link, and the calls that they wait for the end of.
//
// Threads  the dispatcher's.
// Memory   a record for as many calls as were open at once, kept for the next ones. It outlives the link, whose last
//          calls may end behind it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/log.h"
#include "taut/rpc/call.h"
#include "taut/rpc/interceptor.h"

namespace taut::rpc {

class ClientChain : public std::enable_shared_from_this<ClientChain> {
 public:
  // A call that was let through and has not ended.
  struct Open {
    explicit Open(const OutgoingCall& with) : call(with) {}
    OutgoingCall call;
    std::size_t entered = 0;  // so many interceptors let it through
    Ticks since = 0;
    Callback callback;  // the caller's
    std::shared_ptr<ClientChain> chain;
  };
  // Stands in the pending row in place of the caller's callback, and runs it behind the interceptors. Destroyed without
  // being run, when a caller forgets its call, it tells them so.
  class Ending {
   public:
    explicit Ending(Open& open) noexcept : open_(&open) {}
    Ending(Ending&& other) noexcept : open_(std::exchange(other.open_, nullptr)) {}
    ~Ending();
    void operator()(const RawAnswer& answer);

   private:
    Open* open_;
  };

  explicit ClientChain(Clock clock, LogCallback log) : clock_(clock), log_(std::move(log)) {}

  std::vector<ClientInterceptor*> interceptors;  // grows at its end only

  // Asks the interceptors. Null: `refused` is the status that one of them chose.
  [[nodiscard]] Open* begin(const OutgoingCall& call, Status& refused);
  // Tells them, in the reverse order.
  void end(Open& open, const Status& status) noexcept;
  void give_back(Open& open) noexcept;

 private:
  void log_thrown() const noexcept;
  const Clock clock_;
  const LogCallback log_;
  std::vector<std::unique_ptr<Open>> all_;
  std::vector<Open*> free_;
};

}  // namespace taut::rpc
