// A dispatcher as it is made and as it goes. May allocate and log; what it serves and connects to is made in
// core_endpoints.cpp, and what the control plane reports comes in by core_inbox.cpp.
#include <sys/random.h>

#include <algorithm>

#include "core.h"

namespace taut::rpc {
namespace {

// Whose log takes what is thrown where no link is at hand: see log_thrown().
thread_local std::weak_ptr<Turn> turn_of_thread;
// Clients that start together shall not draw alike, whatever their pids are: in containers all of them are 1.
std::uint64_t fresh_seed() noexcept {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
    seed = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return seed;
}

}  // namespace

Core::Core(std::vector<std::unique_ptr<Transport>> transports, DispatcherOptions options)
    : transports_(std::move(transports)),
      options_(std::move(options)),
      turn_(std::make_shared<Turn>(options_.clock ? *options_.clock : Clock::system())) {
  if (options_.log) turn_->log = options_.log;
  if (options_.seed == 0) options_.seed = fresh_seed();
  if (options_.control != nullptr) {
    control_ = options_.control;
  } else if (auto control = ControlPlane::create()) {
    own_control_ = std::move(*control);
    control_ = own_control_.get();
  } else {
    control_error_ = control.error();
  }
  control_period_ = turn_->clock.to_ticks(options_.control_period);
  spin_ticks_ = turn_->clock.to_ticks(kSpinFor);
  turn_->core = this;
  turn_->wake = [this] { wake(); };
  turn_->finished.reserve(64);
  running_finished_.reserve(64);
  posts_.reserve(options_.posts_max);
  running_posts_.reserve(options_.posts_max);
}

Core::~Core() = default;

void Core::close() noexcept {
  if (turn_->owner == nullptr) adopt_thread();
  for (auto& [endpoint, link] : links_) link->core_gone();
  links_.clear();
  for (const auto& served : served_) stop_listening(served.first);
  served_.clear();
  take_inbox();  // links that nobody has taken yet: their peers are told
  for (const auto& end : ends_) {
    if (end->ended == nullptr) end_link(*end, {Why::link_closed, "the dispatcher was destroyed"});
  }
  bury_the_ended(true);
  // Calls that were refused, and those that the callbacks of the ended ones made. Not for ever: a callback may retry.
  for (int round = 0; round != 3 && !turn_->finished.empty(); ++round) run_finished();
  for (int round = 0; round != 3; ++round) turn_->timers.run_due(kNever);  // what is told may set the next
  leave_to_replies(*turn_, std::move(husks_));
}

bool Core::on_owner() noexcept {
  if (turn_->owner == nullptr) adopt_thread();
  return turn_->on_owner();
}

void Core::adopt_thread() noexcept {
  turn_->owner = this_thread();
  turn_->owner_name = describe_this_thread();
  turn_of_thread = turn_;
}

std::string Core::wrong_thread_text() const {
  return "called on thread " + describe_this_thread() + ", but this dispatcher belongs to thread " + turn_->owner_name +
         "; hand the work over with post()";
}

Transport* Core::transport_of(const Url& url) const noexcept {
  for (const auto& transport : transports_) {
    if (transport->scheme() == url.scheme) return transport.get();
  }
  return nullptr;
}

void Turn::log_thrown(const std::string& whose) const noexcept {
  std::string text = whose + " threw";
  try {
    throw;
  } catch (const std::exception& thrown) {
    text += std::string(": ") + thrown.what();
  } catch (...) {
  }
  log(Severity::error, text);
}

void log_thrown(const char* by_whom) noexcept {
  if (const auto turn = turn_of_thread.lock()) return turn->log_thrown(by_whom);
  Turn(Clock::system()).log_thrown(by_whom);
}

Result<void> Core::be_ready() {
  if (control_error_) return *control_error_;
  if (!turn_->fork_guard) {
    auto guard = memory::ForkGuard::create();
    if (!guard) return guard.error();
    turn_->fork_guard = std::move(*guard);
    turn_->fork_word = turn_->fork_guard->word();
  }
  if (!board_) {
    auto board = memory::Board::create(options_.idle == Idle::spin ? ring::board::never_sleeps : 0);
    if (!board) return board.error();
    board_ = std::make_shared<memory::Board>(std::move(*board));
  }
  return {};
}

}  // namespace taut::rpc
