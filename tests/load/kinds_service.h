// The server of the accounting run over all kinds of calls, in bytes: it checks what it is sent, writes down what it
// ran, and answers what can be checked. Messages are numbers, and a stream's items count from 0.
//
//   Ask    unary: {id}, answered {id, ~id}, at once or turns later
//   Tell   one-way: {number}; those of one life follow each other without a gap
//   Down   a stream of `count` items {0}, {1}, ... for {id, count}
//   Up     takes items {0}, {1}, ... and answers how many there were
//   Talk   echoes items, and ends when its caller has closed
//
// Threads  the dispatcher's. What is shared lies in memory that outlives the server.
#pragma once

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "support/accounting/journal.h"
#include "taut/rpc/dispatcher.h"
#include "taut/rpc/served_call.h"
#include "taut/rpc/service.h"

namespace taut::testing {

// What the servers of one run saw, one after the other.
struct Seen {
  std::atomic<std::uint64_t> last_told{0}, told_in_this_life{0};
  std::atomic<std::uint64_t> items{0};
  std::atomic<std::uint64_t> out_of_order{0};  // one-way messages or items: an error
};

enum KindsMethod : std::uint32_t { kAsk, kTell, kDown, kUp, kTalk };

template <class T>
T read(std::span<const std::byte> bytes, std::size_t at = 0) {
  T value{};
  if (bytes.size() >= at + sizeof value) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

inline void answer(rpc::RawReply& reply, std::initializer_list<std::uint64_t> words) {
  const auto bytes = static_cast<std::uint32_t>(words.size() * sizeof(std::uint64_t));
  std::byte* room = reply.claim(bytes);
  if (room == nullptr) return reply.refuse_too_big(bytes);
  if (bytes != 0) std::memcpy(room, words.begin(), bytes);
  reply.send(bytes);
}

inline Sent send_item(rpc::StreamEnd& stream, std::uint64_t number) {
  Sent why = Sent::ok;
  std::byte* room = stream.claim(sizeof number, why);
  if (room == nullptr) return why;
  std::memcpy(room, &number, sizeof number);
  return stream.send(sizeof number);
}

class KindsService final : public Service {
 public:
  KindsService(rpc::Dispatcher& loop, Journal& journal, Seen& seen) : loop_(loop), journal_(journal), seen_(seen) {
    seen_.told_in_this_life = 0;
  }
  [[nodiscard]] const rpc::ServiceDescription& description() const noexcept override { return described(); }

  static const rpc::ServiceDescription& described() noexcept {
    using rpc::CallKind;
    static const rpc::MethodDescription methods[] = {
        method<&KindsService::ask>("Ask", 1, CallKind::unary),
        method<&KindsService::tell>("Tell", 2, CallKind::oneway),
        method<&KindsService::down>("Down", 3, CallKind::server_stream),
        method<&KindsService::up>("Up", 4, CallKind::client_stream),
        method<&KindsService::talk>("Talk", 5, CallKind::both_ways),
    };
    static const rpc::ServiceDescription service{"load.Kinds", 0x4b1d5, methods, {}};
    return service;
  }

 private:
  // One stream that is being served. It ends when nobody is left who holds it: its own functions do.
  struct Serving {
    rpc::RawReply reply;
    rpc::StreamEnd stream;
    std::uint64_t received = 0, sent = 0, wanted = 0;
    bool closed = false;
  };
  using Handler = void (KindsService::*)(rpc::ServedCall&);

  template <Handler handler>
  static rpc::MethodDescription method(std::string_view name, std::uint16_t id, rpc::CallKind kind) {
    return {.name = name,
            .id = id,
            .kind = kind,
            .request_bound = 16,
            .reply_bound = 16,
            .request = "load.Number",
            .reply = "load.Number",
            .serve = [](Service& service, rpc::ServedCall& call) {
              call.taken();
              (static_cast<KindsService&>(service).*handler)(call);
            }};
  }

  void ask(rpc::ServedCall& call) {
    const auto id = read<std::uint64_t>(call.payload());
    journal_.enter(id);
    if (id % 8 != 0 || !loop_.post([this] { reply_to_oldest(); })) return reply_to(id, call.reply());
    held_.emplace_back(id, call.reply());
  }
  void reply_to_oldest() {
    auto [id, reply] = std::move(held_.front());
    held_.pop_front();
    reply_to(id, std::move(reply));
  }
  void reply_to(std::uint64_t id, rpc::RawReply reply) {
    answer(reply, {id, ~id});
    journal_.leave(id);
  }

  void tell(rpc::ServedCall& call) {
    const auto number = read<std::uint64_t>(call.payload());
    const std::uint64_t last = seen_.last_told.load(std::memory_order_relaxed);
    const bool first = seen_.told_in_this_life.load(std::memory_order_relaxed) == 0;
    if (first ? number <= last : number != last + 1) seen_.out_of_order.fetch_add(1, std::memory_order_relaxed);
    seen_.last_told.store(number, std::memory_order_relaxed);
    seen_.told_in_this_life.fetch_add(1, std::memory_order_relaxed);
  }

  std::shared_ptr<Serving> serve(rpc::ServedCall& call) {
    journal_.enter(read<std::uint64_t>(call.payload()));
    auto serving = std::make_shared<Serving>();
    serving->stream = call.stream({.credit = 64, .credit_bytes = 8192});
    serving->reply = call.reply();
    return serving;
  }
  void count(Serving& serving, std::span<const std::byte> item) {
    if (read<std::uint64_t>(item) != serving.received) seen_.out_of_order.fetch_add(1, std::memory_order_relaxed);
    ++serving.received;
    seen_.items.fetch_add(1, std::memory_order_relaxed);
  }

  void down(rpc::ServedCall& call) {
    const auto serving = serve(call);
    serving->wanted = read<std::uint64_t>(call.payload(), 8);
    serving->closed = true;
    go_on(serving);
  }
  // Sends what is due, as far as the stream takes it, and ends the call behind the last item.
  static void go_on(const std::shared_ptr<Serving>& serving) {
    Sent sent = Sent::ok;
    while (serving->sent != serving->wanted && (sent = send_item(serving->stream, serving->sent)) == Sent::ok) {
      ++serving->sent;
    }
    if (sent == Sent::no_credit || sent == Sent::ring_full) {
      serving->stream.on_ready([serving] { go_on(serving); });
    } else if (sent == Sent::over) {
      serving->reply = {};  // cancelled
    } else if (serving->closed && serving->reply) {
      answer(serving->reply, {});
    }
  }

  void up(rpc::ServedCall& call) {
    const auto serving = serve(call);
    serving->stream.each([this, serving](std::span<const std::byte> item) { count(*serving, item); });
    serving->stream.on_close([serving](bool complete) {
      if (complete) answer(serving->reply, {serving->received});
      serving->reply = {};
    });
  }
  void talk(rpc::ServedCall& call) {
    const auto serving = serve(call);
    serving->stream.each([this, serving](std::span<const std::byte> item) {
      count(*serving, item);
      ++serving->wanted;
      go_on(serving);
    });
    serving->stream.on_close([serving](bool complete) {
      serving->closed = true;
      if (complete) {
        go_on(serving);
      } else {
        serving->reply = {};
      }
    });
  }

  rpc::Dispatcher& loop_;
  Journal& journal_;
  Seen& seen_;
  std::deque<std::pair<std::uint64_t, rpc::RawReply>> held_;
};

}  // namespace taut::testing
