// What a taut::Link is made of: the present end (if there is a server), the bindings of its clients, and the connector
// that makes the next end. The link by which a server calls a client has that client's end, and no next one.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../agreement/schema_fit.h"
#include "../link/link_end.h"
#include "../link/served_methods.h"
#include "client_chain.h"
#include "taut/rpc/call.h"
#include "taut/rpc/dispatcher.h"
#include "taut/rpc/raw_binding.h"
#include "taut/rpc/reconnect.h"
#include "taut/rpc/stream.h"

namespace taut::rpc {

class Core;

// What a client offers its server.
struct Offered {
  std::vector<const ServiceDescription*> descriptions;
  MethodTable table;
  std::shared_ptr<const ServedMethods> methods;
  std::shared_ptr<const ServerChain> chain = {};  // null: no interceptors
  // Refused: two services of one name.
  static Result<std::unique_ptr<Offered>> of(std::span<Service* const> services, ring::u32 reply_bytes_max);
};

// From here on a timeout is none: sums of ticks could wrap.
inline constexpr Nanoseconds kPracticallyForever = std::chrono::hours(24 * 365 * 10);

// In the ids of calls that a policy keeps. No call in a ring has it.
inline constexpr std::uint64_t kKeptCall = std::uint64_t{1} << 63;

// What calls over a link beside its clients, and is told when the link goes: it then leaves with remove().
class LinkUser {
 public:
  virtual void link_gone(LinkState& link) noexcept = 0;
  // CallRef::cancel() or forget() of a call whose id has kKeptCall. False: it is not one of these.
  virtual bool end_call(std::uint64_t call, bool run_callback) noexcept = 0;

 protected:
  ~LinkUser() = default;
};

class LinkState final : public ControlPlane::Source {
 public:
  // `offered` may be null: nothing.
  LinkState(std::shared_ptr<Core> core, std::uint64_t endpoint, std::string url, LinkOptions options,
            std::unique_ptr<const Offered> offered);
  // Of a server to the client at `end`, or to one that is gone: null (link_callers.cpp).
  LinkState(std::shared_ptr<Core> core, LinkEnd* end, std::string client, LinkOptions options);
  ~LinkState() override;

  Binding& bind(const ServiceDescription& service);
  RawBinding& bind_raw(std::string_view service, std::vector<raw::Method> methods);  // link_raw.cpp
  [[nodiscard]] Result<void> fits(const ServiceDescription& service) const;
  [[nodiscard]] CallRoom claim(const BoundMethod& method, std::uint32_t payload_bytes) noexcept;
  void drop(const BoundMethod& method, const std::byte* payload) noexcept;
  [[nodiscard]] SentCall send(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes,
                              Nanoseconds timeout) noexcept;
  Status wait(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes, const CallOptions& options,
              AnswerBuffer& buffer) noexcept;
  // With metadata, or when interceptors stand before it (link_beside.cpp).
  [[nodiscard]] SentCall send_beside(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes,
                                     const CallOptions& options, std::uint16_t credit = 0,
                                     PendingTable::Row** row = nullptr) noexcept;
  Result<void> intercept(ClientInterceptor& interceptor);

  [[nodiscard]] StreamCall open_stream(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes,
                                       const StreamOptions& options) noexcept;
  [[nodiscard]] CallRoom claim_oneway(const BoundMethod& method, std::uint32_t payload_bytes) noexcept;
  Sent send_oneway(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes,
                   MetadataArgument metadata) noexcept;
  // With metadata or a trace, when interceptors stand before it, or when there is no room for it (link_beside.cpp).
  Sent send_oneway_beside(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes,
                          MetadataArgument metadata) noexcept;
  void end_call(std::uint64_t call, bool run_callback) noexcept;  // link_cancel.cpp
  [[nodiscard]] Status take_refusal() noexcept;

  Status warm_up(std::uint32_t calls) noexcept;  // link_warm_up.cpp
  // Lets time pass as a wait does: no callback runs (link_pause.cpp).
  void pause(Ticks until) noexcept;
  void add(LinkUser& user) { users_.push_back(&user); }
  void remove(LinkUser& user) noexcept { std::erase(users_, &user); }

  // --- for the Core
  void start(std::unique_ptr<Connector> connector);
  void connected(LinkEnd& end);
  void disconnected();
  void attempt_failed(const Error& error);
  void on_time() override;  // the next attempt is due
  void on_ready(int, std::uint32_t) override {}
  void core_gone() noexcept;
  // Tells the user what became of the link; outside of turns, waits and callbacks. The link may be gone afterwards.
  void tell_news();
  [[nodiscard]] bool has_news() const noexcept { return !news_.empty(); }
  void forget_news() noexcept { news_.clear(); }

  [[nodiscard]] Inheriting& inheriting() noexcept { return turn_->inheriting; }
  [[nodiscard]] LinkEnd* end() const noexcept { return end_; }
  // What the server may call; null: nothing.
  [[nodiscard]] std::shared_ptr<const ServedMethods> served() const noexcept {
    return offered_ != nullptr ? offered_->methods : nullptr;
  }
  // What stands before it.
  [[nodiscard]] std::shared_ptr<const ServerChain> serve_chain() const noexcept {
    return offered_ != nullptr ? offered_->chain : nullptr;
  }
  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  [[nodiscard]] const Error* last_error() const noexcept { return last_error_ ? &*last_error_ : nullptr; }
  [[nodiscard]] Core* core() const noexcept { return core_.get(); }

  std::function<void(bool)> on_link;
  std::unique_ptr<Dispatcher> own_dispatcher;  // of taut::connect()

 private:
  struct Committed {
    PendingTable::Row* row = nullptr;
    Why refused = Why::none;
  };
  // May `method` be called now? Else the room says why not.
  [[nodiscard]] Why not_callable(const BoundMethod& method) noexcept;
  Committed commit(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes, Nanoseconds timeout,
                   std::uint16_t credit = 0, Beside beside = {}) noexcept;
  SentCall finish_later(Why refused, const BoundMethod& method) noexcept;
  // None: the message was sent.
  Why commit_oneway(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes,
                    const Beside& beside) noexcept;
  Why commit_oneway_beside(const BoundMethod& method, std::uint32_t payload_bytes, const Beside& beside) noexcept;
  Sent oneway_refused(Why why) noexcept;
  struct Intercepted;
  [[nodiscard]] bool begin(Intercepted& call, const BoundMethod& method, const CallOptions& options);
  void finish(Intercepted& call, const Status& status) noexcept;
  Committed commit_beside(const BoundMethod& method, std::uint32_t payload_bytes, std::uint32_t budget, Ticks ticks,
                          std::uint16_t credit, const Beside& beside) noexcept;
  [[nodiscard]] std::pair<const ServiceDescription*, const MethodDescription*> describe(
      const BoundMethod& method) const noexcept;
  Status wait_sent(const Committed& sent, const BoundMethod& method, AnswerBuffer& buffer) noexcept;
  Status wait_beside(const BoundMethod& method, CallRoom room, std::uint32_t payload_bytes, const CallOptions& options,
                     AnswerBuffer& buffer) noexcept;
  // A call made inside a handler ends no later than the handler's own call, unless its timeout is `forever`. False:
  // that is over.
  [[nodiscard]] bool inherit_deadline(Nanoseconds timeout, ring::u32& budget, Ticks& ticks) const noexcept;
  [[nodiscard]] Status refusal(Why why, const BoundMethod& method) const noexcept;
  // Of a method that the server lacks, or a service that does not fit: the sentence names both sides.
  [[nodiscard]] Status no_such_call(Why why, const BoundMethod& method) const noexcept;
  void count_refusal(Why why) noexcept;
  void fill(Binding& binding) const;
  // Of an end that is there.
  [[nodiscard]] PeerMethods peer() const noexcept;
  void prepare(BoundMethod& bound, const MethodDescription& method) const;
  [[nodiscard]] static std::uint16_t index_of(const ServiceEntry* service, std::uint16_t id) noexcept;
  // Of untyped clients.
  void fill(RawBinding& binding) const;
  [[nodiscard]] std::optional<Error> raw_misfit(const RawBinding& binding, std::vector<MethodDescription> methods,
                                                const MethodTable& table) const;
  [[nodiscard]] const RawBinding* raw_binding_of(const BoundMethod& method) const noexcept;
  [[nodiscard]] Status no_such_raw_call(Why why, const BoundMethod& method, const RawBinding& binding) const noexcept;
  void stop_connecting();
  void tell_users() noexcept;
  void attempt_after(Nanoseconds delay);
  Status wait_for(std::uint64_t call, Ticks deadline, AnswerBuffer& buffer) noexcept;

  std::shared_ptr<Core> core_;
  Turn* turn_;
  LinkEnd* end_ = nullptr;
  std::shared_ptr<ClientChain> chain_;  // null: no interceptors
  std::uint64_t endpoint_;
  std::string url_;
  LinkOptions options_;
  const bool towards_client_ = false;
  std::unique_ptr<const Offered> offered_;
  std::unique_ptr<Connector> connector_;
  std::vector<std::unique_ptr<Binding>> bindings_;
  std::vector<std::unique_ptr<RawBinding>> raw_bindings_;
  std::vector<LinkUser*> users_;
  std::optional<Error> last_error_;
  std::vector<bool> news_;  // up or down, not told yet
  ReconnectSchedule attempts_;
};

}  // namespace taut::rpc
