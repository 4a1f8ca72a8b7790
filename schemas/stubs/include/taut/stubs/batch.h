// Batch<Request, T>: requests that are worked on together, with the duty to answer each of them.
//
//   void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override { batch_.add(order, std::move(reply));
//   } taut::Batch<desk::Order, desk::Ack> batch_{loop, [this](auto entries) { match(entries); }};   // once a turn
//
//   taut::Batch<game::Input, game::View> inputs_;                        // or when the program likes: once a tick
//   inputs_.run([](std::span<taut::BatchEntry<game::Input, game::View>> entries) { ... });
//
// Threads  the dispatcher's.
// Memory   all of it when the batch is made. Requests are copied as taut::keep() copies them.
// Waits    never.
//
// A request that waits keeps its grant, as every unanswered call does, and its deadline: those whose time is over, or
// whose caller cancelled, are answered and not handed over. Entries whose replies were neither answered nor moved away
// end with `aborted`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "taut/rpc/turn_end.h"
#include "taut/stubs/message.h"
#include "taut/stubs/reply.h"

namespace taut {

struct BatchOptions {
  std::size_t requests_max = 1024;
  std::size_t bytes_max = 256 * 1024;  // of their messages, each rounded up to 16
};

// Since the batch was made.
struct BatchCounters {
  std::uint64_t added = 0;
  std::uint64_t refused = 0;  // there was no room
  std::uint64_t expired = 0;  // the deadline passed while it waited, or the caller gave it up
  std::uint64_t runs = 0;
};

// One request, until the function that got it returns.
template <class Request, class T>
class BatchEntry {
 public:
  BatchEntry(const Request& request, Reply<T> its_reply) noexcept : reply(std::move(its_reply)), request_(&request) {}
  [[nodiscard]] const Request& operator*() const noexcept { return *request_; }
  [[nodiscard]] const Request* operator->() const noexcept { return request_; }
  Reply<T> reply;

 private:
  const Request* request_;
};

template <class Request, class T>
class Batch {
 public:
  using Entry = BatchEntry<Request, T>;
  using Function = std::function<void(std::span<Entry>)>;

  // Until run().
  explicit Batch(BatchOptions options = {}) : options_(options) {
    entries_.reserve(options.requests_max);
    if (options.bytes_max != 0)
      bytes_.reset(static_cast<std::byte*>(::operator new (options.bytes_max, std::align_val_t{64})));
  }
  // `f` runs at the end of each turn that brought requests, and before, whenever they are as many as there is room for.
  // It runs like a handler: a wait in it is refused, and what it throws is logged, or goes through the add() that made
  // room by it.
  Batch(rpc::Dispatcher& loop, Function f, BatchOptions options = {}) : Batch(options) {
    each_turn_ = std::make_unique<EachTurn>(loop, *this, std::move(f));
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // Copies the request and takes the reply, which is empty for one-way messages. False: there was no room, or run() is
  // under way, and the call ends with `resource_exhausted`, ran: no.
  bool add(const Request& request, Reply<T> reply) {
    const auto* const at = reinterpret_cast<const std::byte*>(&request);
    const std::size_t bytes = (stubs::copied_bytes(at, Schema<Request>::shape()) + 15) / 16 * 16;
    if (!has_room(bytes) && each_turn_ && !running_) each_turn_->run();
    if (!has_room(bytes) || running_) [[unlikely]] {
      ++counters_.refused;
      reply.refuse(Status(Code::resource_exhausted, Ran::no, Why::none, "the server's batch is full"));
      return false;
    }
    std::byte* const to = bytes_.get() + bytes_used_;
    const std::size_t written = stubs::copy(at, Schema<Request>::shape(), to);
    bytes_used_ += bytes;
    entries_.emplace_back(*stubs::root<Request>({to, written}), std::move(reply));
    ++counters_.added;
    if (each_turn_) each_turn_->ask();
    return true;
  }

  // Hands over what waits, in the order in which it came: `f(std::span<Entry>)`, not called for nothing.
  template <class F>
  void run(F&& f) {
    if (entries_.empty() || running_) return;
    const Emptied emptied{*this};
    refuse_expired();
    if (entries_.empty()) return;
    ++counters_.runs;
    f(std::span<Entry>(entries_));
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] const BatchCounters& counters() const noexcept { return counters_; }

 private:
  class EachTurn final : public rpc::TurnEnd {
   public:
    EachTurn(rpc::Dispatcher& loop, Batch& batch, Function f) : TurnEnd(loop), batch_(batch), f_(std::move(f)) {}
    void run() { batch_.run(f_); }

   private:
    void turn_ends() override { run(); }
    Batch& batch_;
    Function f_;
  };
  // Whatever the function does, its entries are gone afterwards.
  struct Emptied {
    explicit Emptied(Batch& of) noexcept : batch(of) { batch.running_ = true; }
    ~Emptied() {
      batch.entries_.clear();
      batch.bytes_used_ = 0;
      batch.running_ = false;
    }
    Batch& batch;
  };

  [[nodiscard]] bool has_room(std::size_t bytes) const noexcept {
    return entries_.size() < options_.requests_max && bytes <= options_.bytes_max - bytes_used_;
  }
  void refuse_expired() noexcept {
    const auto expired = [&](Entry& entry) {
      if (!entry.reply) return false;  // one-way, or the reply went elsewhere
      const bool late = entry.reply.left() == Nanoseconds{0};
      if (!late && !entry.reply.cancelled()) return false;
      ++counters_.expired;
      entry.reply.refuse(
          late ? Status(Code::deadline_exceeded, Ran::no, Why::expired_in_queue, "the deadline passed in the batch")
               : Status(Code::cancelled, Ran::no, Why::cancelled, "the caller gave it up in the batch"));
      return true;
    };
    entries_.erase(std::remove_if(entries_.begin(), entries_.end(), expired), entries_.end());
  }

  const BatchOptions options_;
  std::vector<Entry> entries_;
  rpc::AlignedBytes bytes_;
  std::size_t bytes_used_ = 0;
  bool running_ = false;
  BatchCounters counters_;
  std::unique_ptr<EachTurn> each_turn_;
};

}  // namespace taut
