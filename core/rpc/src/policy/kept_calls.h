// The calls of a policy (taut::Retry, taut::Hedge): each keeps its message and its callback while attempts come and go.
// What the policies share: room, time, and an end that is told exactly once, whatever goes first.
//
// Threads  the dispatcher's.
// Memory   rows are allocated at set-up, a row's buffers when a message, or metadata, first needs them; they are kept
//          for the next one.
//
// I1  a row is free, or its callback is still to run, or was taken by forget()
// I2  the state lives as long as its policy object or one of its rows that is not free
#pragma once

#include <memory>
#include <vector>

#include "../client/link_state.h"
#include "../dispatcher/timers.h"
#include "taut/rpc/retry.h"

namespace taut::rpc {

class KeptCalls;

struct KeptCall final : Timer {
  void on_time() noexcept override;

  KeptCalls* home = nullptr;
  KeptCall* next_free = nullptr;
  std::uint64_t id = 0;  // 0: the row is free
  CallRef attempt;
  // --- of a hedge
  CallRef other;
  std::uint32_t under_way = 0;
  Ticks begun = 0;
  Callback callback;
  AlignedBytes message;
  std::uint32_t room = 0;
  std::uint32_t bytes = 0;
  std::unique_ptr<Metadata> metadata_room;
  MetadataArgument metadata;  // in its room; empty when the call has none
  CallContext inherited;      // by the handler in which the call was made, if it was: every attempt is made in it
  const Binding* binding = nullptr;
  std::uint32_t method = 0;
  Attempts attempts;
  bool ending = false;     // `last` is told when the timer is due
  bool forgotten = false;  // nobody wants to know
  Status last;
};

class KeptCalls : public LinkUser, private Timer {
 public:
  KeptCalls(LinkState& link, std::uint32_t calls_max, std::uint32_t message_bytes_max);
  virtual ~KeptCalls();

  // See CallPolicy::keep(). Of the row that it opened send() makes a call.
  [[nodiscard]] std::byte* keep(LinkState& link, const Binding& binding, std::uint32_t method,
                                std::uint32_t payload_bytes) noexcept;
  [[nodiscard]] PendingCall send(CallOptions options) noexcept;
  // The policy object goes. The state goes with its last call.
  static void leave(KeptCalls* calls) noexcept;

  // --- LinkUser
  void link_gone(LinkState& link) noexcept override;
  bool end_call(std::uint64_t call, bool run_callback) noexcept override;

 protected:
  friend struct KeptCall;
  // A call begins: its first attempt is to be sent.
  virtual void begin(KeptCall& call) noexcept = 0;
  // The time came that was set for it.
  virtual void due(KeptCall& call) noexcept = 0;
  // Nothing was kept, and the call goes out plainly.
  virtual void sent_once() noexcept = 0;
  virtual void forget_link(LinkState& link) noexcept;

  // Runs the callback, where callbacks may run, and frees the row.
  void finish(KeptCall& call, const RawAnswer& answer);
  void finish_in_turn(KeptCall& call) noexcept;
  void end_later(KeptCall& call, const Status& status) noexcept;
  void set_timer(KeptCall& call, Ticks when) noexcept;
  // Of a call that is made now: no later than the one that is being handled.
  [[nodiscard]] Ticks deadline_of(const BoundMethod& method, Nanoseconds timeout) const noexcept;
  // Until the deadline; forever when there is none.
  [[nodiscard]] Nanoseconds left(const Attempts& attempts) const noexcept;
  PendingCall send_attempt(KeptCall& call, LinkState& link, const Binding& binding, Nanoseconds timeout) noexcept;
  // Ends what is on its way for the call; `run_callback`: what became of it is told.
  virtual bool end_attempts(KeptCall& call, bool run_callback) noexcept = 0;

  LinkState* link_;  // null: it is gone
  const std::shared_ptr<Core> core_;
  bool left_ = false;  // the policy object is gone

 private:
  [[nodiscard]] static bool keep(KeptCall& call, const Metadata* metadata) noexcept;
  void free(KeptCall& call) noexcept;
  void on_time() noexcept final { delete this; }  // behind its last call: set when the policy object is gone too

  const std::uint32_t message_bytes_max_;
  std::vector<KeptCall> rows_;
  KeptCall* free_ = nullptr;
  KeptCall* opened_ = nullptr;  // by keep()
  LinkState* opened_over_ = nullptr;
  std::uint32_t open_count_ = 0;
};

}  // namespace taut::rpc
