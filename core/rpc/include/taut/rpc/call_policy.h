// How one call becomes several attempts: the seam between generated clients and taut::Retry (retry.h), taut::Hedge
// (hedge.h). A plain call does not come by here.
//
// Threads  the thread that polls the link's dispatcher.
#pragma once

#include <cstddef>
#include <cstdint>

#include "taut/rpc/call.h"

namespace taut {

// An argument of the call: `greeter.SayHello({.name = "World"}, retry)`. Clients have that for methods that their
// schema calls idempotent, and for no others.
class CallPolicy {
 public:
  CallPolicy(const CallPolicy&) = delete;
  CallPolicy& operator=(const CallPolicy&) = delete;

  // For generated clients. Room for the message, kept until the call has ended; send() is to follow. Null: the message
  // is too long or too many calls are kept, so that the call goes out once and plainly.
  [[nodiscard]] virtual std::byte* keep(rpc::LinkState& link, const rpc::Binding& binding, std::uint32_t method,
                                        std::uint32_t payload_bytes) noexcept = 0;
  [[nodiscard]] virtual rpc::PendingCall send(CallOptions options) noexcept = 0;

 protected:
  CallPolicy() = default;
  ~CallPolicy() = default;
};

}  // namespace taut
