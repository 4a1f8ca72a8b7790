// One direction of one lane of a loopback link: reads what one end wrote into its outgoing ring and writes it into the
// incoming ring of the other end, with the faults that the seed asks for.
#pragma once

#include <cstring>
#include <deque>
#include <memory>
#include <random>

#include "taut/loopback/loopback.h"

namespace taut::loopback {

// A ring in private memory, aligned like a mapped one.
struct RingBytes {
  explicit RingBytes(std::size_t bytes) : bytes_(new (std::align_val_t{4096}) std::byte[bytes]()) {}
  struct Free {
    void operator()(std::byte* bytes) const noexcept { ::operator delete[](bytes, std::align_val_t{4096}); }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
};

// What one end sees of one lane.
struct Side {
  explicit Side(std::size_t ring_bytes) : out(ring_bytes), in(ring_bytes) {}
  RingBytes out, in;
  ring::LaneWords own{}, peer{};
  [[nodiscard]] ring::LaneMemory memory() { return {out.bytes_.get(), in.bytes_.get(), &own, &peer}; }
};

class Pipe {
 public:
  Pipe(Side& from, Side& to, ring::Shape shape)
      : from_(from),
        to_(to),
        reader_({from.out.bytes_.get(), &from.peer.released}, shape),
        writer_({to.in.bytes_.get(), &to.peer.touched, &to.own.released}, shape) {
    from.peer.taken.position.store(shape.first, std::memory_order_relaxed);
  }

  enum class Moved { nothing, some, disconnect };
  // Moves what has arrived by `now`.
  [[gnu::always_inline]] Moved move(const Faults& faults, std::mt19937_64& random, Ticks now, const Clock& clock) {
    Moved moved = Moved::nothing;
    follow_taken();
    while (true) {
      if (!next_) {
        next_ = reader_.next();
        if (!next_) break;
        due_ = roll(faults.late, random) ? now + clock.to_ticks(faults.delay) : 0;
      }
      if (now < due_) break;
      if (roll(faults.disconnect, random)) return Moved::disconnect;
      if (!roll(faults.drop, random) && !deliver(roll(faults.truncate, random))) break;
      reader_.release(next_.end);
      next_ = {};
      moved = Moved::some;
    }
    if (!next_) reader_.idle();
    return moved;
  }

  // The receiver's mark, translated into the sender's positions: they differ once a record was dropped or cut.
  void follow_taken() {
    const ring::u64 taken = to_.own.taken.position.load(std::memory_order_relaxed);
    while (!moved_.empty() && static_cast<std::int64_t>(taken - moved_.front().there) >= 0) {
      from_.peer.taken.position.store(moved_.front().here, std::memory_order_relaxed);
      moved_.pop_front();
    }
  }

 private:
  static bool roll(double chance, std::mt19937_64& random) {
    return chance > 0 && std::uniform_real_distribution<>(0, 1)(random) < chance;
  }

  // False when the ring of the other end is full: the record waits.
  bool deliver(bool truncated) {
    ring::u32 bytes = next_.head.bytes();
    const bool asks = next_.head.kind() == ring::Kind::request || next_.head.kind() == ring::Kind::oneway;
    const bool is_request = next_.head.kind() == ring::Kind::request;
    const ring::u32 header = is_request ? sizeof(ring::RequestHeader) : sizeof(ring::ReplyHeader);
    if (truncated && bytes > header) bytes = header + (bytes - header) / 2;
    const ring::Claim claim = writer_.claim(bytes);
    if (!claim) return false;
    std::memcpy(writer_.memory().bytes(claim.at) + 8, reader_.bytes(next_) + 8, bytes - 8);
    writer_.send(claim, ring::Head{(next_.head.word & ~ring::u64{0xffffffff}) | bytes});
    if (asks) moved_.push_back({next_.end, writer_.position()});  // only these are marked as taken
    return true;
  }

  struct Position {
    ring::u64 here, there;
  };
  Side& from_;
  Side& to_;
  ring::Reader<ring::NativeReaderMemory> reader_;
  ring::Writer<ring::NativeWriterMemory> writer_;
  ring::Record next_;
  Ticks due_ = 0;
  std::deque<Position> moved_;
};

}  // namespace taut::loopback
