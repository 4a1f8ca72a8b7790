// The dispatcher behind its public face: the turn, the links, and what comes in from outside the turn.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <variant>
#include <vector>

#include "../client/link_state.h"
#include "../link/link_end.h"
#include "cold_links.h"
#include "taut/memory/board.h"
#include "taut/memory/fork_guard.h"
#include "taut/rpc/dispatcher.h"
#include "taut/rpc/seats.h"

namespace taut::rpc {

// The adaptive strategy spins so long, longer than any answer of a busy peer; then it yields, then it sleeps.
inline constexpr Nanoseconds kSpinFor = std::chrono::microseconds(50);

class Core final : public Inbox, public std::enable_shared_from_this<Core> {
 public:
  Core(std::vector<std::unique_ptr<Transport>> transports, DispatcherOptions options);
  ~Core() override;

  // --- set-up (core_endpoints.cpp)
  Result<Listener> serve(std::string_view url, std::span<Service* const> services);
  Result<Listener> share(const Listener& listener, std::span<Service* const> services);
  Result<Link> connect(std::string_view url, const LinkOptions& options);
  Result<void> limit(std::uint64_t endpoint, std::string_view method, std::uint32_t calls_max);
  void stop_listening(std::uint64_t endpoint) noexcept;
  // The listener's links take no new calls, and end when what they took is answered (link_drain.cpp).
  void begin_drain(std::uint64_t endpoint) noexcept;
  [[nodiscard]] bool drained(std::uint64_t endpoint) const noexcept;
  bool drain(std::uint64_t endpoint, Nanoseconds at_most) noexcept;
  void forget(LinkState& link) noexcept;
  // Links by which a server calls its clients (link_callers.cpp).
  [[nodiscard]] Link link_to_caller(LinkEnd& end);
  void forget_caller(LinkState& link) noexcept;
  // Interceptors: of a listener, its present links too; of all that is made from now on (core_endpoints.cpp).
  Result<void> intercept(std::uint64_t endpoint, ServerInterceptor& interceptor);
  Result<void> intercept(ServerInterceptor& interceptor);
  Result<void> intercept(ClientInterceptor& interceptor);
  // The claim of a call is over whose link ended while it was open.
  void drop_claim(std::uint64_t endpoint, ring::Lane lane, const std::byte* payload) noexcept;
  // Ends a call that a link made on one of its ends.
  void cancel(std::uint64_t endpoint, std::uint64_t call, bool run_callback) noexcept;
  void close() noexcept;  // everything ends: the dispatcher is being destroyed

  // --- the turn (core.cpp)
  int poll(int budget) noexcept;
  // Until `over`, which a source of the control plane sets, or stop().
  void run(const std::atomic<bool>& over) noexcept;
  TickReport poll_until(std::chrono::steady_clock::time_point when) noexcept;  // core_ticks.cpp
  [[nodiscard]] std::chrono::steady_clock::time_point now() const noexcept;
  void adopt_thread() noexcept;
  // `may_exceed`: also where posts_max are waiting.
  bool post(Posted& posted, bool may_exceed = false) noexcept;
  void stop() noexcept;
  std::atomic<bool> stopping{false};

  // Polled every turn from now on. To be called before anything is read from the rings of an end.
  void warm(LinkEnd& end) noexcept {
    end.idle_polls = 0;
    if (end.cold()) [[unlikely]]
      move_to_hot(end);
  }
  // For a wait that found nothing for so long: gives the core away, or sleeps until a peer rings.
  void rest_in_wait(LinkEnd& end, Nanoseconds idle_for, Ticks deadline) noexcept;
  [[nodiscard]] Ticks spin_ticks() const noexcept { return spin_ticks_; }
  // True too when the clock went back behind the last turn of the control plane: the difference wraps.
  [[nodiscard]] bool control_due() const noexcept { return turn_->now - control_since_ >= control_after_; }
  void control_turn(Nanoseconds wait) noexcept;

  [[nodiscard]] Turn& turn() noexcept { return *turn_; }
  [[nodiscard]] const std::shared_ptr<Turn>& shared_turn() const noexcept { return turn_; }
  [[nodiscard]] const DispatcherOptions& options() const noexcept { return options_; }
  [[nodiscard]] ControlPlane& control() noexcept { return *control_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return options_.seed; }
  // Another one for each thing that draws lots, so that no two draw the same.
  [[nodiscard]] std::uint32_t draw_seed() noexcept {
    return static_cast<std::uint32_t>((options_.seed + 0x9e3779b97f4a7c15u * ++seeds_drawn_) >> 32);
  }
  [[nodiscard]] bool on_owner() noexcept;
  [[nodiscard]] bool forked() const noexcept { return turn_->forked(); }
  [[nodiscard]] std::string wrong_thread_text() const;

  // --- Inbox: any thread
  void link_up(std::uint64_t endpoint, std::unique_ptr<Wire> wire) override;
  void link_ended(std::uint64_t endpoint, std::uint64_t link_id, LinkEnded ended) override;
  void connect_failed(std::uint64_t endpoint, Error error) override;
  void log(Severity severity, std::string_view text) override;

 private:
  struct Served {
    std::string url;
    std::unique_ptr<MethodTable> table;
    std::shared_ptr<ServedMethods> methods;
    std::shared_ptr<Seats> seats;
    std::shared_ptr<Seat> seat;                     // this dispatcher's
    std::unique_ptr<Acceptor> acceptor;             // null: another dispatcher accepts
    std::shared_ptr<const ServerChain> chain = {};  // null: no interceptors
    bool draining = false;
  };
  struct LinkUp {
    std::uint64_t endpoint;
    std::unique_ptr<Wire> wire;
  };
  struct LinkDown {
    std::uint64_t endpoint;
    std::uint64_t link_id;
    LinkEnded ended;
  };
  struct ConnectFailed {
    std::uint64_t endpoint;
    Error error;
  };
  struct Logged {
    Severity severity;
    std::string text;
  };
  using Event = std::variant<LinkUp, LinkDown, ConnectFailed, Logged>;

  bool may_poll() noexcept;
  // Would poll() do anything here?
  [[nodiscard]] bool may_turn() const noexcept {
    return turn_->on_owner() && !turn_->calling_user && !turn_->waiting && !forked();
  }
  int poll_links(int budget) noexcept;
  int after_slice(int found, int budget) noexcept;
  int poll_cold(int budget) noexcept;
  // Units of work that are no records of a hot link: the clock is read behind so many of any kind.
  int count(int units) noexcept { return turn_->unstamped += units, units; }
  void grow_cold(std::size_t hot_index) noexcept;
  int take_from_outside(int budget) noexcept;
  int run_posts(int budget) noexcept;
  void wake() noexcept;
  int run_finished() noexcept;
  void pump() noexcept;
  void expire_calls() noexcept;
  void rest(Nanoseconds idle_for) noexcept;
  void sleep_until_rung(Nanoseconds at_most) noexcept;
  void rest_until(Ticks when, Ticks idle_for) noexcept;
  void run_turn_ends() noexcept;

  void tell_served(std::span<Service* const> services);
  Transport* transport_of(const Url& url) const noexcept;
  Result<void> be_ready();  // board and fork guard, with the first listener or link
  void deliver(Event event);
  void take_inbox();
  void happened(LinkUp& up);
  bool watched(Wire& wire);
  void happened(LinkDown& down);
  void happened(ConnectFailed& failed);
  void happened(Logged& logged);
  void move_to_hot(LinkEnd& end) noexcept;
  void end_the_broken() noexcept;
  void end_link(LinkEnd& end, LinkEnded ended) noexcept;
  void drain_turn(LinkEnd& end) noexcept;
  void tell_of_drain(std::uint64_t endpoint) noexcept;
  void bury_the_ended(bool all) noexcept;
  void tell_news();
  void part_from_callers(LinkEnd& end) noexcept;
  void tell_callers_news();

  std::vector<std::unique_ptr<Transport>> transports_;
  DispatcherOptions options_;
  std::shared_ptr<Turn> turn_;
  std::unique_ptr<ControlPlane> own_control_;
  ControlPlane* control_ = nullptr;
  std::optional<Error> control_error_;
  std::shared_ptr<const memory::Board> board_;
  Ticks control_period_ = 0;
  Ticks spin_ticks_ = 0;  // how long an adaptive wait spins
  // The control plane has its turn so long after that. 0: in this turn.
  Ticks control_since_ = 0;
  Ticks control_after_ = 0;

  std::vector<std::unique_ptr<LinkEnd>> ends_;
  std::unordered_multimap<std::uint64_t, LinkEnd*> ends_by_link_;  // those that have not ended
  std::vector<LinkEnd*> hot_;                                      // polled every turn
  ColdLinks cold_;                                                 // a few every turn
  std::size_t next_hot_ = 0;
  int since_urgent_ = 0;  // records since the urgent lanes of all were looked at
  std::size_t next_urgent_ = 0;
  std::vector<Turn::Finished> running_finished_;
  std::vector<LinkEnd*> pumped_;  // whose transport moves records itself
  bool some_ended_ = false;
  bool any_news_ = false;
  std::vector<std::unique_ptr<LinkEnd>> husks_;  // ended, but somebody still holds a Reply of theirs

  std::shared_ptr<const ServerChain> server_chain_;  // of the listeners that are made from now on
  std::vector<ClientInterceptor*> client_chain_;     // and of the links
  std::uint64_t next_endpoint_ = 1;
  std::unordered_map<std::uint64_t, Served> served_;
  std::unordered_map<std::uint64_t, LinkState*> links_;
  std::vector<LinkState*> callers_with_news_;

  std::mutex inbox_mutex_;
  std::vector<Event> inbox_;

  std::mutex posts_mutex_;
  std::vector<Posted> posts_;
  std::vector<Posted> running_posts_;
  std::size_t next_post_ = 0;        // of running_posts_
  std::atomic<bool> asleep_{false};  // in epoll: a post must wake it

  std::uint64_t seeds_drawn_ = 0;
};

}  // namespace taut::rpc
