// The services of the contract's server: a desk whose orders say what is to become of them, and bytes there and back.
//
// Threads  the server's.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.taut.h"
#include "orders.taut.h"
#include "support/accounting/journal.h"
#include "taut/rpc/dispatcher.h"

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
  tell_time,
  drain,
  answer_twice,
  answer_elsewhere,  // on another thread, which may not
  answer_by_post,    // which may
  wait_inside,       // for the client, which may not be waited for in a handler
};

// What a Cancel asks in its number, in millions: of its first run. Later ones answer it, as do all others.
enum First : std::uint64_t { comes_late = 1'000'000, dies = 2'000'000, lets_go = 3'000'000 };
constexpr bool is(std::uint64_t number, First first) { return number / 1'000'000 == first / 1'000'000; }
// What the journal has of a late one whose handler has heard that nobody waits.
constexpr std::uint64_t told(std::uint64_t number) { return number + 30'000; }

// What an order may do to the server that it comes to.
struct Powers {
  std::function<void()> die;
  std::function<void()> drain;
  rpc::Dispatcher* loop = nullptr;
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
  ContractDesk(Journal& journal, const Powers& powers) : journal_(journal), powers_(powers) {}
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    journal_.enter(order.id());
    switch (order.price()) {
      case hold:
        return held_.emplace_back(order.id(), std::move(reply)), void();
      case release_all:
        let_go();
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
        return powers_.die();
      case ask_back:
        return ask(order, std::move(reply));
      case push:
        return push_to(order, std::move(reply));
      case flood:
        return flood_with(order, std::move(reply));
      case drain:
        powers_.drain();
        break;
      case answer_twice:
        reply.send({.id = order.id()});
        break;
      case answer_elsewhere:
        return std::thread([id = order.id(), reply = std::move(reply)]() mutable { reply.send({.id = id}); }).join();
      case answer_by_post:
        return std::thread([this, id = order.id(), reply = std::move(reply)]() mutable {
                 (void)powers_.loop->post([id, reply = std::move(reply)]() mutable { reply.send({.id = id}); });
               })
            .join();
      case wait_inside: {
        const Status refused = caller_of(reply).orders.Place(testing::order(order.id()), taut::wait).status();
        return reply.refuse(refused.code(), to_text(refused.why()));
      }
      default:
        break;
    }
    reply.send({.id = order.id()});
  }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override {
    const std::uint64_t id = cancel.id();
    const bool again = journal_.entered(id);
    journal_.enter(id);
    if (!again && is(id, comes_late)) {
      reply.on_cancel([this, id] { hear_of_cancel(id); });
      return held_.emplace_back(id, std::move(reply)), void();
    }
    if (!again && is(id, dies)) return powers_.die();
    if (is(id, lets_go)) let_go();
    reply.send({.id = id});
  }
  // Snapshot is left to the generated answer.

 private:
  void hear_of_cancel(std::uint64_t id) {
    journal_.enter(told(id));
    std::erase_if(held_, [id](auto& held) { return held.first == id && (held.second.send({.id = id}), true); });
  }
  void let_go() {
    for (auto& [id, held] : std::exchange(held_, {})) held.send({.id = id});
  }
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
  const Powers& powers_;
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

}  // namespace taut::testing
