// One object, one thread, the caller's: everything that a program serves and calls turns here.
//
// Threads  the first thread that polls owns the dispatcher; use from another is an error that names both, except for
//          post(), stop() and dropping a Reply. No thread is started.
// Memory   set-up allocates; poll() does not, except for what the control plane does when links come and go.
// Waits    poll() never; run() and poll_until() as their idle strategy says; connect() up to its timeout.
#pragma once

#include <signal.h>

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/log.h"
#include "taut/base/result.h"
#include "taut/rpc/call.h"
#include "taut/rpc/interceptor.h"
#include "taut/rpc/service.h"
#include "taut/rpc/transport.h"

namespace taut {

namespace rpc {
class Core;
}

// What run() does when a turn found nothing.
enum class Idle : std::uint8_t {
  spin,             // polls on: for a core of its own; peers then spend nothing on waking this side
  spin_then_yield,  // gives the core away between polls after a while
  adaptive,         // spins, then yields, then sleeps until a peer rings
};

struct DispatcherOptions {
  Idle idle = Idle::adaptive;
  std::optional<int> cpu = {};  // pins the thread in run()
  std::string name = {};        // names the thread in run(); at most 15 characters
  LogCallback log = log_to_stderr;
  std::optional<Clock> clock = {};  // default: Clock::system()
  Nanoseconds control_period = std::chrono::milliseconds(1);
  std::size_t posts_max = 1024;
  std::uint64_t seed = 0;  // of what is drawn by lot: pauses before reconnecting and retries; 0: another each time
  // A control plane that another thread runs; null: the dispatcher polls one of its own once a control_period.
  rpc::ControlPlane* control = nullptr;
};

// What a time of polling went into, up to a tick.
struct TickReport {
  int units = 0;              // records, posts and answers, as poll() counts them
  Nanoseconds idle{0};        // of the time: there was nothing to do
  Nanoseconds late{0};        // how long after the time that was asked for it ended
  std::uint64_t skipped = 0;  // due times of a Ticker that had passed altogether
};

// Blocks the signals for the calling thread as long as it lives, and tells run_until() when one comes.
class Signals {
 public:
  Signals(std::initializer_list<int> numbers);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }
  // Has one come since the last time? For programs that poll on their own instead of run_until().
  [[nodiscard]] bool came() const noexcept;

 private:
  int fd_;
  sigset_t before_;
};

// A service that is being served, or a dispatcher's share in it. Destroying it stops accepting, or ends the share;
// links that were made live on.
class Listener {
 public:
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();
  // As it may be printed and connected to; lives as long as the listener.
  [[nodiscard]] const char* url() const noexcept { return url_.c_str(); }

  // So many calls of a method may be open at a time, those of all clients of this dispatcher together; the next one is
  // refused before the work (`resource_exhausted`, method_limit). 0: no limit. The method is named as in its schema,
  // where two services have one of that name with its service: desk.Orders.Place. Limits of all calls stand in the URL:
  // open_max, delay_max.
  Result<void> limit(std::string_view method, std::uint32_t calls_max);

  // Ends the service without loss: tells its services (Service::drain_begins); gives the name back, so that a successor
  // can take it; tells the clients, whose links look for the successor; answers what was taken, and lets each link go.
  // Polls meanwhile, so it is not called inside a handler. Links that have unanswered calls after `at_most` are closed:
  // false. True: every call was answered, or did not run.
  bool drain(Nanoseconds at_most = std::chrono::seconds(5)) noexcept;
  // The same for a program that polls on its own, until drained().
  void begin_drain() noexcept;
  // Before the handlers of this listener's calls, behind those that were set before. For set-up, on the dispatcher's
  // thread.
  Result<void> intercept(ServerInterceptor& interceptor);
  [[nodiscard]] bool drained() const noexcept;

 private:
  friend class rpc::Core;
  Listener(std::weak_ptr<rpc::Core> core, std::uint64_t endpoint, std::string url, std::shared_ptr<rpc::Seats> seats)
      : core_(std::move(core)), endpoint_(endpoint), url_(std::move(url)), seats_(std::move(seats)) {}
  std::weak_ptr<rpc::Core> core_;
  std::uint64_t endpoint_;
  std::string url_;
  std::shared_ptr<rpc::Seats> seats_;
};

namespace rpc {

// A function that another thread hands in: up to kBytes of captured state, stored in place.
class Posted {
 public:
  static constexpr std::size_t kBytes = 64;
  Posted() noexcept = default;
  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, Posted>) explicit Posted(F&& f) noexcept {
    using Stored = std::decay_t<F>;
    static_assert(sizeof(Stored) <= kBytes, "a posted function may capture 64 bytes: capture a pointer to the rest");
    static_assert(std::is_nothrow_move_constructible_v<Stored>);
    ::new (static_cast<void*>(state_)) Stored(std::forward<F>(f));
    act_ = [](Posted& self, bool run, Posted* to) {
      auto& stored = *std::launder(reinterpret_cast<Stored*>(self.state_));
      if (run) stored();
      if (to != nullptr) ::new (static_cast<void*>(to->state_)) Stored(std::move(stored));
      stored.~Stored();
    };
  }
  Posted(Posted&& other) noexcept { *this = std::move(other); }
  Posted& operator=(Posted&& other) noexcept {
    if (auto* act = std::exchange(act_, nullptr)) act(*this, false, nullptr);
    if (other.act_ != nullptr) other.act_(other, false, this);
    act_ = std::exchange(other.act_, nullptr);
    return *this;
  }
  ~Posted() {
    if (act_ != nullptr) act_(*this, false, nullptr);
  }
  void run() {
    if (auto* act = std::exchange(act_, nullptr)) act(*this, true, nullptr);
  }

 private:
  void (*act_)(Posted& self, bool run, Posted* to) = nullptr;
  alignas(16) std::byte state_[kBytes];
};

// The link, unless a service does not fit it.
template <class... Services>
Result<Link> that_fits(Result<Link> link) {
  Result<void> fit;
  if (link) (void)((fit = link->fits(Services::description())) && ...);
  if (!fit) return fit.error();
  return link;
}

class Dispatcher {
 public:
  static constexpr int kPollDefault = 64;

  // The transports that its URLs may name; taut::Dispatcher (taut/taut.h) brings all that there are.
  Dispatcher(std::vector<std::unique_ptr<Transport>> transports, DispatcherOptions options);
  ~Dispatcher();
  Dispatcher(Dispatcher&&) noexcept;
  Dispatcher& operator=(Dispatcher&&) noexcept;

  // Serves the services under one URL. The services outlive the dispatcher.
  template <class... Services>
  requires(std::is_base_of_v<Service, Services>&&...) Result<Listener> serve(std::string_view url,
                                                                             Services&... services) {
    Service* list[] = {&services...};
    return serve_all(url, list);
  }
  Result<Listener> serve_all(std::string_view url, std::span<Service* const> services);

  // Shares a listener of another dispatcher: each of its links is dealt to the dispatcher that has the fewest, and is
  // served on that one's thread. The services are the listener's in its order, an object for each dispatcher unless its
  // thread_safe() says that one will do. Before this dispatcher runs, or on its thread; `listener` stays where it is
  // during the call. The dispatcher of `listener` accepts for all: when it goes, the name goes.
  template <class... Services>
  requires(std::is_base_of_v<Service, Services>&&...) Result<Listener> share(const Listener& listener,
                                                                             Services&... services) {
    Service* list[] = {&services...};
    return share_all(listener, list);
  }
  Result<Listener> share_all(const Listener& listener, std::span<Service* const> services);

  // Waits up to the URL's `connect_timeout` (1 s) for a server that is starting.
  Result<Link> connect(std::string_view url, LinkOptions options = {});
  // For a link that will call these services, as connect<greeter::Greeter>(url): refused when the schema of one does
  // not fit the server's, in a sentence that names the method. Without them the refusal meets the first call.
  template <class... Services>
  requires(sizeof...(Services) != 0) Result<Link> connect(std::string_view url, LinkOptions options = {}) {
    return rpc::that_fits<Services...>(connect(url, options));
  }

  // Before the calls of all listeners, or of all links, that are made from now on: in front of those that they are
  // given later. At most kInterceptorsMax; for set-up.
  Result<void> intercept(ServerInterceptor& interceptor);
  Result<void> intercept(ClientInterceptor& interceptor);

  // At most `units` records, posts and answers; returns how many. Never waits.
  int poll(int units = kPollDefault) noexcept;
  // Polls until `when`, one turn at least; with the idle strategy, but a sleep ends 250 us before and is polled away.
  // The time is looked at after every 16 records, so it is late by as much as their handlers take. Ticks that follow
  // each other: taut/rpc/ticker.h.
  TickReport poll_until(std::chrono::steady_clock::time_point when) noexcept;
  // What `when` is compared with: steady_clock, or the clock of the options where a test moves one.
  [[nodiscard]] std::chrono::steady_clock::time_point now() const noexcept;
  // Polls until stop(); with the idle strategy. Ends at once, with an error in the log, where poll() may not be called:
  // on another thread, inside a handler or callback, and in a child of fork() that has the links of its parent.
  void run() noexcept;
  // Polls until one of the signals comes.
  void run_until(const Signals& signals) noexcept;
  // Ends run(), or the next one when none is under way. Any thread; async-signal-safe.
  void stop() noexcept;

  // Runs `f` in a later turn. Any thread. False when posts_max are waiting: an `f` that was moved in is then gone, and
  // with it what it had captured, so the call of a captured Reply ends with `aborted`.
  template <class F>
  [[nodiscard]] bool post(F&& f) noexcept {
    Posted posted(std::forward<F>(f));
    return post_function(posted);
  }

  // The calling thread takes the dispatcher over; the thread that polled before must have stopped.
  void adopt_thread() noexcept;

 private:
  friend class TurnEnd;
  friend Result<Link> connect_alone(std::unique_ptr<Dispatcher>, std::string_view, const LinkOptions&);
  bool post_function(Posted& posted) noexcept;
  std::shared_ptr<Core> core_;
};

// A link that owns the dispatcher it was made with, and belongs to the thread that uses it first.
Result<Link> connect_alone(std::unique_ptr<Dispatcher> dispatcher, std::string_view url, const LinkOptions& options);

// For <taut/testing.h>: fills the rings towards the server with records that it steps over. Refused calls are then
// real.
void fill_rings(LinkState& link) noexcept;

}  // namespace rpc
}  // namespace taut
