// Everything that is not the running path: descriptors that become ready (accepting, handshakes, bells, pidfds) and
// timers. By default a dispatcher polls it about once a millisecond; a user may give it a thread of its own.
//
// Threads  add(), remove(), poll() and every Source belong to the one thread that polls.
// Memory   allocates.
// Waits    poll() waits as long as it is told.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/result.h"
#include "taut/base/thread.h"
#include "taut/memory/fork_guard.h"

namespace taut::rpc {

class ControlPlane {
 public:
  class Source {
   public:
    virtual ~Source() = default;
    // The descriptor has these epoll events. A source may remove itself or others here.
    virtual void on_ready(int fd, std::uint32_t events) = 0;
    // The time asked for by call_at() came.
    virtual void on_time() {}
  };

  static Result<std::unique_ptr<ControlPlane>> create();
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // Watches `fd` (level-triggered) until remove(fd); neither owns the descriptor nor the source.
  Result<void> add(int fd, std::uint32_t events, Source& source);
  void remove(int fd) noexcept;
  // Owns `source` until dismiss() or the end of the control plane: for what outlives whoever made it, like the watch
  // over a link. Destroyed at once, or behind the poll that is running.
  Source& adopt(std::unique_ptr<Source> source);
  void dismiss(Source& source) noexcept;
  // Calls source.on_time() once, at the first poll after `when`; a later call replaces the time.
  void call_at(std::chrono::steady_clock::time_point when, Source& source);
  void forget(Source& source) noexcept;

  // Handles what is ready, waiting at most `wait` (0: not at all) and at most until the next timer. Returns how many.
  // One system call when nothing is ready. A few hundred microseconds of work are enough for one poll: the rest stays
  // ready for the next, so that a storm of connections does not hold up who also has calls to poll.
  int poll(Nanoseconds wait);

  // A source has begun what goes on within microseconds: the steps of a handshake. For the millisecond that follows,
  // who polls now and then had better do so often.
  void expect_more() noexcept { expects_more_until_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(1); }
  [[nodiscard]] bool expects_more() const noexcept { return std::chrono::steady_clock::now() < expects_more_until_; }

  // In a child of fork() that has not polled: it shares the descriptors with its parent and must not touch them. A
  // child that polls has taken its parent's place (a server that goes into the background), and its parent must not
  // poll again.
  [[nodiscard]] bool forked() const noexcept { return guard_.forked(); }

  // Wakes a poll() that waits. From any thread; async-signal-safe.
  void wake() noexcept;

  // The loop of a thread of its own: polls until stop() was called from any thread.
  void run();
  void stop() noexcept;

  // Runs `f` where sources may be touched, and returns when it has run: on the thread that is in run(), or here when
  // there is none. From any thread; set-up only.
  void perform(const std::function<void()>& f);

 private:
  explicit ControlPlane(memory::ForkGuard guard) noexcept : guard_(std::move(guard)) {}
  struct Watch {
    Source* source;
    std::uint32_t serial;  // tells events of this watch from those of an earlier one of the same descriptor
  };
  struct Timer {
    std::chrono::steady_clock::time_point when;
    Source* source;
  };
  void perform_what_waits();
  int wait_for_events(epoll_event* events, int count, Nanoseconds wait) noexcept;
  int run_due_timers();

  memory::ForkGuard guard_;
  int epoll_ = -1;
  int wake_ = -1;  // an eventfd of this process alone: a shared one could be made to block
  std::atomic<bool> stop_{false};
  std::recursive_mutex perform_mutex_;  // what is performed may perform
  std::condition_variable_any performed_;
  ThreadId runner_ = nullptr;                             // the thread in run()
  std::vector<const std::function<void()>*> to_perform_;  // by others, who wait
  std::uint32_t serial_ = 0;
  std::unordered_map<int, Watch> watches_;
  std::vector<Timer> timers_;
  std::chrono::steady_clock::time_point expects_more_until_{};
  std::vector<std::unique_ptr<Source>> adopted_;
  std::vector<std::unique_ptr<Source>> dismissed_;
  bool polling_ = false;
};

}  // namespace taut::rpc
