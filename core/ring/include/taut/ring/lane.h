// The shared words of one lane, as each side keeps them in its own segment. Bulk bytes (the ring) stand elsewhere.
//
//   offset  bytes  word                       written by this side as
//        0      8  touched                    writer of its outgoing ring
//      128      8  released                   reader of its incoming ring
//      256     32  taken: position, call,     server of the incoming requests; nobody polls this line
//                  method, since
//
// Each word stands alone on 128 bytes. Layout 0; offsets may change until 1.0, which side owns which word may not.
#pragma once

#include <cstddef>

#include "taut/base/cache_line.h"
#include "taut/ring/native_memory.h"

namespace taut::ring {

// Two lanes a link: the urgent one is looked at before every record of the normal one. No order between them.
enum class Lane : u8 { normal = 0, urgent = 1 };
inline constexpr u32 kLaneCount = 2;

// What the server says about the request it is about to run: the position behind its record, then for people its
// call, its method and the tick. After the server's death everything past `position` did not run.
struct Taken {
  SharedWord position;
  SharedWord call;
  SharedWord method;
  SharedWord since;
};
static_assert(sizeof(Taken) == 32);

struct LaneWords {
  alignas(kSharedWordStride) SharedWord touched;
  alignas(kSharedWordStride) SharedWord released;
  alignas(kSharedWordStride) Taken taken;
};
static_assert(sizeof(LaneWords) == 384 && alignof(LaneWords) == 128);
static_assert(offsetof(LaneWords, touched) == 0 && offsetof(LaneWords, released) == 128);
static_assert(offsetof(LaneWords, taken) == 256);
static_assert(std::is_standard_layout_v<LaneWords>);

// Everything one end needs to run one lane in both directions. Pointers into segments that the transport keeps mapped;
// `const` marks what the peer owns and this side maps read-only.
struct LaneMemory {
  std::byte* out_ring = nullptr;
  const std::byte* in_ring = nullptr;
  LaneWords* own = nullptr;
  const LaneWords* peer = nullptr;

  [[nodiscard]] NativeWriterMemory writer() const noexcept { return {out_ring, &own->touched, &peer->released}; }
  [[nodiscard]] NativeReaderMemory reader() const noexcept { return {in_ring, &own->released}; }
};

}  // namespace taut::ring
