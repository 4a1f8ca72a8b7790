// What goes with a one-way message beside its bytes, for the handler that is told it:
//
//   void Log(const Line& line, const taut::Told& told) override { keep(told.peer().pid, line); }
//
// Of a call that is answered, its Reply or Writer knows the same, in the same words (served_call.h).
//
// Threads  the dispatcher's, until the handler returns. It is not to be kept, and cannot be copied.
// Memory   one pointer; what nobody asks for is not looked up. caller() allocates.
// Waits    never.
#pragma once

#include "taut/rpc/interceptor.h"

namespace taut {

class Link;

namespace rpc {
class ServedCall;
}  // namespace rpc

class Told {
 public:
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;

  // How long the message lay in the ring before its handler started.
  [[nodiscard]] Nanoseconds queued() const noexcept;
  // What came beside it; views of it end when the handler returns.
  [[nodiscard]] MetadataView metadata() const noexcept;
  [[nodiscard]] const TraceContext* trace() const noexcept;  // null: the message belongs to no trace
  [[nodiscard]] Peer peer() const noexcept;
  // The client that sent it, to be called in turn, as RawReply::caller().
  [[nodiscard]] Link caller() const;

 private:
  friend class rpc::ServedCall;
  explicit Told(const rpc::ServedCall& call) noexcept : call_(call) {}
  const rpc::ServedCall& call_;
};

}  // namespace taut
