// A desk that takes orders and cancels, and keeps one book; supervisors may ask how it is.   orders_server [URL]
#include <csignal>
#include <cstdio>
#include <unordered_map>

#include "orders.taut.h"
#include "taut/health.h"
#include "taut/taut.h"

class Desk final : public desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    if (order.quantity() == 0) return reply.refuse(taut::Code::invalid_argument, "the quantity is 0");
    const auto [placed, is_new] = orders_.try_emplace(order.id(), Placed{next_++, order.quantity()});
    if (!is_new) return reply.refuse(taut::Code::already_exists, "there is an order with this id");
    reply.send({.id = order.id(), .desk_id = placed->second.desk_id, .open = placed->second.open});
  }
  void Cancel(const desk::Cancel& cancel, taut::Reply<desk::Ack> reply) override {
    const auto placed = orders_.find(cancel.id());
    if (placed == orders_.end()) return reply.refuse(taut::Code::not_found, "there is no order with this id");
    reply.send({.id = cancel.id(), .desk_id = placed->second.desk_id, .open = 0});
    orders_.erase(placed);
  }
  void Snapshot(const desk::Book& book, taut::Reply<desk::BookAck> reply) override {
    const auto& bids = *book.bids();
    const auto* asks = book.asks();  // optional: null when it is absent
    const std::uint32_t ask_count = asks != nullptr ? asks->size() : 0;
    reply.send({.seq = book.seq(),
                .levels = bids.size() + ask_count,
                .best_bid = bids.size() != 0 ? bids.Get(0)->price() : 0,
                .best_ask = ask_count != 0 ? asks->Get(0)->price() : 0});
  }

  struct Placed {
    std::uint64_t desk_id;
    std::uint32_t open;
  };
  std::unordered_map<std::uint64_t, Placed> orders_;
  std::uint64_t next_ = 1;
};

int main(int argc, char** argv) {
  Desk desk;
  taut::Health health;
  const taut::Signals stop{SIGINT, SIGTERM};  // from here on they end the loop, not the process
  taut::Dispatcher loop;
  auto listener = loop.serve(argc > 1 ? argv[1] : "shm://orders", desk, health);
  if (!listener) return taut::report(listener.error());
  std::printf("ready %s\n", listener->url());
  std::fflush(stdout);
  loop.run_until(stop);
  listener->drain();
}
