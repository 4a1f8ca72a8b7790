// The three services. Each is served by a program of its own; a test can join them in one thread just as well.
#pragma once

#include <limits>
#include <unordered_map>
#include <utility>

#include "book.h"
#include "taut/taut.h"
#include "trade.taut.h"

namespace order_gateway {

// Matches orders. The only one that knows the book.
class Engine final : public trade::Engine::Service {
 public:
  void Place(const trade::Order& order, taut::Reply<trade::Report> reply) override {
    if (order.quantity() == 0) return reply.refuse(taut::Code::invalid_argument, "the quantity is 0");
    const auto placed = book_.place({.id = order.id(),
                                     .price = order.price(),
                                     .quantity = order.quantity(),
                                     .side = order.side() == trade::Side::buy ? Book::Side::buy : Book::Side::sell});
    if (!placed) return reply.refuse(taut::Code::already_exists, "there was an order with this id");
    reply.send({.id = order.id(), .filled = placed->filled, .resting = placed->resting});
  }
  void Cancel(const trade::OrderId& order, taut::Reply<trade::Cancelled> reply) override {
    const auto quantity = book_.cancel(order.id());
    if (!quantity) return reply.refuse(taut::Code::not_found, "nothing of this order is in the book");
    reply.send({.id = order.id(), .quantity = *quantity});
  }
  void Sum(const trade::Nothing&, taut::Reply<trade::Totals> reply) override {
    reply.send({.orders = book_.count(),
                .placed = book_.placed(),
                .traded = book_.traded(),
                .resting = book_.resting(),
                .cancelled = book_.cancelled(),
                .best_bid = book_.best_bid().value_or(std::numeric_limits<std::int32_t>::min()),
                .best_ask = book_.best_ask().value_or(std::numeric_limits<std::int32_t>::max())});
  }

 private:
  Book book_;
};

// Limits what an account may have ordered.
class Risk final : public trade::Risk::Service {
 public:
  explicit Risk(std::uint64_t limit) : limit_(limit) {}

  void Reserve(const trade::Amount& amount, taut::Reply<trade::Exposure> reply) override {
    std::uint64_t& exposure = accounts_[amount.account()];
    if (exposure + amount.quantity() > limit_) {
      ++refused_;
      return reply.refuse(taut::Code::resource_exhausted, "the account is at its limit");
    }
    exposure += amount.quantity();
    total_ += amount.quantity();
    reply.send({.account = amount.account(), .quantity = exposure});
  }
  void Release(const trade::Amount& amount, taut::Reply<trade::Exposure> reply) override {
    std::uint64_t& exposure = accounts_[amount.account()];
    if (amount.quantity() > exposure) return reply.refuse(taut::Code::out_of_range, "more than was reserved");
    exposure -= amount.quantity();
    total_ -= amount.quantity();
    reply.send({.account = amount.account(), .quantity = exposure});
  }
  void Sum(const trade::Nothing&, taut::Reply<trade::RiskTotals> reply) override {
    reply.send({.quantity = total_, .refused = refused_});
  }

 private:
  const std::uint64_t limit_;
  std::uint64_t total_ = 0, refused_ = 0;
  std::unordered_map<std::uint32_t, std::uint64_t> accounts_;
};

// Reserves, then places; gives the reservation back when the order is certainly not in the book. An order whose fate is
// unknown keeps its reservation: too little risk is the wrong side to err on.
class Gateway final : public trade::Gateway::Service {
 public:
  Gateway(taut::Link& risk, taut::Link& engine) : risk_(risk), engine_(engine) {}

  void Place(const trade::Order& order, taut::Reply<trade::Report> reply) override {
    const Ticket ticket{order.id(), order.account(), order.price(), order.quantity(), order.side()};
    risk_.Reserve({.account = ticket.account, .quantity = ticket.quantity}, {.timeout = reply.left()})
        .then([this, ticket, reply = std::move(reply)](const taut::Answer<trade::Exposure>& reserved) mutable {
          if (!reserved) return reply.refuse(reserved.status().code(), reserved.status().text());
          place(ticket, std::move(reply));
        });
  }

  void Cancel(const trade::OrderId& order, taut::Reply<trade::Cancelled> reply) override {
    engine_.Cancel({.id = order.id(), .account = order.account()}, {.timeout = reply.left()})
        .then([this, account = order.account(),
               reply = std::move(reply)](const taut::Answer<trade::Cancelled>& cancelled) mutable {
          if (!cancelled) return reply.refuse(cancelled.status().code(), cancelled.status().text());
          release(account, cancelled->quantity(),
                  [id = cancelled->id(), quantity = cancelled->quantity(), reply = std::move(reply)]() mutable {
                    reply.send({.id = id, .quantity = quantity});
                  });
        });
  }

 private:
  // What is needed of an order after its handler has returned: with the reply it fits a callback, so nothing allocates.
  struct Ticket {
    std::uint64_t id;
    std::uint32_t account;
    std::int32_t price;
    std::uint32_t quantity;
    trade::Side side;
  };

  void place(const Ticket& ticket, taut::Reply<trade::Report> reply) {
    engine_
        .Place({.id = ticket.id,
                .account = ticket.account,
                .price = ticket.price,
                .quantity = ticket.quantity,
                .side = ticket.side},
               {.timeout = reply.left()})
        .then([this, ticket, reply = std::move(reply)](const taut::Answer<trade::Report>& report) mutable {
          if (report) return reply.send({.id = report->id(), .filled = report->filled(), .resting = report->resting()});
          const taut::Status& status = report.status();
          // `ran: yes` without an answer, or with a refusal of the engine itself, which has not taken the order then.
          const bool refused = status.ran() == taut::Ran::yes && status.why() == taut::Why::none;
          if (!refused && status.ran() != taut::Ran::no)
            return reply.refuse(taut::Code::unknown, "the engine is gone: the order may stand in the book");
          release(ticket.account, ticket.quantity, [code = status.code(), reply = std::move(reply)]() mutable {
            reply.refuse(code, "the engine did not take the order");
          });
        });
  }

  // `then` answers the trader: behind the release, so that a gateway that drains leaves none on the way. One that fails
  // leaves the account with less than it may have, never with more.
  template <class Then>
  void release(std::uint32_t account, std::uint32_t quantity, Then then) {
    risk_.Release({.account = account, .quantity = quantity})
        .then([then = std::move(then)](const taut::Answer<trade::Exposure>&) mutable { then(); });
  }

  trade::Risk::Client risk_;
  trade::Engine::Client engine_;
};

}  // namespace order_gateway
