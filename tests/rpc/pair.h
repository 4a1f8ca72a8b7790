// One server, its clients, a network in one thread and a clock that the test moves: what most tests arrange first.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "byte_service.h"
#include "taut/loopback/loopback.h"

namespace taut::rpc::testing {

// What a dispatcher had to say. Any thread.
class Logs {
 public:
  [[nodiscard]] LogCallback callback() {
    return [this](Severity, std::string_view text) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(text);
    };
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  [[nodiscard]] int count(std::string_view part) const {
    const auto all = lines();
    return static_cast<int>(std::count_if(
        all.begin(), all.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

template <class... Transports>
std::vector<std::unique_ptr<Transport>> transports(std::unique_ptr<Transports>... given) {
  std::vector<std::unique_ptr<Transport>> all;
  (all.push_back(std::move(given)), ...);
  return all;
}

class Pair {
 public:
  explicit Pair(const std::string& options = "", loopback::Faults faults = {})
      : network(faults), url("loopback://bytes" + options), server_(new_dispatcher()), client_side_(new_dispatcher()) {
    serve();
    clients_.push_back(std::make_unique<Client>(connect()));
    settle();  // the server takes the link in one turn, and the first records in the next
  }

  Ticks ticks = 1'000'000;  // nanoseconds
  Logs log;
  loopback::Network network;
  ByteService service;
  std::string url;

  [[nodiscard]] Dispatcher& server() { return *server_; }
  [[nodiscard]] Dispatcher& caller() { return *client_side_; }
  [[nodiscard]] Listener& listener() { return *listener_; }
  [[nodiscard]] Client& client(std::size_t i = 0) { return *clients_[i]; }

  void serve() {
    auto listening = server_->serve(url, service);
    EXPECT_TRUE(listening) << listening.error();
    listener_.emplace(std::move(*listening));
  }
  // A wait of the client then turns the server too.
  void server_turns_in_waits() { network.drive(*server_); }
  // A wait sees time pass, by `step` whenever it looks for its answer.
  void time_passes_in_waits(Nanoseconds step) {
    metronome_ = new_dispatcher();
    network.drive(*metronome_);
    tick(step);
  }
  void stop_serving() { listener_.reset(); }
  void destroy_server() {
    listener_.reset();
    server_.reset();
  }
  void destroy_caller() { client_side_.reset(); }
  void restart_server() {
    destroy_server();
    server_ = new_dispatcher();
    serve();
  }

  [[nodiscard]] Link connect(const LinkOptions& options = {}) {
    auto link = client_side_->connect(url, options);
    EXPECT_TRUE(link) << link.error();
    return std::move(*link);
  }
  Client& add_client() { return *clients_.emplace_back(std::make_unique<Client>(connect())); }

  void pass(Nanoseconds time) { ticks += static_cast<Ticks>(time.count()); }
  // Lets both sides turn until neither finds anything. Time stands still.
  void settle() {
    int idle = 0;
    while (idle < 3) {
      const int done = (server_ ? server_->poll() : 0) + (client_side_ ? client_side_->poll() : 0);
      idle = done == 0 ? idle + 1 : 0;
    }
  }
  // Long enough for control planes to have their turn, and then settles.
  void settle_links() {
    for (int i = 0; i != 3; ++i) {
      pass(1ms);
      settle();
    }
  }
  // Turns both sides, with time passing, until `over`; real time passes too, for timers of the control plane.
  template <class F>
  void until(F over) {
    while (!over()) {
      pass(1ms);
      settle();
    }
  }

 private:
  std::unique_ptr<Dispatcher> new_dispatcher() {
    DispatcherOptions options;
    options.log = log.callback();
    options.clock = Clock::manual(&ticks);
    return std::make_unique<Dispatcher>(transports(network.transport()), options);
  }

  void tick(Nanoseconds step) {
    EXPECT_TRUE(metronome_->post([this, step] {
      pass(step);
      tick(step);
    }));
  }

  std::unique_ptr<Dispatcher> server_, client_side_, metronome_;
  std::optional<Listener> listener_;
  std::vector<std::unique_ptr<Client>> clients_;
};

// EXPECT that a call ended, once, with this status.
#define EXPECT_ENDED(outcome, code_, ran_, why_)                           \
  do {                                                                     \
    const auto& ended_outcome = (outcome);                                 \
    EXPECT_EQ(ended_outcome.ends, 1);                                      \
    EXPECT_EQ(ended_outcome.status.code(), code_) << ended_outcome.status; \
    EXPECT_EQ(ended_outcome.status.ran(), ran_) << ended_outcome.status;   \
    EXPECT_EQ(ended_outcome.status.why(), why_) << ended_outcome.status;   \
  } while (false)
#define EXPECT_ANSWERED(outcome, text)                              \
  do {                                                              \
    const auto& ended_outcome = (outcome);                          \
    EXPECT_EQ(ended_outcome.ends, 1);                               \
    EXPECT_TRUE(ended_outcome.status.ok()) << ended_outcome.status; \
    EXPECT_EQ(ended_outcome.payload, text);                         \
  } while (false)

}  // namespace taut::rpc::testing
