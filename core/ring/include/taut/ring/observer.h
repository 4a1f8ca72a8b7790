// Looks at the records of a ring from outside, as somebody who is neither its writer nor its reader: tools do, while
// both ends run, stand still, or are gone. Nothing is written and nobody is held up, so what is copied may be
// overwritten under the copy; each copy is held against the positions again, and says so when that happened.
//
// Threads  one; any number of observers.
// Memory   never allocates. The memory behind the policy must outlive it.
// Waits    never.
// Trust    both ends may lie in every word: a place is checked before it is read, and a walk is never longer than the
//          ring. What a record says about itself is for its user to check.
//
// A memory policy for an observer offers
//   load_head(at, order), copy(to, at, bytes), load_released(order), load_touched(order), fence(order)
#pragma once

#include "taut/ring/order.h"
#include "taut/ring/record.h"
#include "taut/ring/ring.h"

namespace taut::ring {

// What next() found.
enum class Sight : u8 {
  nothing,  // the end: no more records are committed here
  record,   // a record, copied whole
  torn,     // a record that was overwritten while it was copied; the walk goes on where the reader is now
  lie,      // what stands here cannot be a record: one of the ends breaks the rules, and the walk is over
};

struct Observed {
  Sight sight = Sight::nothing;
  Head head;
  u64 position = 0;
  u32 copied = 0;  // bytes from the record's beginning; fewer than it has where the room was smaller
};

template <class Memory>
class Observer {
 public:
  // `ring_bytes` is a power of two, >= kRingBytesMin.
  Observer(Memory memory, u32 ring_bytes) noexcept : memory_(memory), mask_(ring_bytes - 1) { begin(); }

  // The next record that the reader has not released, copied into `to` as far as `room` goes.
  Observed next(std::byte* to, u32 room) noexcept {
    Observed found = look(to, room);
    if (found.sight == Sight::nothing) return found;
    if (overwritten(found.position)) {
      begin();
      found.sight = Sight::torn;
    } else if (found.sight == Sight::lie) {
      over_ = true;
    }
    return found;
  }

  // Before the first next(): where the reader is. Behind the last: where the writer will write.
  [[nodiscard]] u64 position() const noexcept { return cursor_; }
  // What the reader had released when the walk began, or began again.
  [[nodiscard]] u64 released() const noexcept { return first_; }

 private:
  [[nodiscard]] u32 offset(u64 position) const noexcept { return static_cast<u32>(position) & mask_; }
  [[nodiscard]] u32 ring_bytes() const noexcept { return mask_ + 1; }

  void begin() noexcept {
    // Acquire, to see at least the records that were committed before these were released.
    cursor_ = first_ = memory_.load_released(Order::acquire);
    over_ = false;
  }

  Observed look(std::byte* to, u32 room) noexcept {
    Observed found{.sight = Sight::nothing, .head = {}, .position = cursor_, .copied = 0};
    if (over_) return found;
    if (first_ % kStep != 0) return found.sight = Sight::lie, found;
    Head head = load(cursor_);
    if (!head) return found;
    if (head.kind() == Kind::pad) {
      const u32 at = offset(cursor_);
      found.head = head;
      if (at == 0 || head.bytes() != ring_bytes() - at) return found.sight = Sight::lie, found;
      cursor_ += head.bytes();
      found.position = cursor_;
      head = load(cursor_);  // stored before its pad; only a lying writer leaves 0 or a second pad
    }
    found.head = head;
    const u32 bytes = head.bytes();
    const bool possible = bytes >= kHeaderMin && bytes <= ring_bytes() / 4 &&
                          up(bytes) <= ring_bytes() - offset(cursor_) && head.kind() >= Kind::request;
    // One line of a ring is never in use (I1), and a record takes one at least.
    if (!possible || cursor_ + up(bytes) - first_ >= ring_bytes()) return found.sight = Sight::lie, found;
    found.copied = bytes < room ? bytes : room;
    memory_.copy(to, offset(cursor_), found.copied);
    cursor_ += up(bytes);
    return found.sight = Sight::record, found;
  }

  // sync(commit): pairs with the release in Writer::commit(), as in Reader::next().
  [[nodiscard]] Head load(u64 position) const noexcept { return {memory_.load_head(offset(position), Order::acquire)}; }

  // May what stood at `position` have been overwritten before this call? The writer goes over it only behind the
  // reader, so what is still not released is whole; and only behind `touched`, so what was released meanwhile may be.
  [[nodiscard]] bool overwritten(u64 position) const noexcept {
    // sync(touched): pairs with the fence in Writer::touch().
    memory_.fence(Order::acquire);
    const u64 released = memory_.load_released(Order::relaxed);
    const u64 touched = memory_.load_touched(Order::relaxed);
    return static_cast<std::int64_t>(released - position) > 0 &&
           static_cast<std::int64_t>(touched - ring_bytes() - position) > 0;
  }

  Memory memory_;
  u32 mask_;
  u64 first_ = 0;
  u64 cursor_ = 0;
  bool over_ = false;
};

}  // namespace taut::ring
