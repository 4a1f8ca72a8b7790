#include "taut/testing.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "taut/loopback/loopback.h"

namespace taut::testing {
namespace {

// A service that calls itself for ever, or a callback that retries at once, would else keep the test here.
constexpr int kSettleTurnsMax = 10'000;
// So many turns without work mean that nothing is on its way: one moves a record, the next one handles it.
constexpr int kIdleTurns = 3;
constexpr int kStepsPerAdvance = 64;

loopback::Faults faults_of(const WireOptions& options) {
  return {.seed = options.seed,
          .drop = options.drop,
          .truncate = options.truncate,
          .disconnect = options.disconnect,
          .late = options.late,
          .delay = options.delay};
}

[[noreturn]] void stop(const Error& error) {
  std::cerr << "taut::testing::Wire: " << error << std::endl;
  std::abort();
}

}  // namespace

struct Wire::Inside {
  explicit Inside(WireOptions with)
      : options(std::move(with)), network(faults_of(options)), server(dispatcher()), client(dispatcher()) {
    network.drive(*server);
    network.when_idle([this] {
      if (!settling) ticks += static_cast<Ticks>(options.step.count());
    });
  }

  std::unique_ptr<rpc::Dispatcher> dispatcher() {
    std::vector<std::unique_ptr<rpc::Transport>> transports;
    transports.push_back(network.transport());
    DispatcherOptions wanted;
    wanted.idle = Idle::spin;
    wanted.clock = Clock::manual(&ticks);
    wanted.log = [this](Severity, std::string_view line) { log.emplace_back(line); };
    return std::make_unique<rpc::Dispatcher>(std::move(transports), std::move(wanted));
  }

  struct Served {
    std::string url;
    std::vector<Service*> services;
    std::optional<Listener> listener;
  };
  void serve(Served& served) {
    auto listener = server->serve_all(served.url, served.services);
    if (!listener) stop(listener.error());
    served.listener.emplace(*std::move(listener));
  }

  WireOptions options;
  // Not 0: a stamp of 0 could not be told from none.
  Ticks ticks = kBegin;
  static constexpr Ticks kBegin = 1'000'000'000;
  bool settling = false;
  std::vector<std::string> log;
  loopback::Network network;
  std::unique_ptr<rpc::Dispatcher> server, client;
  std::vector<Served> served;
};

Wire::Wire(WireOptions options) : inside_(std::make_unique<Inside>(std::move(options))) {}
Wire::~Wire() = default;

Link Wire::connect_all(std::span<Service* const> services, Caller caller) {
  Inside& inside = *inside_;
  const std::string query = inside.options.link.empty() ? "" : "?" + inside.options.link;
  const std::string url = "loopback://wire-" + std::to_string(inside.served.size()) + query;
  inside.serve(inside.served.emplace_back(Inside::Served{url, {services.begin(), services.end()}, {}}));
  auto link = caller == Caller::test ? inside.client->connect(url, {.serve = inside.options.serve})
                                     : inside.server->connect(url);
  if (!link) stop(link.error());
  settle();
  return *std::move(link);
}

void Wire::settle() {
  Inside& inside = *inside_;
  inside.settling = true;
  int idle = 0;
  for (int turn = 0; idle < kIdleTurns && turn < kSettleTurnsMax; ++turn) {
    idle = inside.server->poll() + inside.client->poll() == 0 ? idle + 1 : 0;
  }
  inside.settling = false;
}

void Wire::advance(Nanoseconds time) {
  Inside& inside = *inside_;
  settle();
  const Nanoseconds step = std::max(inside.options.step, time / kStepsPerAdvance);
  while (time.count() > 0) {
    const Nanoseconds now = std::min(step, time);
    inside.ticks += static_cast<Ticks>(now.count());
    time -= now;
    settle();
  }
}

Nanoseconds Wire::now() const noexcept {
  return Nanoseconds{static_cast<std::int64_t>(inside_->ticks - Inside::kBegin)};
}

void Wire::cut() {
  inside_->network.cut();
  settle();
}

void Wire::stop_serving() {
  for (auto& served : inside_->served) served.listener.reset();
  cut();
}

void Wire::serve_again() {
  for (auto& served : inside_->served) {
    if (!served.listener) inside_->serve(served);
  }
  advance(std::chrono::milliseconds(2));  // the next turn of the control plane connects
}

void Wire::hold() { inside_->network.hold(true); }

void Wire::release() {
  inside_->network.hold(false);
  settle();
}

void Wire::fill(Link& link) {
  hold();
  rpc::fill_rings(link.state());
}

void Wire::seed(std::uint64_t seed) {
  inside_->options.seed = seed;
  set_faults(inside_->options);
}
void Wire::set_faults(const WireOptions& faults) { inside_->network.set_faults(faults_of(faults)); }

const std::vector<std::string>& Wire::log() const noexcept { return inside_->log; }
rpc::Dispatcher& Wire::server() noexcept { return *inside_->server; }

}  // namespace taut::testing
