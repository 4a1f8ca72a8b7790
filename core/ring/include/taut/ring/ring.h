// One writer hands records of any size to one reader through memory that two processes share.
// One direction of one lane. The steps are docs/design.md's; the orderings are argued in docs/memory-model.md.
//
// Threads  Writer: one thread. Reader: one thread.
// Memory   never allocates. The memory behind the policy must outlive both ends.
// Waits    never. A full ring gives an empty Claim; an empty ring gives an empty Record.
// Trust    what the other end wrote is input: it is read once, checked against private bounds, and never asserted.
//
// I1  published <= rpos <= pos <= published + ring_bytes - 64, as 64-bit positions that may wrap.
// I2  The head at the writer's `pos` is 0 in the writer's order whenever no record is committed there; the successor
//     of every committed record was zeroed before that commit.
// I3  A record never crosses the end of the ring.
// I4  One writer per word: the Writer stores records and `touched`, the Reader stores `released`.
// I5  The reader touches a record only behind an acquired head that is not 0; the writer touches only what
//     the reader released.
// I6  Each head is loaded once per record.
#pragma once

#include "taut/ring/order.h"
#include "taut/ring/record.h"

namespace taut::ring {

// Sizes of one ring, agreed when the link is made and private to each end from then on.
struct Shape {
  u32 ring_bytes;  // a power of two, >= kRingBytesMin
  u64 first;       // the position of the first record: a multiple of 64
  [[nodiscard]] constexpr u32 record_bytes_max() const noexcept { return ring_bytes / 4; }
};
inline constexpr u32 kRingBytesMin = 4096;
inline constexpr u32 kRingBytesMax = 1u << 30;

enum class Refusal : u8 { none, too_big, full, violation };

// Room for one record, between claim() and send(). Dropping it changes nothing in shared memory.
struct Claim {
  u32 at = 0;    // offset of the record in the ring
  u32 room = 0;  // bytes that the record may take, a multiple of 64
  u32 pad = 0;   // bytes skipped before it, so that it does not cross the end
  Refusal refusal = Refusal::full;
  explicit operator bool() const noexcept { return refusal == Refusal::none; }
};

// One record that the reader found. `end` is the position behind it: hand it to release(). Two words, so that it stays
// in registers wherever it goes.
struct Record {
  Head head;
  u64 end = 0;
  explicit operator bool() const noexcept { return static_cast<bool>(head); }
};

// A memory policy for the writing end offers
//   store_head(at, word, order), load_released(order), store_touched(position, order), fence(order)
// and, for send_copy() and send_in_place(), bytes(at).
template <class Memory>
class Writer {
 public:
  Writer(Memory memory, Shape shape) noexcept
      : memory_(memory), mask_(shape.ring_bytes - 1), pos_(shape.first), seen_(shape.first), touched_(shape.first) {
    memory_.store_touched(touched_, Order::relaxed);  // before the link is announced: nobody reads yet
  }

  // Room for a record of `bytes` with its header, leaving `reserve` bytes free behind it.
  // At most one claim may be open.
  [[gnu::always_inline]] Claim claim(u32 bytes, u32 reserve = 0) noexcept {
    // As up(), except that 0 becomes more than any ring holds, so that claim_slowly() refuses it too.
    const u64 room = u64{(bytes - 1) | (kStep - 1)} + 1;
    // One comparison for the usual case: `runway_` is within every limit that claim_slowly() knows.
    if (room + kStep + reserve <= runway_) [[likely]] {
      return {.at = offset(pos_), .room = static_cast<u32>(room), .pad = 0, .refusal = Refusal::none};
    }
    return claim_slowly(bytes, reserve);
  }

  // Commits the record of `claim` with this head, whose bytes may be fewer than were claimed.
  // Every byte behind the head word must be in place.
  [[gnu::always_inline]] void send(const Claim& claim, Head head) noexcept {
    end_record(claim, head);
    commit_record(claim, head);
  }

  // The same for a record that was written elsewhere: `bytes` is its image with room for whole lines, and `header` are
  // the words behind the head word. A reader that waits looks at the head's line all the time and takes it away from a
  // writer that is not done with it; so that line is written last and in one go.
  template <class... Words>
  [[gnu::always_inline]] void send_copy(const Claim& claim, Head head, const std::byte* bytes,
                                        Words... header) noexcept {
    end_record(claim, head);
    std::byte* to = memory_.bytes(claim.at);
    for (u32 line = up(head.bytes()) - kStep; line != 0; line -= kStep) copy<kStep>(to + line, bytes + line);
    constexpr u32 kWords = (1 + sizeof...(header)) * sizeof(u64);
    copy<kStep - kWords>(to + kWords, bytes + kWords);
    write_header(to, header...);
    commit_record(claim, head);
  }
  // And for one whose payload is in place, and whose header is not.
  template <class... Words>
  [[gnu::always_inline]] void send_in_place(const Claim& claim, Head head, Words... header) noexcept {
    write_header(memory_.bytes(claim.at), header...);
    send(claim, head);
  }

  // Between begin_batch() and end_batch() nothing that was sent is visible; end_batch() shows it all with one store.
  void begin_batch() noexcept { batching_ = true; }
  // Is something held back? Then nobody looks at what is written now.
  [[nodiscard]] bool unseen() const noexcept { return held_word_ != 0; }
  void end_batch() noexcept {
    batching_ = false;
    if (held_word_ == 0) return;
    // sync(commit): as in commit(); the records behind the first were stored before it.
    memory_.store_head(held_at_, held_word_, Order::release);
    held_word_ = 0;
  }

  // Would `bytes` more, beyond the one line that is always kept, still be free? Asks the reader's counter only when
  // the last answer of it says no. False also when that counter is impossible: the next claim then says violation.
  [[nodiscard]] bool has_free(u64 bytes) noexcept {
    return pos_ + kStep + bytes - seen_ <= ring_bytes() || refresh(kStep + bytes) == Refusal::none;
  }

  [[nodiscard]] u64 position() const noexcept { return pos_; }
  [[nodiscard]] u32 ring_bytes() const noexcept { return mask_ + 1; }
  [[nodiscard]] Memory& memory() noexcept { return memory_; }

 private:
  [[nodiscard]] u32 offset(u64 position) const noexcept { return static_cast<u32>(position) & mask_; }

  [[gnu::noinline]] Claim claim_slowly(u32 bytes, u32 reserve) noexcept {
    const u32 room = up(bytes);
    if (bytes == 0 || room > ring_bytes() / 4 || room < bytes) return {.refusal = Refusal::too_big};
    const u32 at = offset(pos_);
    const u32 left = ring_bytes() - at;
    const u32 pad = room <= left ? 0 : left;
    const u64 needed = u64{pad} + room + kStep + reserve;
    if (pos_ + needed - seen_ > ring_bytes()) {
      if (const Refusal refusal = refresh(needed); refusal != Refusal::none) return {.refusal = refusal};
    }
    touch(pos_ + pad + room + kStep);
    // No runway across the end: a claim that follows this one, if it is dropped, needs the pad too (I3).
    runway_ = pad != 0 ? 0 : runway(left);
    return {.at = pad == 0 ? at : 0, .room = room, .pad = pad, .refusal = Refusal::none};
  }

  // How far the next claims may go without asking again: up to the end of the ring, to what the reader released, to
  // what was announced as touched, and never for a record above a quarter.
  [[nodiscard]] u64 runway(u32 left_in_ring) const noexcept {
    const u64 limits[] = {left_in_ring, seen_ + ring_bytes() - pos_, touched_ - pos_, ring_bytes() / 4};
    u64 least = limits[0];
    for (const u64 limit : limits) least = limit < least ? limit : least;
    return least;
  }

  // Reads how far the reader released, which is a hint of the other process: it must lie in [seen, pos].
  [[gnu::noinline]] Refusal refresh(u64 needed) noexcept {
    // sync(released): pairs with the release in Reader::publish(). What the reader read before it published is over,
    // so its bytes may be written again.
    const u64 released = memory_.load_released(Order::acquire);
    if (released - seen_ > pos_ - seen_ || released % kStep != 0) return Refusal::violation;
    seen_ = released;
    return pos_ + needed - seen_ > ring_bytes() ? Refusal::full : Refusal::none;
  }

  // sync(touched): observers copy records first and read `touched` afterwards; what lies more than a ring behind it may
  // be torn. It moves a quarter ahead, so the store and its fence come once per quarter.
  void touch(u64 end) noexcept {
    if (static_cast<std::int64_t>(end - touched_) <= 0) return;
    const u64 quarter = ring_bytes() / 4;
    touched_ = (end + quarter - 1) & ~(quarter - 1);
    memory_.store_touched(touched_, Order::relaxed);
    memory_.fence(Order::release);
  }

  static u32 advance_of(const Claim& claim, Head head) noexcept { return claim.pad + up(head.bytes()); }

  template <class... Words>
  static void write_header(std::byte* record, Words... words) noexcept {
    u64* word = reinterpret_cast<u64*>(record);
    ((*++word = words), ...);
  }

  template <u32 bytes>
  static void copy(std::byte* to, const std::byte* from) noexcept {
    __builtin_memcpy(to, from, bytes);
  }

  // Always, also after a shrink: keeps I2. Relaxed, since the commit behind it releases it.
  [[gnu::always_inline]] void end_record(const Claim& claim, Head head) noexcept {
    memory_.store_head(offset(pos_ + advance_of(claim, head)), 0, Order::relaxed);
  }

  [[gnu::always_inline]] void commit_record(const Claim& claim, Head head) noexcept {
    const u32 advance = advance_of(claim, head);
    if (claim.pad != 0) [[unlikely]] {
      // The pad leads the reader to the record, so it is committed last; until then the record is not reachable.
      memory_.store_head(claim.at, head.word, Order::relaxed);
      head = Head::make(claim.pad, Kind::pad);
      runway_ = advance;  // none is left behind a pad: the end of the ring and every other limit lie elsewhere now
    }
    commit(offset(pos_), head.word);
    pos_ += advance;
    runway_ -= advance;
  }

  [[gnu::always_inline]] void commit(u32 at, u64 word) noexcept {
    if (batching_ && held_word_ == 0) {
      held_at_ = at;
      held_word_ = word;
      return;
    }
    // sync(commit): pairs with the acquire in Reader::next(). Whoever sees the head sees the record's bytes, and a zero
    // head behind it. Inside a batch the first head is still 0, so nobody gets here before end_batch().
    memory_.store_head(at, word, Order::release);
  }

  Memory memory_;
  u32 mask_;
  u64 pos_;
  u64 seen_;  // the reader's counter, as last read and found possible
  u64 touched_;
  u64 runway_ = 0;  // bytes from pos_ that need no further question
  u64 held_word_ = 0;
  u32 held_at_ = 0;
  bool batching_ = false;
};

// A memory policy for the reading end offers
//   load_head(at, order), store_released(position, order)
// and, for bytes() of a record, bytes(at), and for read_ahead(), prefetch(at).
template <class Memory>
class Reader {
 public:
  Reader(Memory memory, Shape shape) noexcept
      : memory_(memory),
        mask_(shape.ring_bytes - 1),
        bytes_max_(shape.record_bytes_max() - kHeaderMin + 1),
        cursor_(shape.first),
        rpos_(shape.first),
        published_(shape.first) {
    memory_.store_released(published_, Order::relaxed);  // before the link is announced: nobody reads yet
  }

  // The next record, or none. The bytes stay in place until release(); a caller may read several before it
  // releases the first. After a violation there is no next record: violated() says so.
  [[gnu::always_inline]] Record next() noexcept {
    const u32 at = offset(cursor_);
    // sync(commit): pairs with the release in Writer::commit().
    const Head head{memory_.load_head(at, Order::acquire)};
    if (!head) return {};
    const u32 bytes = head.bytes();
    // The usual kinds, of a possible size, not across the end (I3): `bytes_max_` is 0 behind a violation.
    if (u8(head.kind_byte() - u8(Kind::request)) < kKindCount - u8(Kind::request) && bytes - kHeaderMin < bytes_max_ &&
        at + up(bytes) <= ring_bytes()) [[likely]] {
      cursor_ += up(bytes);
      return {head, cursor_};
    }
    return next_slowly(head);
  }

  // Where the record lies in the ring, and its bytes there.
  [[nodiscard]] u32 at(Record record) const noexcept { return offset(record.end - up(record.head.bytes())); }
  [[nodiscard]] const std::byte* bytes(Record record) const noexcept { return memory_.bytes(at(record)); }

  // Gives back everything before `end`, in ring order. The writer hears of it a quarter of the ring later, or at
  // idle().
  void release(u64 end) noexcept {
    rpos_ = end;
    if (rpos_ - published_ >= ring_bytes() / 4) publish();
  }

  // To be called by a poll that found nothing: a quarter held back plus one large record would be a livelock.
  void idle() noexcept {
    if (rpos_ != published_) publish();
  }

  void publish() noexcept {
    published_ = rpos_;
    // sync(released): pairs with the acquire in Writer::refresh(). The reads of the released records are over.
    memory_.store_released(published_, Order::release);
  }

  // Whether a record waits; for a reader about to sleep, behind the fence of announce_sleep() (board.h).
  [[nodiscard]] bool waiting() const noexcept { return memory_.load_head(offset(cursor_), Order::relaxed) != 0; }

  // For records of one line that come in floods: asks for the line that will be read kAsksAhead later, which takes 50
  // to 250 ns to come from the other core. Only when the writer is past the next two: a line that it is at work on
  // would be taken from it.
  void read_ahead() const noexcept {
    if (memory_.load_head(offset(cursor_ + 2 * kStep), Order::relaxed) == 0) return;
    memory_.prefetch(offset(cursor_ + kAsksAhead));
  }

  // Where a position lies in the ring.
  [[nodiscard]] u32 place(u64 position) const noexcept { return offset(position); }
  // The place of the head that next() will load.
  [[nodiscard]] u32 next_at() const noexcept { return offset(cursor_); }

  [[nodiscard]] bool violated() const noexcept { return bytes_max_ == 0; }
  // For an owner that found a lie which the ring cannot see: there is no next record any more.
  void stop() noexcept { bytes_max_ = 0; }
  [[nodiscard]] u64 position() const noexcept { return rpos_; }
  // Behind the last record that next() gave out.
  [[nodiscard]] u64 read_to() const noexcept { return cursor_; }
  [[nodiscard]] u32 ring_bytes() const noexcept { return mask_ + 1; }
  [[nodiscard]] const Memory& memory() const noexcept { return memory_; }

 private:
  [[nodiscard]] u32 offset(u64 position) const noexcept { return static_cast<u32>(position) & mask_; }

  // A pad, a kind that may be skipped, or a lie.
  [[gnu::noinline]] Record next_slowly(Head head) noexcept {
    if (head.kind() == Kind::pad) {
      const u32 at = offset(cursor_);
      if (at == 0 || head.bytes() != ring_bytes() - at || violated()) return violation();
      cursor_ += head.bytes();
      // sync(commit): the record was stored before its pad was released, so it is here; only a lying writer leaves 0.
      head.word = memory_.load_head(0, Order::acquire);
    }
    const u32 at = offset(cursor_);
    const u32 bytes = head.bytes();
    if (bytes - kHeaderMin >= bytes_max_ || up(bytes) > ring_bytes() - at || !known(head.kind_byte())) {
      return violation();
    }
    cursor_ += up(bytes);
    return {head, cursor_};
  }

  static constexpr bool known(u8 kind) noexcept {
    return (kind >= static_cast<u8>(Kind::request) && kind < kKindCount) || (kind & kKindMayBeSkipped) != 0;
  }

  Record violation() noexcept {
    bytes_max_ = 0;
    return {};
  }

  static constexpr u64 kAsksAhead = 16 * kStep;

  Memory memory_;
  u32 mask_;
  u32 bytes_max_;  // most bytes of a record beyond the shortest header, plus one; 0 behind a violation
  u64 cursor_;     // the next head to load
  u64 rpos_;       // the first byte not yet released
  u64 published_;  // as the writer knows it
};

}  // namespace taut::ring
