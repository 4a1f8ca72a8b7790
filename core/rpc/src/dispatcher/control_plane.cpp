#include "taut/rpc/control_plane.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "taut/base/assert.h"
#include "taut/memory/descriptor.h"

namespace taut::rpc {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kEventsPerPoll = 64;
constexpr Nanoseconds kForEver = Nanoseconds::max();
// A step of a handshake takes up to 200 us where pages are made, so a poll may take twice this.
constexpr Nanoseconds kEnoughForOnePoll = std::chrono::microseconds(200);
// What poll() is never told to wait for: the wake-up has no Source.
constexpr std::uint64_t kWakeTag = ~std::uint64_t{0};

std::uint64_t tag(int fd, std::uint32_t serial) noexcept {
  return std::uint64_t{serial} << 32 | static_cast<std::uint32_t>(fd);
}

}  // namespace

Result<std::unique_ptr<ControlPlane>> ControlPlane::create() {
  auto guard = memory::ForkGuard::create();
  if (!guard) return guard.error();
  std::unique_ptr<ControlPlane> control(new ControlPlane(*std::move(guard)));
  control->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (control->epoll_ < 0) return memory::descriptor_error(errno, "epoll_create1", "a control plane", 2);
  control->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (control->wake_ < 0) return memory::descriptor_error(errno, "eventfd", "a control plane", 2);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeTag;
  if (epoll_ctl(control->epoll_, EPOLL_CTL_ADD, control->wake_, &event) != 0) {
    return make_error(Code::internal, errno, {}, "watching the wake-up of a control plane");
  }
  return control;
}

ControlPlane::~ControlPlane() {
  TAUT_ASSERT(!polling_);
  // Sources say remove() and forget() in their destructors, so they go while the rest still stands.
  while (!adopted_.empty()) {
    const std::unique_ptr<Source> source = std::move(adopted_.back());
    adopted_.pop_back();
  }
  if (wake_ >= 0) ::close(wake_);
  if (epoll_ >= 0) ::close(epoll_);
}

Result<void> ControlPlane::add(int fd, std::uint32_t events, Source& source) {
  TAUT_ASSERT(!watches_.contains(fd));
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag(fd, ++serial_);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    return make_error(Code::resource_exhausted, errno, "see fs.epoll.max_user_watches", "watching descriptor %d", fd);
  }
  watches_.emplace(fd, Watch{&source, serial_});
  return {};
}

void ControlPlane::remove(int fd) noexcept {
  if (watches_.erase(fd) == 0) return;
  if (forked()) return;  // the set of watched descriptors is the parent's
  epoll_event unused{};
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, &unused);
}

ControlPlane::Source& ControlPlane::adopt(std::unique_ptr<Source> source) {
  adopted_.push_back(std::move(source));
  return *adopted_.back();
}

void ControlPlane::dismiss(Source& source) noexcept {
  const auto found =
      std::find_if(adopted_.begin(), adopted_.end(), [&](const auto& own) { return own.get() == &source; });
  TAUT_ASSERT(found != adopted_.end());
  std::unique_ptr<Source> own = std::move(*found);
  *found = std::move(adopted_.back());
  adopted_.pop_back();
  if (polling_) dismissed_.push_back(std::move(own));  // one of its functions may be running
}

void ControlPlane::call_at(SteadyClock::time_point when, Source& source) {
  forget(source);
  timers_.push_back({when, &source});
}

void ControlPlane::forget(Source& source) noexcept {
  std::erase_if(timers_, [&](const Timer& timer) { return timer.source == &source; });
}

int ControlPlane::poll(Nanoseconds wait) {
  TAUT_ASSERT(!polling_);
  if (__builtin_expect(forked(), 0)) guard_.take_over();
  if (!timers_.empty()) {
    const auto by_time = [](const Timer& a, const Timer& b) { return a.when < b.when; };
    const auto next = std::min_element(timers_.begin(), timers_.end(), by_time)->when;
    const auto now = SteadyClock::now();
    wait = next <= now ? Nanoseconds{0} : std::min(wait, Nanoseconds{next - now});
  }
  std::array<epoll_event, kEventsPerPoll> events;
  const int ready = wait_for_events(events.data(), kEventsPerPoll, wait);
  polling_ = true;
  int handled = 0;
  const auto enough = ready > 1 ? SteadyClock::now() + kEnoughForOnePoll : SteadyClock::time_point::max();
  for (int i = 0; i < ready; ++i) {
    if (i > 0 && SteadyClock::now() >= enough) {
      expect_more();  // the others are still ready, and behind those that had their turn
      break;
    }
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    if (data == kWakeTag) {
      std::uint64_t count;
      (void)!::read(wake_, &count, sizeof count);
      continue;
    }
    const int fd = static_cast<int>(static_cast<std::uint32_t>(data));
    const auto found = watches_.find(fd);
    // A source that was handled before this one may have removed it, and opened another descriptor of its number.
    if (found == watches_.end() || found->second.serial != data >> 32) continue;
    found->second.source->on_ready(fd, events[static_cast<std::size_t>(i)].events);
    ++handled;
  }
  if (!timers_.empty()) handled += run_due_timers();
  polling_ = false;
  dismissed_.clear();
  return handled;
}

int ControlPlane::wait_for_events(epoll_event* events, int count, Nanoseconds wait) noexcept {
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(wait.count() / 1'000'000'000);
  timeout.tv_nsec = static_cast<long>(wait.count() % 1'000'000'000);
  int ready = epoll_pwait2(epoll_, events, count, wait == kForEver ? nullptr : &timeout, nullptr);
  if (ready < 0 && (errno == ENOSYS || errno == EPERM)) {  // before Linux 5.11, or a seccomp profile from then
    const auto milliseconds =
        std::chrono::ceil<std::chrono::milliseconds>(std::min(wait, Nanoseconds{std::chrono::hours(1)}));
    ready = epoll_wait(epoll_, events, count, static_cast<int>(milliseconds.count()));
  }
  return ready;  // a signal is like nothing ready
}

int ControlPlane::run_due_timers() {
  const auto now = SteadyClock::now();
  int handled = 0;
  // Each timer that is due now runs once; one that is set meanwhile waits for the next poll.
  for (std::size_t left = timers_.size(); left > 0; --left) {
    const auto due =
        std::find_if(timers_.begin(), timers_.end(), [&](const Timer& timer) { return timer.when <= now; });
    if (due == timers_.end()) break;
    Source& source = *due->source;
    timers_.erase(due);
    source.on_time();
    ++handled;
  }
  return handled;
}

void ControlPlane::wake() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);  // EAGAIN: it is awake already
}

void ControlPlane::run() {
  {
    const std::lock_guard lock(perform_mutex_);
    runner_ = this_thread();
  }
  while (!stop_.load(std::memory_order_relaxed)) {  // relaxed: the eventfd orders what matters
    poll(kForEver);
    perform_what_waits();
  }
  {
    const std::lock_guard lock(perform_mutex_);
    runner_ = nullptr;
    stop_.store(false, std::memory_order_relaxed);
  }
  perform_what_waits();
}

void ControlPlane::perform(const std::function<void()>& f) {
  std::unique_lock lock(perform_mutex_);
  if (runner_ == nullptr || runner_ == this_thread()) return f();  // under the lock: run() begins behind it
  to_perform_.push_back(&f);
  wake();
  performed_.wait(lock, [&] { return std::find(to_perform_.begin(), to_perform_.end(), &f) == to_perform_.end(); });
}

void ControlPlane::perform_what_waits() {
  const std::lock_guard lock(perform_mutex_);
  if (to_perform_.empty()) return;
  for (const auto* f : to_perform_) (*f)();
  to_perform_.clear();
  performed_.notify_all();
}

void ControlPlane::stop() noexcept {
  stop_.store(true, std::memory_order_relaxed);
  wake();
}

}  // namespace taut::rpc
