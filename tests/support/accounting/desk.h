// The server of the accounting load: answers each order with the checksum of what it read, keeps a journal, and holds
// some answers back until a later turn. Id 0 is for calls that nobody accounts for. `Hooks` are where a test
// interferes: they see the id of each call.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "checksum.h"
#include "journal.h"
#include "taut/taut.h"

namespace taut::testing {

struct Hooks {
  std::function<void(std::uint64_t id)> before_entry;  // the mark is set, the journal knows nothing
  std::function<void(std::uint64_t id)> in_handler;    // entered, not answered
  std::function<void(std::uint64_t id)> after_answer;  // answered, though perhaps not yet visible
};

class Desk final : public desk::Orders::Service {
 public:
  // One order in `deferred_one_in` is answered in a later turn; 0: none.
  Desk(rpc::Dispatcher& loop, Journal& journal, Hooks hooks = {}, std::uint64_t deferred_one_in = 8)
      : loop_(loop), journal_(journal), hooks_(std::move(hooks)), deferred_one_in_(deferred_one_in) {}

  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    const Run run(*this, order.id());
    const Later answer{order.id(), checksum(order), order.quantity()};
    if (deferred_one_in_ != 0 && order.id() % deferred_one_in_ == 0 && loop_.post([this] { answer_oldest(); })) {
      held_.emplace_back(answer, std::move(reply));
    } else {
      reply.send({.id = answer.id, .desk_id = answer.sum, .open = answer.open});
    }
  }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override {
    const Run run(*this, cancel.id());
    reply.send({.id = cancel.id(), .desk_id = checksum(cancel)});
  }
  void Snapshot(const desk::Book& book, Reply<desk::BookAck> reply) override {
    const Run run(*this, book.seq());
    const std::uint64_t sum = checksum(book);
    reply.send({.seq = book.seq(),
                .levels = book.bids()->size(),
                .best_bid = static_cast<std::int32_t>(sum),
                .best_ask = static_cast<std::int32_t>(sum >> 32)});
  }

 private:
  struct Later {
    std::uint64_t id, sum;
    std::uint32_t open;
  };
  // Entry, exit and the hooks of one handler.
  struct Run {
    Run(Desk& desk, std::uint64_t id) : desk(desk), id(id) {
      if (desk.hooks_.before_entry) desk.hooks_.before_entry(id);
      if (id != 0) desk.journal_.enter(id);
      if (desk.hooks_.in_handler) desk.hooks_.in_handler(id);
    }
    ~Run() {
      if (id != 0) desk.journal_.leave(id);
      if (desk.hooks_.after_answer) desk.hooks_.after_answer(id);
    }
    Desk& desk;
    std::uint64_t id;
  };
  void answer_oldest() {
    auto [answer, reply] = std::move(held_.front());
    held_.pop_front();
    reply.send({.id = answer.id, .desk_id = answer.sum, .open = answer.open});
  }

  rpc::Dispatcher& loop_;
  Journal& journal_;
  Hooks hooks_;
  std::uint64_t deferred_one_in_;
  std::deque<std::pair<Later, Reply<desk::Ack>>> held_;
};

}  // namespace taut::testing
