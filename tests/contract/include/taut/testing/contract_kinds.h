// The contract's service with one method of each kind of call, and what follows its streams: every item says which one
// it is and carries a checksum, so that one which is lost, doubled, torn or strayed shows.
//
// Threads  the server's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "kinds.taut.h"
#include "support/accounting/journal.h"

namespace taut::testing {

inline std::uint64_t sum_of(std::uint32_t stream, std::uint64_t number) {
  std::uint64_t mixed = (number + stream * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
  return mixed ^ mixed >> 29;
}
inline kinds::ItemInit item(std::uint32_t stream, std::uint64_t number) {
  return {.stream = stream, .number = number, .sum = sum_of(stream, number)};
}

// What has come of one stream.
struct Followed {
  std::uint32_t stream = 0;
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  std::uint64_t wrong = 0;  // not the next one, or not whole
  void take(const kinds::Item& item) {
    ++count;
    sum += item.sum();
    wrong += item.stream() != stream || item.number() != count || item.sum() != sum_of(stream, count) ? 1 : 0;
  }
};
// The sum of the items 1 to `count`.
inline std::uint64_t sum_of_all(std::uint32_t stream, std::uint64_t count) {
  std::uint64_t sum = 0;
  for (std::uint64_t number = 1; number <= count; ++number) sum += sum_of(stream, number);
  return sum;
}

// What an item asks of the server, in its stream's number.
enum Special : std::uint32_t {
  how_many_were_told = 1'000'000,  // Ask: the one-way messages that came, and how many of them were wrong
  take_what_is_kept,               // Ask: an upload of `slow` is read from now on; says how much had been kept
  slow,                            // Load: nothing is read before that
  refuse_third,                    // Load, Swap: the third item ends the call
  throw_up_at_once,                // Tell: the handler throws
  hold_up,                         // Tell: the server handles nothing more until its number was left in the journal
};

class ContractKinds final : public kinds::Kinds::Service {
 public:
  ContractKinds(Journal& journal, std::function<void()> die) : journal_(journal), die_(std::move(die)) {}

  void Ask(const kinds::Item& request, Reply<kinds::Item> reply) override {
    switch (request.stream()) {
      case how_many_were_told:
        return reply.send({.number = told_.count, .sum = told_.wrong});
      case take_what_is_kept:
        return reply.send({.number = read_slowly()});
      default:
        return reply.send(item(request.stream(), request.number()));
    }
  }
  void Tell(const kinds::Item& message, const Told&) override {
    if (message.stream() == throw_up_at_once) throw std::runtime_error("no such message");
    if (message.stream() == hold_up) return wait_for(message.number());
    told_.take(message);
    journal_.enter(message.number());
  }
  void Watch(const kinds::Wanted& wanted, Writer<kinds::Item> out) override {
    if (wanted.ending() == kinds::Ending::throw_up && wanted.count() == 0) throw std::runtime_error("no such feed");
    auto feed = std::make_shared<Feed>(
        Feed{std::move(out), wanted.stream(), wanted.ending(), wanted.first(), wanted.first() + wanted.count()});
    feed->out.on_cancel([this, number = wanted.first()] { journal_.enter(number); });
    send(feed);
  }
  void Load(Reader<kinds::Item> in, Reply<kinds::Total> reply) override {
    auto load = std::make_shared<Loading>(Loading{std::move(in), std::move(reply), {}});
    if (!load->in.pull()) return load->reply.refuse(Code::resource_exhausted, "no memory");
    read(load);
  }
  void Swap(Reader<kinds::Item> in, Writer<kinds::Item> out) override {
    auto swap = std::make_shared<Swapping>(Swapping{std::move(in), std::move(out), {}, {}});
    if (!swap->in.pull()) return swap->out.refuse(Code::resource_exhausted, "no memory");
    send_back(swap);
  }
  void Talk(Reader<kinds::Line> in, Writer<kinds::Line> out) override {
    auto answers = std::make_shared<Writer<kinds::Line>>(std::move(out));
    in.each([answers](const kinds::Line& line) {
      if (line.text()->string_view() == "throw") throw std::runtime_error("no such line");
      if (!answers->send({.number = line.number(), .text = line.text()->c_str()}))
        answers->refuse(Code::resource_exhausted, "you talk faster than you listen");
    });
    in.on_close([answers](bool complete) {
      if (complete) answers->finish();
    });
  }

 private:
  void wait_for(std::uint64_t gate) const {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!journal_.left(gate) && std::chrono::steady_clock::now() < give_up) {
    }
  }
  struct Feed {
    Writer<kinds::Item> out;
    std::uint32_t stream;
    kinds::Ending ending;
    std::uint64_t next, end;
  };
  void send(const std::shared_ptr<Feed>& feed) {
    while (feed->next != feed->end) {
      switch (feed->out.send(item(feed->stream, feed->next))) {
        case Sent::ok:
          ++feed->next;
          break;
        case Sent::no_credit:
        case Sent::ring_full:
          return feed->out.on_ready([this, feed] { send(feed); });
        default:
          return;  // it was cancelled
      }
    }
    switch (feed->ending) {
      case kinds::Ending::finish:
        return feed->out.finish();
      case kinds::Ending::refuse:
        return feed->out.refuse(Code::permission_denied, "the feed is closed");
      case kinds::Ending::throw_up:
        throw std::runtime_error("the feed fell over");
      case kinds::Ending::stay:
        staying_.push_back(feed);
        return;
      case kinds::Ending::die:
        return die_();
      case kinds::Ending::drop:
        return;
    }
  }

  struct Loading {
    Reader<kinds::Item> in;
    Reply<kinds::Total> reply;
    Followed followed;
  };
  void read(const std::shared_ptr<Loading>& load) {
    while (const kinds::Item* const item = load->in.next()) {
      if (load->followed.count == 0) load->followed.stream = item->stream();
      load->followed.take(*item);
      if (item->stream() == refuse_third && load->followed.count == 3)
        return load->reply.refuse(Code::permission_denied, "no third one");
      if (item->stream() == slow && load->followed.count == 1) return slow_.push_back(load), void();
    }
    if (!load->in.closed()) return load->in.on_change([this, load] { read(load); });
    if (load->in.complete()) {
      const Followed& all = load->followed;
      return load->reply.send({.stream = all.stream, .count = all.wrong == 0 ? all.count : 0, .sum = all.sum});
    }
    journal_.enter(load->followed.stream);
  }
  std::uint64_t read_slowly() {
    const auto loads = std::exchange(slow_, {});
    std::uint64_t before = 0;
    for (const auto& load : loads) before += load->followed.count;
    for (const auto& load : loads) read(load);
    return before;
  }

  struct Swapping {
    Reader<kinds::Item> in;
    Writer<kinds::Item> out;
    Followed followed;
    std::optional<kinds::ItemInit> held;  // read and not sent back yet
  };
  void send_back(const std::shared_ptr<Swapping>& swap) {
    while (true) {
      if (!swap->held) {
        const kinds::Item* const next = swap->in.next();
        if (next == nullptr) break;
        if (next->stream() == refuse_third && next->number() == 3)
          return swap->out.refuse(Code::permission_denied, "no third one");
        swap->held = kinds::ItemInit{.stream = next->stream(), .number = next->number(), .sum = next->sum()};
      }
      const Sent sent = swap->out.send(*swap->held);
      if (sent == Sent::over) return;
      if (sent != Sent::ok) return swap->out.on_ready([this, swap] { send_back(swap); });
      swap->held.reset();
    }
    if (!swap->in.closed()) return swap->in.on_change([this, swap] { send_back(swap); });
    if (swap->in.complete()) swap->out.finish();
  }

  Journal& journal_;
  std::function<void()> die_;
  Followed told_;
  std::vector<std::shared_ptr<Feed>> staying_;
  std::vector<std::shared_ptr<Loading>> slow_;
};

}  // namespace taut::testing
