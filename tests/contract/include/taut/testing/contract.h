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

#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "echo.taut.h"
#include "orders.taut.h"
#include "support/accounting/journal.h"
#include "support/child_process.h"
#include "taut/rpc/dispatcher.h"
#include "taut/testing/contract_kinds.h"

namespace taut::testing {

// What an order asks the server to do, in its price.
enum Wish : std::int32_t {
  answer,
  hold,
  release_all,
  refuse,
  drop,
  throw_up,
  die,
  ask_back,
  push,
  flood,
  tell_beside,
  tell_time
};

inline desk::OrderInit order(std::uint64_t id, Wish wish = answer, std::uint32_t quantity = 1) {
  static constexpr std::uint8_t kZeros[8] = {};
  return {.id = id,
          .price = wish,
          .quantity = quantity,
          .party = desk::Party(flatbuffers::span<const std::uint8_t, 8>(kZeros, 8),
                               flatbuffers::span<const std::uint8_t, 4>(kZeros, 4))};
}

class ContractDesk final : public desk::Orders::Service {
 public:
  ContractDesk(Journal& journal, std::function<void()> die) : journal_(journal), die_(std::move(die)) {}
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    journal_.enter(order.id());
    switch (order.price()) {
      case hold:
        return held_.emplace_back(order.id(), std::move(reply)), void();
      case release_all:
        for (auto& [id, held] : held_) held.send({.id = id});
        held_.clear();
        break;
      case refuse:
        return reply.refuse(Code::permission_denied, "the desk says no");
      case drop:
        return;
      case throw_up:
        throw std::runtime_error("the desk fell over");
      case tell_beside: {
        const auto tenant = reply.metadata().find("tenant");
        const std::string trace = reply.trace() != nullptr ? reply.trace()->to_traceparent().substr(36) : "none";
        return reply.refuse(Code::already_exists, std::string(tenant.value_or("nobody")) + " " + trace);
      }
      case tell_time:
        return reply.send({.id = static_cast<std::uint64_t>(reply.queued().count()),
                           .desk_id = static_cast<std::uint64_t>(reply.left().count())});
      case die:
        return die_();
      case ask_back:
        return ask(order, std::move(reply));
      case push:
        return push_to(order, std::move(reply));
      case flood:
        return flood_with(order, std::move(reply));
      default:
        break;
    }
    reply.send({.id = order.id()});
  }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override { reply.send({.id = cancel.id()}); }
  // Snapshot is left to the generated answer.

 private:
  // The client that placed an order, which serves orders too.
  struct Caller {
    explicit Caller(Link of) : link(std::move(of)) {}
    Link link;
    desk::Orders::Client orders{link};
  };
  template <class T>
  Caller& caller_of(const Reply<T>& reply) {
    return *callers_.emplace_back(std::make_unique<Caller>(reply.caller()));
  }
  // Places the same order at the client, and answers what that answers.
  void ask(const desk::Order& order, Reply<desk::Ack> reply) {
    caller_of(reply)
        .orders.Place(testing::order(order.id()), {.timeout = forever})
        .then([reply = std::move(reply)](const Answer<desk::Ack>& ack) mutable {
          ack ? reply.send({.id = ack->id()}) : reply.refuse(ack.status().code(), to_text(ack.status().ran()));
        });
  }
  // Answers, and places so many orders at the client.
  void push_to(const desk::Order& order, Reply<desk::Ack> reply) {
    Caller& caller = caller_of(reply);
    reply.send({.id = order.id()});
    for (std::uint64_t i = 1; i <= order.quantity(); ++i) {
      caller.orders.Place(testing::order(order.id() + i), {.timeout = forever}).then([](const Answer<desk::Ack>&) {});
    }
  }
  // Places so many orders at the client, as fast as they are taken, and answers how many it took.
  struct Flood {
    Caller& caller;
    Reply<desk::Ack> reply;
    std::uint64_t left, under_way = 0, taken = 0;
  };
  void flood_with(const desk::Order& order, Reply<desk::Ack> reply) {
    Caller& caller = caller_of(reply);
    const auto flood = std::make_shared<Flood>(Flood{caller, std::move(reply), order.quantity()});
    for (int i = 0; i < 32; ++i) go_on(flood);
  }
  static void go_on(const std::shared_ptr<Flood>& flood) {
    if (flood->left == 0) {
      if (flood->under_way == 0 && flood->reply) flood->reply.send({.id = flood->taken});
      return;
    }
    --flood->left;
    ++flood->under_way;
    flood->caller.orders.Place(testing::order(flood->left + 1), {.timeout = forever})
        .then([flood](const Answer<desk::Ack>& ack) {
          --flood->under_way;
          ack ? ++flood->taken : ++flood->left;  // refused: the ring is full
          go_on(flood);
        });
  }

  Journal& journal_;
  std::function<void()> die_;
  std::vector<std::pair<std::uint64_t, Reply<desk::Ack>>> held_;
  std::vector<std::unique_ptr<Caller>> callers_;
};

// What a client serves: takes the orders of its server.
struct ContractListener final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    taken.push_back(order.id());
    if (holds) return held.push_back(std::move(reply));
    reply.send({.id = order.id()});
  }
  std::vector<std::uint64_t> taken;
  bool holds = false;
  std::vector<Reply<desk::Ack>> held;
};

struct ContractEcho final : echo::Echo::Service {
  void Echo(const echo::Bytes& request, Reply<echo::Bytes> reply) override {
    reply.send({.data = std::span(request.data()->data(), request.data()->size())});
  }
};

inline LogCallback silent() {
  return [](Severity, std::string_view) {};
}

// One transport as the contract sees it: a server that can be started, lost and dismissed, and a dispatcher for
// clients.
class World {
 public:
  virtual ~World() = default;
  virtual void start_server() = 0;
  virtual void lose_server() = 0;     // it dies: kill -9
  virtual void dismiss_server() = 0;  // it goes in good order
  virtual rpc::Dispatcher& client() = 0;
  [[nodiscard]] virtual std::string url() const = 0;
  // Lets the server work until `done`, without a turn of the client.
  virtual void let_server_work(const std::function<bool()>& done) = 0;

  Journal journal;
};

// A server in a process of its own and the client in this one: what most transports need.
class ProcessWorld final : public World {
 public:
  using Transports = std::vector<std::unique_ptr<rpc::Transport>>;
  ProcessWorld(std::string url, std::function<Transports()> make) : url_(std::move(url)), make_(std::move(make)) {}

  void start_server() override {
    server_.emplace([this](ChildProcess::Ready ready) {
      ContractDesk desk(journal, [] { raise(SIGKILL); });
      ContractEcho echo;
      ContractKinds kinds(journal, [] { raise(SIGKILL); });
      rpc::Dispatcher loop(make_(), {.log = silent()});
      auto listener = loop.serve(url_, desk, echo, kinds);
      if (!listener) {
        std::cerr << listener.error() << '\n';
        _exit(1);
      }
      ready();
      loop.run_until(Signals{SIGTERM});
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
