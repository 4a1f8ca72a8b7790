// The contract of a transport: what every transport owes its users, as a suite of tests that runs on any of them. For
// authors of transports; whoever tests a service of his own needs none of it.
//
//   #include "taut/testing/contract.h"
//   TAUT_TRANSPORT_CONTRACT(taut::testing::Kind{"mine", [] {
//     return taut::testing::make_process_world("mine://desk", [] { return my::make_transport(); });
//   }});
//
// That file, linked with taut::contract and GTest::gmock_main, is the whole test program. A transport whose two ends do
// not live in two processes derives from World instead. docs/transports.md says what a transport is made of.
//
// Threads  one, and one in each process that a World starts. fork() copies one thread: start none before.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/child_process.h"
#include "taut/rpc/dispatcher.h"
#include "taut/testing/contract_desk.h"
#include "taut/testing/contract_kinds.h"

namespace taut::testing {

inline LogCallback silent() {
  return [](Severity, std::string_view) {};
}

// A call by its caller: what ended it, and that this came once and was its own.
struct OneCall {
  explicit OneCall(std::uint64_t id) : id(id) {}
  void follow(Call<desk::Ack> call) {
    ref = std::move(call).then([this](const Answer<desk::Ack>& ack) {
      ++ends;
      status = ack.status();
      if (ack) {
        EXPECT_EQ(ack->id(), id) << "an answer to another call";
      }
    });
  }
  std::uint64_t id;
  int ends = 0;
  Status status;
  CallRef ref;
};

// One transport as the contract sees it: a server that can be started, lost and dismissed, and a dispatcher for
// clients.
class World {
 public:
  using Transports = std::vector<std::unique_ptr<rpc::Transport>>;
  virtual ~World() = default;
  virtual void start_server() = 0;
  virtual void lose_server() = 0;     // it dies: kill -9
  virtual void dismiss_server() = 0;  // it goes in good order
  virtual rpc::Dispatcher& client() = 0;
  [[nodiscard]] virtual std::string url() const = 0;
  // Lets the server work until `done`, without a turn of the client.
  virtual void let_server_work(const std::function<bool()>& done) = 0;

  Journal journal;
  ServerInterceptor* guard = nullptr;  // of the servers that are started from then on
};

// The contract's services, and the dispatcher that serves them.
class ContractServer {
 public:
  ContractServer(World& world, World::Transports transports, std::function<void()> die)
      : world_(world),
        powers_{std::move(die), [this] { listener_->begin_drain(); }, &loop_},
        loop_(std::move(transports), {.log = silent()}) {}
  Result<void> serve() {
    auto made = loop_.serve(world_.url(), desk_, echo_, kinds_);
    if (!made) return made.error();
    listener_.emplace(*std::move(made));
    return world_.guard != nullptr ? listener_->intercept(*world_.guard) : Result<void>();
  }
  void stop_serving() { listener_.reset(); }
  [[nodiscard]] rpc::Dispatcher& loop() noexcept { return loop_; }

 private:
  World& world_;
  Powers powers_;
  ContractDesk desk_{world_.journal, powers_};
  ContractEcho echo_;
  ContractKinds kinds_{world_.journal, powers_.die};
  rpc::Dispatcher loop_;
  std::optional<Listener> listener_;
};

// A server in a process of its own and the client in this one: what most transports need.
class ProcessWorld final : public World {
 public:
  ProcessWorld(std::string url, std::function<Transports()> make) : url_(std::move(url)), make_(std::move(make)) {}

  void start_server() override {
    server_.emplace([this](ChildProcess::Ready ready) {
      ContractServer server(*this, make_(), [] { raise(SIGKILL); });
      if (const auto served = server.serve(); !served) {
        std::cerr << served.error() << '\n';
        _exit(1);
      }
      ready();
      server.loop().run_until(Signals{SIGTERM});
    });
    if (!server_->ready()) throw std::runtime_error("no server of " + url_ + " came up");
  }
  void lose_server() override { server_->kill(); }
  void dismiss_server() override {
    server_->signal(SIGTERM);
    server_->wait();
  }
  rpc::Dispatcher& client() override { return client_; }
  [[nodiscard]] std::string url() const override { return url_; }
  void let_server_work(const std::function<bool()>& done) override {
    while (!done()) sched_yield();
  }

 private:
  std::string url_;
  std::function<Transports()> make_;
  rpc::Dispatcher client_{make_(), {.log = silent()}};
  std::optional<ChildProcess> server_;
};

// `make` gives one transport; it is asked once in each process.
inline std::unique_ptr<World> make_process_world(std::string url,
                                                 std::function<std::unique_ptr<rpc::Transport>()> make) {
  return std::make_unique<ProcessWorld>(std::move(url), [make = std::move(make)] {
    ProcessWorld::Transports transports;
    transports.push_back(make());
    return transports;
  });
}

// What the suite is run on: its name in the tests' names, and its world, made anew for each test.
struct Kind {
  const char* name;
  std::unique_ptr<World> (*make)();
};

class Transport : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    world->start_server();
    link.emplace(connect());
    orders.emplace(*link);
    calls.emplace(*link);
  }
  Link connect(const std::string& options = "", const rpc::LinkOptions& more = {}) {
    auto made = world->client().connect(world->url() + "?timeout=60s&connect_timeout=60s" + options, more);
    if (!made) throw std::runtime_error(std::string(made.error().what()));
    return *std::move(made);
  }
  void poll_until(const std::function<bool()>& done) {
    while (!done()) world->client().poll();
  }
  Status placed(std::uint64_t id, Wish wish) { return orders->Place(order(id, wish), taut::wait).status(); }
  // Sends, and counts the ends.
  void place(std::uint64_t id, Wish wish = answer, std::uint32_t quantity = 1) {
    orders->Place(order(id, wish, quantity)).then([this](const Answer<desk::Ack>& ack) {
      ends.push_back(ack.status());
      if (ack) answered.push_back(ack->id());
    });
  }

  // How an order ends that has others before and behind it, which are answered in their order whatever it does.
  Status among_others(Wish wish) {
    std::optional<Status> status;
    const auto place_some = [this](std::uint64_t first) {
      for (std::uint64_t id = first; id != first + 10; ++id) place(id);
    };
    place_some(1);
    orders->Place(order(11, wish)).then([&](const Answer<desk::Ack>& ack) {
      EXPECT_FALSE(status) << "it ended twice";
      status = ack.status();
    });
    place_some(12);
    poll_until([&] { return ends.size() == 20 && status; });
    EXPECT_EQ(answered.size(), 20u);
    EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
    EXPECT_TRUE(link->up());
    EXPECT_EQ(world->journal.entries(), 21u);
    EXPECT_EQ(world->journal.run_twice(), 0u);
    return *status;
  }

  // From here on orders are placed on a link whose server may place orders in turn.
  void listen(const std::string& options = "") {
    link.emplace(connect(options, {.serve = {listener}}));
    orders.emplace(*link);
  }

  ContractListener listener;  // outlives its links
  std::unique_ptr<World> world = GetParam().make();
  std::vector<Status> ends;
  std::vector<std::uint64_t> answered;
  std::optional<Link> link;
  std::optional<desk::Orders::Client> orders;
  std::optional<kinds::Kinds::Client> calls;  // of every kind
};

}  // namespace taut::testing

// Runs the suite on one Kind or more; once in a program.
#define TAUT_TRANSPORT_CONTRACT(...)                                                       \
  namespace taut::testing {                                                                \
  INSTANTIATE_TEST_SUITE_P(On, Transport, ::testing::Values(__VA_ARGS__),                  \
                           [](const auto& kind) { return std::string(kind.param.name); }); \
  }                                                                                        \
  static_assert(true)
