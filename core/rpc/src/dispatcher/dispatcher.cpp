#include "taut/rpc/dispatcher.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <thread>

#include "core.h"

namespace taut {

Signals::Signals(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, &before_);
  fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

Signals::~Signals() {
  if (fd_ >= 0) ::close(fd_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool Signals::came() const noexcept {
  signalfd_siginfo info;
  return read(fd_, &info, sizeof info) == sizeof info;
}

Listener& Listener::operator=(Listener&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(endpoint_, other.endpoint_);
  std::swap(url_, other.url_);
  std::swap(seats_, other.seats_);
  return *this;
}

Listener::~Listener() {
  if (const auto core = core_.lock()) core->stop_listening(endpoint_);
}

Result<void> Listener::limit(std::string_view method, std::uint32_t calls_max) {
  const auto core = core_.lock();
  if (core == nullptr) return make_error(Code::failed_precondition, 0, {}, "the dispatcher of the listener is gone");
  return core->limit(endpoint_, method, calls_max);
}
bool Listener::drain(Nanoseconds at_most) noexcept {
  const auto core = core_.lock();
  return core == nullptr || core->drain(endpoint_, at_most);
}
void Listener::begin_drain() noexcept {
  if (const auto core = core_.lock()) core->begin_drain(endpoint_);
}
Result<void> Listener::intercept(ServerInterceptor& interceptor) {
  const auto core = core_.lock();
  if (core == nullptr) return make_error(Code::failed_precondition, 0, {}, "the dispatcher of this listener is gone");
  return core->intercept(endpoint_, interceptor);
}
bool Listener::drained() const noexcept {
  const auto core = core_.lock();
  return core == nullptr || core->drained(endpoint_);
}

namespace rpc {
namespace {

// The thread's name and processor, as the user asked.
void dress_thread(const DispatcherOptions& options, const LogCallback& log) {
  if (!options.name.empty()) pthread_setname_np(pthread_self(), options.name.substr(0, 15).c_str());
  if (options.cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(*options.cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
      log(Severity::warning,
          "cannot pin to processor " + std::to_string(*options.cpu) + "; the thread stays where it is");
    }
  }
  if (options.idle == Idle::spin && std::thread::hardware_concurrency() < 2) {
    log(Severity::warning,
        "a dispatcher that spins on a machine with one processor starves its peers; use Idle::adaptive");
  }
}

class SignalWatch final : public ControlPlane::Source {
 public:
  explicit SignalWatch(std::atomic<bool>& seen) : seen_(seen) {}
  void on_ready(int fd, std::uint32_t) override {
    signalfd_siginfo info;
    if (read(fd, &info, sizeof info) == sizeof info) seen_ = true;
  }

 private:
  std::atomic<bool>& seen_;
};

}  // namespace

Dispatcher::Dispatcher(std::vector<std::unique_ptr<Transport>> transports, DispatcherOptions options)
    : core_(std::make_shared<Core>(std::move(transports), std::move(options))) {}
Dispatcher::~Dispatcher() {
  if (core_ != nullptr) core_->close();
}
Dispatcher::Dispatcher(Dispatcher&&) noexcept = default;
Dispatcher& Dispatcher::operator=(Dispatcher&& other) noexcept {
  std::swap(core_, other.core_);
  return *this;
}

Result<Listener> Dispatcher::serve_all(std::string_view url, std::span<Service* const> services) {
  return core_->serve(url, services);
}
Result<Listener> Dispatcher::share_all(const Listener& listener, std::span<Service* const> services) {
  return core_->share(listener, services);
}
Result<Link> Dispatcher::connect(std::string_view url, LinkOptions options) { return core_->connect(url, options); }
Result<void> Dispatcher::intercept(ServerInterceptor& interceptor) { return core_->intercept(interceptor); }
Result<void> Dispatcher::intercept(ClientInterceptor& interceptor) { return core_->intercept(interceptor); }
int Dispatcher::poll(int units) noexcept { return core_->poll(units); }
TickReport Dispatcher::poll_until(std::chrono::steady_clock::time_point when) noexcept {
  return core_->poll_until(when);
}
std::chrono::steady_clock::time_point Dispatcher::now() const noexcept { return core_->now(); }
void Dispatcher::stop() noexcept { core_->stop(); }
bool Dispatcher::post_function(Posted& posted) noexcept { return core_->post(posted); }
void Dispatcher::adopt_thread() noexcept { core_->adopt_thread(); }

Result<Link> connect_alone(std::unique_ptr<Dispatcher> dispatcher, std::string_view url, const LinkOptions& options) {
  Core& core = *dispatcher->core_;
  auto link = dispatcher->connect(url, options);
  if (!link) return link;
  core.turn().owner = nullptr;
  link->state().own_dispatcher = std::move(dispatcher);
  return link;
}

void Dispatcher::run() noexcept {
  dress_thread(core_->options(), core_->turn().log);
  const std::atomic<bool> never{false};
  core_->run(never);
}

void Dispatcher::run_until(const Signals& signals) noexcept {
  dress_thread(core_->options(), core_->turn().log);
  std::atomic<bool> seen{false};  // the control plane may have a thread of its own
  SignalWatch watch(seen);
  Result<void> added;
  core_->control().perform([&] { added = core_->control().add(signals.fd(), EPOLLIN, watch); });
  if (!added) {
    core_->turn().log(Severity::error, added.error().what());
    return;
  }
  core_->run(seen);
  core_->control().perform([&] { core_->control().remove(signals.fd()); });
}

}  // namespace rpc
}  // namespace taut
