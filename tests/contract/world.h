// One transport as the contract sees it: a server that can be started, lost and dismissed, and a dispatcher for
// clients. A later transport adds one World and a line in transport_test.cpp.
#pragma once

#include <sched.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "echo.taut.h"
#include "orders.taut.h"
#include "support/accounting/journal.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "taut/loopback/loopback.h"
#include "taut/taut.h"

namespace taut::testing {

// What an order asks the server to do, in its price.
enum Wish : std::int32_t { answer, hold, release_all, refuse, drop, throw_up, die };

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
      case die:
        return die_();
      default:
        break;
    }
    reply.send({.id = order.id()});
  }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override { reply.send({.id = cancel.id()}); }
  // Snapshot is left to the generated answer.

 private:
  Journal& journal_;
  std::function<void()> die_;
  std::vector<std::pair<std::uint64_t, Reply<desk::Ack>>> held_;
};

struct ContractEcho final : echo::Echo::Service {
  void Echo(const echo::Bytes& request, Reply<echo::Bytes> reply) override {
    reply.send({.data = std::span(request.data()->data(), request.data()->size())});
  }
};

inline LogCallback silent() {
  return [](Severity, std::string_view) {};
}

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

class LoopbackWorld final : public World {
 public:
  LoopbackWorld()
      : server_(transports(), {.log = silent()}),
        client_(transports(), {.log = silent()}),
        bystander_(transports(), {.log = silent()}) {
    network_.drive(server_);
  }
  void start_server() override {
    listener_.emplace(*server_.serve(url(), desk_, echo_));
    if (!bystanding_) bystanding_.emplace(*bystander_.connect(url()));
  }
  void lose_server() override {
    listener_.reset();
    network_.cut();
  }
  void dismiss_server() override {
    listener_.reset();
    network_.say_goodbye();
  }
  rpc::Dispatcher& client() override { return client_; }
  std::string url() const override { return "loopback://desk"; }
  void let_server_work(const std::function<bool()>& done) override {
    while (!done()) bystander_.poll();
    for (int i = 0; i < 4; ++i) bystander_.poll();  // its last answers are on their way
  }

 private:
  std::vector<std::unique_ptr<rpc::Transport>> transports() {
    std::vector<std::unique_ptr<rpc::Transport>> list;
    list.push_back(network_.transport());
    return list;
  }
  loopback::Network network_;
  ContractDesk desk_{journal, [this] { lose_server(); }};
  ContractEcho echo_;
  rpc::Dispatcher server_, client_, bystander_;
  std::optional<Listener> listener_;
  std::optional<Link> bystanding_;
};

class ShmWorld final : public World {
 public:
  void start_server() override {
    server_.emplace([this](ChildProcess::Ready ready) {
      ContractDesk desk(journal, [] { raise(SIGKILL); });
      ContractEcho echo;
      Dispatcher loop({.log = silent()});
      auto listener = loop.serve(url(), desk, echo);
      if (!listener) _exit(report(listener.error()));
      ready();
      loop.run_until(Signals{SIGTERM});
    });
  }
  void lose_server() override { server_->kill(); }
  void dismiss_server() override {
    server_->signal(SIGTERM);
    server_->wait();
  }
  rpc::Dispatcher& client() override { return client_; }
  std::string url() const override { return "shm://desk"; }
  void let_server_work(const std::function<bool()>& done) override {
    while (!done()) sched_yield();
  }

 private:
  ServiceFolder folder_;
  Dispatcher client_{{.log = silent()}};
  std::optional<ChildProcess> server_;
};

}  // namespace taut::testing
