// What a call that is made inside a handler inherits from the call that is being handled: what is left of its time, and
// its trace. A handler inherits by itself. Who goes on later (a coroutine, a posted function, the callback of another
// call) keeps a CallContext and puts it back:
//
//   const taut::rpc::CallContext kept(taut::rpc::inheriting(link));        // in the handler
//   const taut::rpc::ContextScope scope(taut::rpc::inheriting(link), kept);  // later: until the scope ends
//
// With a Reply at hand it is one line: `const auto scope = reply.go_on();`.
//
// Threads  the dispatcher's.
// Memory   never allocates: a CallContext is a value of 64 bytes, and a ContextScope holds a copy of it.
#pragma once

#include <cstdint>

#include "taut/base/clock.h"
#include "taut/rpc/trace_context.h"

namespace taut::rpc {

class LinkState;

// When a call was made, and how long it may take.
struct Origin {
  constexpr Origin() noexcept {}
  Ticks sent = 0;            // its caller's stamp
  std::uint32_t budget = 0;  // steps of 16 ns from there on; see RequestHeader
};

// What the calls of one dispatcher inherit at this moment. Null: nothing, as outside of every handler.
struct Inheriting {
  const Origin* origin = nullptr;
  const TraceContext* trace = nullptr;
};
[[nodiscard]] Inheriting& inheriting(LinkState& link) noexcept;

// A copy that outlives the handler.
class CallContext {
 public:
  CallContext() noexcept = default;
  explicit CallContext(const Inheriting& now) noexcept {
    if (now.origin == nullptr) return;
    inside_ = true;
    origin_ = *now.origin;
    if (now.trace == nullptr) return;
    traced_ = true;
    trace_ = *now.trace;
  }

 private:
  friend class ContextScope;
  bool inside_ = false;
  bool traced_ = false;
  Origin origin_;
  TraceContext trace_;
};

// Calls inherit from `context` while the scope lives, whatever they inherited before.
class ContextScope {
 public:
  ContextScope(Inheriting& slot, const CallContext& context) noexcept : slot_(slot), before_(slot), context_(context) {
    slot.origin = context_.inside_ ? &context_.origin_ : nullptr;
    slot.trace = context_.traced_ ? &context_.trace_ : nullptr;
  }
  ContextScope(const ContextScope&) = delete;
  ~ContextScope() { slot_ = before_; }

 private:
  Inheriting& slot_;
  const Inheriting before_;
  const CallContext context_;
};

}  // namespace taut::rpc
