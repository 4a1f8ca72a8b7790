// Two ends of a link that stand still where a test wants to look at them.
//
//   held_desk server URL             serves desk.Orders; a Place of quantity 13 hangs in its handler until a line comes
//                                    on stdin, one of 14 is never answered, all others are answered at once
//   held_desk client URL CALL...     connects; a line on stdin later it sends the calls, and another line later it
//   polls
//
// CALL is the quantity of a Place, or `cancel`, or `book`. A client ends with its stdin, a server with SIGTERM.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "orders.taut.h"
#include "taut/taut.h"

namespace {

using namespace std::chrono_literals;

void say(const char* what) {
  std::puts(what);
  std::fflush(stdout);
}

bool next_line() {
  std::string line;
  return static_cast<bool>(std::getline(std::cin, line));
}

class Desk final : public desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    if (order.quantity() == 14) return kept_.push_back(std::move(reply));
    if (order.quantity() == 13) {
      say("held");
      if (!next_line()) std::exit(0);
    }
    reply.send({.id = order.id(), .desk_id = order.id() + 1000, .open = order.quantity()});
  }
  void Cancel(const desk::Cancel& cancel, taut::Reply<desk::Ack> reply) override {
    if (cancel.id() == 404) return reply.refuse(taut::Code::not_found, "there is no order with this id");
    reply.send({.id = cancel.id(), .desk_id = 0, .open = 0});
  }
  void Snapshot(const desk::Book& book, taut::Reply<desk::BookAck> reply) override {
    reply.send({.seq = book.seq(), .levels = book.bids()->size(), .best_bid = 0, .best_ask = 0});
  }
  std::vector<taut::Reply<desk::Ack>> kept_;
};

int serve(const char* url) {
  Desk desk;
  const taut::Signals stop{SIGTERM};
  taut::Dispatcher loop;
  auto listener = loop.serve(url, desk);
  if (!listener) return taut::report(listener.error());
  say("ready");
  loop.run_until(stop);
  return 0;
}

int call(const char* url, int count, char** calls) {
  auto link = taut::connect(url);
  if (!link) return taut::report(link.error());
  desk::Orders::Client orders{*link};
  say("connected");
  if (!next_line()) return 0;
  int open = 0;
  const auto answered = [&open](const auto&) { --open; };
  for (int i = 0; i != count; ++i) {
    const auto id = static_cast<std::uint64_t>(i) + 1;
    ++open;
    if (std::strcmp(calls[i], "cancel") == 0) {
      orders.Cancel({.id = 404}, {.timeout = 60s}).then(answered);
    } else if (std::strcmp(calls[i], "book") == 0) {
      orders.Snapshot({.seq = id, .bids = {{100, 5}, {99, 7}}, .note = "open \x1b[31m"}, {.timeout = 60s})
          .then(answered);
    } else {
      orders
          .Place({.id = id,
                  .price = 101,
                  .quantity = static_cast<std::uint32_t>(std::atoi(calls[i])),
                  .side = desk::Side::sell},
                 {.timeout = 60s})
          .then(answered);
    }
  }
  say("sent");
  if (!next_line()) return 0;
  while (open != 0) link->poll();
  say("answered");
  (void)next_line();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 3 && std::strcmp(argv[1], "server") == 0) return serve(argv[2]);
  if (argc >= 3 && std::strcmp(argv[1], "client") == 0) return call(argv[2], argc - 3, argv + 3);
  return 2;
}
