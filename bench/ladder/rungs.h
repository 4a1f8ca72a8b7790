// The trial call of the ladder: one typed order entry and its answer, hand-written, with every feature of the product
// as a rung that can be left out. Each rung includes those before it, so the difference of two rows is the price of one
// feature. Not part of the library: as the product's parts take over, the last row (the product) is held against these.
#pragma once

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "taut/base/clock.h"
#include "taut/ring/board.h"
#include "taut/ring/lane.h"
#include "taut/ring/ring.h"

namespace ladder {

using namespace taut::ring;
using taut::Clock;
using taut::Ticks;

enum Rung : int {
  raw_record,     // 56 bytes out, 40 back, through a ring whose record carries its own commit word
  image,          // written forward as FlatBuffers: constant image, values over it
  check,          // compared with the image by the reader; enum in range; all fields read
  private_copy,   // copied out of the ring before the check
  dispatch,       // method index masked and bounds-checked, handler through a table
  pending,        // call ids, rows, callback
  stamp,          // send stamp, budget, deadline against a clock read on empty polls
  taken,          // mark stored before the handler
  counters,       // four counters a call
  urgent_lane,    // looked at before every record
  bell,           // fence and board behind the last commit of a turn: the peer may sleep
  idle_links,     // two more links polled every turn
  control_plane,  // an epoll_wait(0) a millisecond
  rung_count
};
inline constexpr std::array<std::string_view, rung_count> kNames = {
    "raw record", "image",    "check",       "private copy", "dispatch",       "pending table", "stamp and budget",
    "taken mark", "counters", "urgent lane", "bell",         "two idle links", "control plane"};

inline constexpr u32 kRingBytes = 64 * 1024;
inline constexpr u32 kUrgentBytes = 8 * 1024;
inline constexpr Shape kShape{kRingBytes, 64 * 12347};
inline constexpr Shape kUrgentShape{kUrgentBytes, 64 * 977};

// One direction of one link in shared memory.
struct Way {
  alignas(4096) std::byte ring[kRingBytes];
  alignas(4096) std::byte urgent[kUrgentBytes];
  LaneWords words[2];  // words[n].touched: of this way's writer; .released: of its reader
  alignas(128) std::array<SharedWord, 8> counts;
  alignas(128) SharedWord board;
};
struct Shared {
  Way there[3];  // a live link and two idle ones
  Way back[3];
};

struct BoardMemory {
  const SharedWord* peer;
  void fence(Order) const noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
  [[nodiscard]] u64 load_state(Order) const noexcept { return peer->load(std::memory_order_relaxed); }
};

// What travels: FlatBuffers of a table with these fields, laid out as the generator does it.
struct Order56 {  // root 4, vtable 4+2*5 pad 2, table: soffset, quantity, id, price, key[16], side
  u32 root;
  std::uint16_t vtable[7];
  std::uint16_t unused;
  std::int32_t soffset;
  u32 quantity;
  u64 id;
  std::int64_t price;
  u64 symbol;
  u64 side;
};
static_assert(sizeof(Order56) == 64 || sizeof(Order56) == 56 + 8);
struct Ack40 {
  u32 root;
  std::uint16_t vtable[5];
  std::uint16_t unused;
  std::int32_t soffset;
  u32 state;
  u64 id;
  u64 sum;
};
static_assert(sizeof(Ack40) == 40);
inline constexpr Order56 kOrderImage{20, {14, 44, 8, 16, 24, 4, 40}, 0, 16, 0, 0, 0, 0, 0};
inline constexpr Ack40 kAckImage{16, {10, 24, 8, 16, 4}, 0, 12, 0, 0, 0};

template <class Image>
bool same_prefix(const Image& message, const Image& image, std::size_t bytes) noexcept {
  u64 difference = 0;
  for (std::size_t i = 0; i < bytes; i += 8) {
    u64 a, b;
    std::memcpy(&a, reinterpret_cast<const char*>(&message) + i, 8);
    std::memcpy(&b, reinterpret_cast<const char*>(&image) + i, 8);
    difference |= a ^ b;
  }
  return difference == 0;
}

inline void opaque_lines(std::byte* to, const std::byte* from, u32 bytes) noexcept {
  for (u32 i = 0; i < bytes; i += 64) std::memcpy(to + i, from + i, 64);
  asm volatile("" : : "r"(to) : "memory");
}

inline void count(SharedWord& word) noexcept {
  word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// What both ends of one rung hold.
template <int rung>
class End {
 public:
  End(Way& out, Way& in, Shared& all, bool server, Clock clock)
      : out_(out),
        in_(in),
        clock_(clock),
        writer_({out.ring, &out.words[0].touched, &in.words[0].released}, kShape),
        urgent_writer_({out.urgent, &out.words[1].touched, &in.words[1].released}, kUrgentShape),
        reader_({in.ring, &out.words[0].released}, kShape),
        urgent_({in.urgent, &out.words[1].released}, kUrgentShape),
        idle_{Reader<NativeReaderMemory>{
                  {(server ? all.there : all.back)[1].ring, &(server ? all.back : all.there)[1].words[0].released},
                  kShape},
              Reader<NativeReaderMemory>{
                  {(server ? all.there : all.back)[2].ring, &(server ? all.back : all.there)[2].words[0].released},
                  kShape}} {
    now_ = clock_.now();
    period_ = clock_.to_ticks(std::chrono::milliseconds(1));
    if constexpr (rung >= control_plane) epoll_ = epoll_create1(0);
  }
  ~End() {
    if (epoll_ >= 0) close(epoll_);
  }

 protected:
  Record find() noexcept {
    if constexpr (rung >= urgent_lane) {
      if (Record record = urgent_.next()) return record;
    }
    return reader_.next();
  }

  void nothing() noexcept {
    reader_.idle();
    if constexpr (rung >= stamp) now_ = clock_.now();
    if constexpr (rung >= urgent_lane) urgent_.idle();
    if constexpr (rung >= idle_links) {
      for (auto& link : idle_) (void)link.next();
    }
    if constexpr (rung >= control_plane) {
      if (now_ - last_control_ > period_) {
        last_control_ = now_;
        epoll_event event;
        (void)epoll_wait(epoll_, &event, 1, 0);
      }
    }
  }

  void committed() noexcept {
    if constexpr (rung >= bell) {
      BoardMemory board{&in_.board};
      if (bell_wanted(board)) __builtin_trap();
    }
  }

  Way& out_;
  Way& in_;
  Clock clock_;
  Writer<NativeWriterMemory> writer_;
  Writer<NativeWriterMemory> urgent_writer_;
  Reader<NativeReaderMemory> reader_;
  Reader<NativeReaderMemory> urgent_;
  Reader<NativeReaderMemory> idle_[2];
  Ticks now_ = 0, last_control_ = 0, period_ = 0;
  int epoll_ = -1;
  alignas(64) std::byte copy_[256];
};

template <int rung>
class Server : public End<rung> {
 public:
  Server(Shared& shared, Clock clock) : End<rung>(shared.back[0], shared.there[0], shared, true, clock) {
    methods_[1] = &Server::place;
  }

  // One turn: handles what is there, at most 24 records. Returns how many. Answers are committed as a batch when the
  // last turn found several: to look for the next record costs a cache miss, which a lone answer must not wait for.
  int poll() noexcept {
    if (several_) this->writer_.begin_batch();
    int done = 0;
    while (done < 24) {
      const Record record = this->find();
      if (!record) break;
      handle(record);
      ++done;
    }
    if (several_) this->writer_.end_batch();
    several_ = done > 1;
    if (done == 0)
      this->nothing();
    else
      this->committed();
    return done;
  }

 private:
  void handle(const Record& record) noexcept {
    const std::byte* bytes = this->reader_.bytes(record);
    if constexpr (rung >= private_copy) {
      opaque_lines(this->copy_, bytes, up(record.head.bytes()));
      bytes = this->copy_;
      this->reader_.release(record.end);
    }
    if constexpr (rung >= dispatch) {
      const u32 method = record.head.detail();
      if (method >= 4) __builtin_trap();
      (this->*methods_[method & 3])(record, bytes);
    } else {
      place(record, bytes);
    }
    if constexpr (rung < private_copy) this->reader_.release(record.end);
  }

  void place(const Record& record, const std::byte* bytes) noexcept {
    RequestHeader header;
    std::memcpy(&header, bytes, sizeof header);
    Order56 order;
    std::memcpy(&order, bytes + 32, sizeof order);
    if constexpr (rung >= stamp) {
      const Ticks waited = this->now_ > header.sent ? this->now_ - header.sent : 0;
      if (header.budget != 0 && waited > u64{header.budget} * 64) __builtin_trap();
    }
    if constexpr (rung >= check) {
      if (record.head.bytes() != 32 + sizeof order || !same_prefix(order, kOrderImage, 24) || order.side > 1)
        __builtin_trap();
    }
    if constexpr (rung >= taken) {
      this->out_.words[0].taken.position.store(record.end, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    const auto claim = this->writer_.claim(16 + sizeof(Ack40));
    if (!claim) __builtin_trap();
    std::byte* answer = this->writer_.memory().bytes(claim.at);
    Ack40 ack = rung >= image ? kAckImage : Ack40{};
    ack.id = order.id;
    ack.state = static_cast<u32>(order.side);
    ack.sum = order.id + order.quantity + static_cast<u64>(order.price) + order.symbol + order.side;
    std::memcpy(answer + 8, &header.call, 8);
    std::memcpy(answer + 16, &ack, sizeof ack);
    this->writer_.send(claim, Head::make(16 + sizeof ack, Kind::reply, flag::your_id));
    if constexpr (rung >= counters) {
      count(this->out_.counts[0]);
      count(this->out_.counts[1]);
    }
  }

  bool several_ = false;
  void (Server::*methods_[4])(const Record&, const std::byte*) noexcept = {};
};

template <int rung>
class Client : public End<rung> {
 public:
  Client(Shared& shared, Clock clock) : End<rung>(shared.there[0], shared.back[0], shared, false, clock) {}

  // False when the ring is full.
  bool send(u64 i) noexcept {
    const auto claim = this->writer_.claim(32 + sizeof(Order56));
    if (!claim) return false;
    std::byte* bytes = this->writer_.memory().bytes(claim.at);
    RequestHeader header{0, ++calls_, 0, 0, 0, 0};
    if constexpr (rung >= pending) {
      Row& row = rows_[calls_ & 127];
      if (row.call != 0) __builtin_trap();
      row = {calls_, &Client::answered, 0, this->writer_.position()};
    }
    if constexpr (rung >= stamp) {
      header.sent = in_turn_ ? this->now_ : this->clock_.now();
      header.budget = 1u << 30;
      rows_[calls_ & 127].deadline = header.sent + (u64{1} << 36);
    }
    Order56 order = rung >= image ? kOrderImage : Order56{};
    order.id = i;
    order.price = static_cast<std::int64_t>(i * 3);
    order.quantity = static_cast<u32>(i) & 1023;
    order.symbol = i ^ 0x55aa;
    order.side = i & 1;
    expected_ = order.id + order.quantity + static_cast<u64>(order.price) + order.symbol + order.side;
    std::memcpy(bytes + 32, &order, sizeof order);
    std::memcpy(bytes + 8, reinterpret_cast<char*>(&header) + 8, 24);
    this->writer_.send(claim, Head::make(32 + sizeof order, Kind::request, 0, 1));
    if constexpr (rung >= counters) count(this->out_.counts[2]);
    if (!in_turn_) this->committed();
    return true;
  }

  // Takes one answer if it is there.
  bool poll() noexcept {
    const Record record = this->find();
    if (!record) {
      this->nothing();
      return false;
    }
    const std::byte* bytes = this->reader_.bytes(record);
    if constexpr (rung >= private_copy) {
      opaque_lines(this->copy_, bytes, up(record.head.bytes()));
      bytes = this->copy_;
      this->reader_.release(record.end);
    }
    u64 call;
    std::memcpy(&call, bytes + 8, 8);
    Ack40 ack;
    std::memcpy(&ack, bytes + 16, sizeof ack);
    if constexpr (rung >= check) {
      if (record.head.bytes() != 16 + sizeof ack || !same_prefix(ack, kAckImage, 20 & ~7) || ack.state > 1)
        __builtin_trap();
    }
    if constexpr (rung >= pending) {
      Row& row = rows_[call & 127];
      if (row.call != call) __builtin_trap();
      row.call = 0;
      row.run(*this, ack);
    } else {
      answered(*this, ack);
    }
    if constexpr (rung >= counters) count(this->out_.counts[3]);
    if constexpr (rung < private_copy) this->reader_.release(record.end);
    return true;
  }

  void call(u64 i) noexcept {
    send(i);
    while (!poll()) {
    }
    if (last_sum_ != expected_) __builtin_trap();
  }

  // `calls` calls with at most `window` in flight; a turn refills what it took.
  void stream(u64 calls, u64 window) noexcept {
    u64 sent = 0, done = 0;
    while (done < calls) {
      in_turn_ = true;
      this->writer_.begin_batch();
      bool any = false;
      while (sent < calls && sent - done < window && send(sent)) ++sent, any = true;
      in_turn_ = false;
      this->writer_.end_batch();
      if (any) this->committed();
      for (int n = 0; n < 24 && done < sent && poll(); ++n) ++done;
    }
  }

 private:
  struct Row {
    u64 call = 0;
    void (*run)(Client&, const Ack40&) = nullptr;
    Ticks deadline = 0;
    u64 position = 0;
  };
  static void answered(Client& self, const Ack40& ack) noexcept { self.last_sum_ = ack.sum; }

  u64 calls_ = 0;
  u64 last_sum_ = 0, expected_ = 0;
  bool in_turn_ = false;
  Row rows_[128];
};

}  // namespace ladder
