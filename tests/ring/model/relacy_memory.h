// The ring's memory for relacy, which runs two or three threads through every order of their accesses that the C++
// memory model allows, stale loads included. The templates that run on it are the ones that ship.
//
// One word is head in one lap and payload in the next. So every line is two things here: `head`, an atomic, and `line`,
// plain memory whose races relacy reports.
//   - A payload write goes to `line`, and for every line but a record's first also into `head`, as a word that looks
//     like a record: a reader that polls where it must not then finds one.
//   - A head store marks `line` as written: a plain read that is still going on races with it.
#pragma once

#include "taut/ring/board.h"
#include "taut/ring/ring.h"

// relacy's headers redefine new, delete and assert: they come last.
#include <relacy/relacy.hpp>

namespace taut::model {

using namespace taut::ring;

inline rl::memory_order relacy_order(Order order) noexcept {
  switch (order) {
    case Order::relaxed:
      return rl::mo_relaxed;
    case Order::acquire:
      return rl::mo_acquire;
    case Order::release:
      return rl::mo_release;
    case Order::seq_cst:
      return rl::mo_seq_cst;
  }
  return rl::mo_seq_cst;
}

inline constexpr u32 kJunk = 999;  // the sequence of claims that are never sent
constexpr u64 content(u32 sequence, u32 line) { return u64{sequence} * 16 + line + 1; }
constexpr u64 head_of(u32 sequence, u32 bytes) {
  return Head::make(bytes, Kind::request, 0, static_cast<u16>(sequence)).word;
}
// What a payload line leaves in the word that is a head in another lap: a record of one line with a wrong number.
constexpr u64 payload_word(u32 sequence, u32 line) { return head_of(1000 + sequence * 16 + line, kStep); }

template <u32 lines>
struct Shared {
  rl::atomic<u64> head[lines];
  rl::var<u64> line[lines];
  rl::atomic<u64> released;
  rl::atomic<u64> touched;

  Shared() {
    for (u32 i = 0; i != lines; ++i) {
      head[i].store(0, rl::mo_relaxed, $);
      line[i]($) = 0;
    }
  }

  // Last line first, as the product fills records.
  void fill(u32 at, u32 room, u32 sequence) {
    for (u32 i = room / kStep; i-- != 0;) {
      line[at / kStep + i]($) = content(sequence, i);
      if (i != 0) head[at / kStep + i].store(payload_word(sequence, i), rl::mo_relaxed, $);
    }
  }

  void check(u32 at, u32 room, u32 sequence) {
    for (u32 i = 0; i != room / kStep; ++i) RL_ASSERT(u64(line[at / kStep + i]($)) == content(sequence, i));
  }
};

// `observed` says whether somebody reads `touched`; if not, its stores would only multiply the executions.
template <u32 lines, bool observed = false>
class WriterMemory {
 public:
  explicit WriterMemory(Shared<lines>* shared) : shared_(shared) {}
  void store_head(u32 at, u64 word, Order order) noexcept {
    auto& line = shared_->line[at / kStep];
    line($) = u64(line($));
    shared_->head[at / kStep].store(word, relacy_order(order), $);
  }
  u64 load_released(Order order) const noexcept { return shared_->released.load(relacy_order(order), $); }
  void store_touched(u64 position, Order order) noexcept {
    if constexpr (observed) shared_->touched.store(position, relacy_order(order), $);
  }
  void fence(Order order) noexcept {
    if constexpr (observed) rl::atomic_thread_fence(relacy_order(order), $);
  }

 private:
  Shared<lines>* shared_;
};

template <u32 lines>
class ReaderMemory {
 public:
  explicit ReaderMemory(Shared<lines>* shared) : shared_(shared) {}
  u64 load_head(u32 at, Order order) const noexcept { return shared_->head[at / kStep].load(relacy_order(order), $); }
  void store_released(u64 position, Order order) noexcept { shared_->released.store(position, relacy_order(order), $); }

 private:
  Shared<lines>* shared_;
};

class BoardMemory {
 public:
  BoardMemory() { state_.store(0, rl::mo_relaxed, $); }
  void store_state(u64 bits, Order order) noexcept { state_.store(bits, relacy_order(order), $); }
  u64 load_state(Order order) const noexcept { return state_.load(relacy_order(order), $); }
  void fence(Order order) noexcept {
    // A mutant may ask for a relaxed fence, which is none.
    if (order != Order::relaxed) rl::atomic_thread_fence(relacy_order(order), $);
  }

 private:
  rl::atomic<u64> state_;
};

// A ring with both its ends, as the handshake leaves it: built before any thread runs.
template <u32 lines, bool observed = false>
struct Ring {
  explicit Ring(u64 first)
      : writer(WriterMemory<lines, observed>(&shared), {.ring_bytes = lines * kStep, .first = first}),
        reader(ReaderMemory<lines>(&shared), {.ring_bytes = lines * kStep, .first = first}) {}
  Shared<lines> shared;
  Writer<WriterMemory<lines, observed>> writer;
  Reader<ReaderMemory<lines>> reader;
  u32 sent = 0;
  u32 received = 0;

  Claim claim(u32 line_count) {
    for (;;) {
      const Claim claim = writer.claim(line_count * kStep);
      RL_ASSERT(claim ? claim.at + claim.room <= lines * kStep : claim.refusal == Refusal::full);
      if (claim) return claim;
      rl::yield(1, $);
    }
  }
  void send(u32 claimed, u32 line_count) {
    const Claim room = claim(claimed);
    shared.fill(room.at, room.room, sent);
    writer.send(room, {head_of(sent, line_count * kStep)});
    ++sent;
  }
  void drop(u32 claimed) {
    const Claim room = claim(claimed);
    shared.fill(room.at, room.room, kJunk);
  }
  // Whether a record came; its bytes are read once now and must still stand at give_back().
  Record receive() {
    const Record record = reader.next();
    RL_ASSERT(!reader.violated());
    if (!record) return record;
    RL_ASSERT(record.head.detail() == received);
    shared.check(reader.at(record), up(record.head.bytes()), received);
    ++received;
    return record;
  }
  void give_back(const Record& record) {
    shared.check(reader.at(record), up(record.head.bytes()), record.head.detail());
    reader.release(record.end);
  }
};

}  // namespace taut::model
