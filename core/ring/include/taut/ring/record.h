// The record: what travels through a ring, byte by byte. Requests carry a 32-byte header, everything else 16.
// Part of the wire format (docs/wire-format.md): the same header stands before every message of every transport.
//
//   offset  bytes  request                      offset  bytes  reply and the other kinds
//        0      8  head word, see below              0      8  head word
//        8      8  call: id, never 0                 8      8  call; of a one-way message: sent
//       16      8  sent: counter ticks              16         payload: 48 bytes in line 1
//       24      4  budget: steps of 16 ns
//       28      2  credit: of a call that streams
//       30      2  extensions: bit mask
//       32         payload: 32 bytes in line 1
//
// Head word, one little-endian 64-bit integer:
//
//   bits   0-31  bytes of the record with its header, never 0 in a committed record
//   bits  32-39  kind
//   bits  40-47  flags
//   bits  48-63  request, oneway: index into the receiver's method table; reply: code (8 bits), ran (2), why (6)
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace taut::ring {

static_assert(std::endian::native == std::endian::little, "taut's memory and wire formats are little-endian");

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// Records begin on 64-byte steps. A step is a line, and it is format: it does not follow the machine.
inline constexpr u32 kStep = 64;
constexpr u32 up(u32 bytes) noexcept { return (bytes + (kStep - 1)) & ~(kStep - 1); }
constexpr u64 up(u64 bytes) noexcept { return (bytes + (kStep - 1)) & ~u64{kStep - 1}; }

enum class Kind : u8 {
  none = 0,
  pad = 1,
  request = 2,
  reply = 3,
  oneway = 4,
  item = 5,
  end = 6,
  cancel = 7,
  credit = 8,
  ping = 9,
  drain = 10,
  goodbye = 11,
};
inline constexpr u8 kKindCount = 12;
// A receiver that does not know a kind with this bit steps over the record.
inline constexpr u8 kKindMayBeSkipped = 0x80;

namespace flag {
inline constexpr u8 more_pieces = 1;
inline constexpr u8 your_id = 2;  // the call id was given by the receiver of this record
inline constexpr u8 extensions = 4;
inline constexpr u8 taken_wanted = 8;
}  // namespace flag

// The head word taken apart. It is loaded once per record; its fields come from here and never from memory again.
struct Head {
  u64 word = 0;

  static constexpr Head make(u32 bytes, Kind kind, u8 flags = 0, u16 detail = 0) noexcept {
    return {u64{bytes} | u64{static_cast<u8>(kind)} << 32 | u64{flags} << 40 | u64{detail} << 48};
  }
  [[nodiscard]] constexpr u32 bytes() const noexcept { return static_cast<u32>(word); }
  [[nodiscard]] constexpr u8 kind_byte() const noexcept { return static_cast<u8>(word >> 32); }
  [[nodiscard]] constexpr Kind kind() const noexcept { return static_cast<Kind>(kind_byte()); }
  [[nodiscard]] constexpr u8 flags() const noexcept { return static_cast<u8>(word >> 40); }
  [[nodiscard]] constexpr u16 detail() const noexcept { return static_cast<u16>(word >> 48); }
  constexpr explicit operator bool() const noexcept { return word != 0; }
};

struct RequestHeader {
  u64 head;
  u64 call;
  u64 sent;
  u32 budget;
  u16 credit;
  u16 extensions;
};
static_assert(sizeof(RequestHeader) == 32 && alignof(RequestHeader) == 8);
static_assert(offsetof(RequestHeader, call) == 8 && offsetof(RequestHeader, sent) == 16);
static_assert(offsetof(RequestHeader, budget) == 24 && offsetof(RequestHeader, credit) == 28);
static_assert(offsetof(RequestHeader, extensions) == 30);
static_assert(std::is_standard_layout_v<RequestHeader> && std::is_trivially_copyable_v<RequestHeader>);

struct ReplyHeader {
  u64 head;
  u64 call;
};
static_assert(sizeof(ReplyHeader) == 16 && offsetof(ReplyHeader, call) == 8);
static_assert(std::is_standard_layout_v<ReplyHeader> && std::is_trivially_copyable_v<ReplyHeader>);

// Kind::drain: what lies behind these positions of the request rings is not run. Without them (16 bytes) nothing is said
// about it.
struct DrainHeader {
  u64 head;
  u64 normal;
  u64 urgent;
};
static_assert(sizeof(DrainHeader) == 24);

// Blocks behind the header, in the order of their bits in the mask: a request's is `extensions` of its header, a reply
// with flag::extensions has one at offset 16, before 14 zero bytes.
namespace extension {
inline constexpr u16 trace = 1;
inline constexpr u16 metadata = 2;
inline constexpr u16 arena = 4;
inline constexpr u16 piece = 8;
// Those that say something of the call and not of its message. A request's, and of its first piece.
inline constexpr u16 of_the_call = trace | metadata;
}  // namespace extension

// Blocks are padded to this, since the message behind them is aligned.
constexpr u32 up_to_16(u32 bytes) noexcept { return (bytes + 15) & ~u32{15}; }

// extension::trace: W3C Trace Context.
struct TraceBlock {
  u8 trace_id[16];
  u8 span_id[8];
  u8 flags;
  u8 zero[7];
};
static_assert(sizeof(TraceBlock) == 32);

// extension::metadata: u16 bytes of the block without its padding, at most 1,024; u16 pairs, at most 16; then for each
// pair u8 bytes of its key, u8 zero, u16 bytes of its value, key, value.

// extension::arena: the message lies in the sender's arena, and the record has no payload.
struct ArenaBlock {
  u64 offset;
  u64 bytes;
};

// extension::piece: this record carries a part of a message of `total` bytes, from `offset` on. The block stands at
// kBlocksAt of requests and replies alike, and the part behind it.
struct PieceBlock {
  u64 total;
  u64 offset;
};
inline constexpr u32 kBlocksAt = 32;
inline constexpr u32 kPieceHeader = kBlocksAt + sizeof(PieceBlock);
inline constexpr u32 kArenaHeader = kBlocksAt + sizeof(ArenaBlock);
static_assert(sizeof(RequestHeader) == kBlocksAt && kPieceHeader % 16 == 0 && kPieceHeader < kStep);

// Kind::credit: how much the sender of this record takes of the stream, counted from its first item. Never less than
// before.
struct CreditBlock {
  u64 items;
  u64 bytes;  // of ring: what the records take
};
static_assert(sizeof(CreditBlock) == 16);
inline constexpr u32 kCreditRecord = sizeof(ReplyHeader) + sizeof(CreditBlock);

// What a caller may send before the callee's first credit record.
inline constexpr u64 kFirstItems = 32;
inline constexpr u64 kFirstItemBytes = 8 * 1024;

// The credit field of a request: in each byte 0 for nothing, n for 2^(n-1) items (low) and as many steps of 64 bytes
// (high).
constexpr u8 credit_code(u64 amount) noexcept { return static_cast<u8>(std::bit_width(amount)); }
constexpr u64 credit_of_code(u8 code) noexcept { return code == 0 ? 0 : u64{1} << (code - 1); }
// A peer that grants more than this ahead of what was sent does not mean it.
inline constexpr u64 kCreditMax = u64{1} << 40;

// The shortest header, so the smallest `bytes` that a record can state.
inline constexpr u32 kHeaderMin = sizeof(ReplyHeader);

// Budgets are counted in steps of 16 ns: 32 bits reach 68 s. The last value says "longer": only the caller keeps it.
inline constexpr u64 kBudgetStepNs = 16;
inline constexpr u32 kBudgetNone = 0;
inline constexpr u32 kBudgetLonger = ~u32{0};

}  // namespace taut::ring
