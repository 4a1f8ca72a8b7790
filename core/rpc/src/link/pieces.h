// Messages that no record holds. They travel in pieces, a record each, out of a buffer on one side into a buffer on the
// other. In each lane and direction one message is on its way at a time, in the order in which they were sent; records
// of other calls go between its pieces.
//
// Threads  the dispatcher's.
// Memory   buffers are allocated when a message needs one, and the last ones are kept for the next message.
// Trust    read_piece() and Arriving take the peer's word for nothing: sizes are checked against what was agreed.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "open_requests.h"
#include "taut/memory/copy.h"
#include "taut/ring/ring.h"
#include "taut/rpc/call.h"
#include "taut/rpc/counters.h"

namespace taut::rpc {

// Bytes for one message, 64-aligned.
struct Buffer {
  AlignedBytes bytes;
  std::uint32_t capacity = 0;
};

// The buffers of one dispatcher: an allocation of megabytes costs more than to copy them, so the last ones are kept.
class Buffers {
 public:
  // Null bytes when there is no memory.
  [[nodiscard]] Buffer take(std::uint32_t bytes, Counters& counters) noexcept {
    const auto fits = std::find_if(kept_.begin(), kept_.end(), [&](const Buffer& kept) {
      return kept.capacity >= bytes && kept.capacity / 4 <= bytes;  // a far larger one is not wasted on it
    });
    if (fits != kept_.end()) return std::exchange(*fits, {});
    counters.buffers_allocated.add();
    return {AlignedBytes(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{kAlign}, std::nothrow))),
            bytes};
  }
  void keep(Buffer buffer) noexcept {
    if (buffer.bytes == nullptr) return;
    std::rotate(kept_.begin(), kept_.end() - 1, kept_.end());
    kept_.front() = std::move(buffer);
  }

 private:
  static constexpr std::size_t kAlign = ring::kStep;
  std::array<Buffer, 2> kept_;  // one on its way out and one on its way in
};

// What a record says of the piece that it carries.
struct Piece {
  std::uint64_t call;
  std::uint32_t total;
  std::uint32_t offset;
  std::uint32_t bytes;
  [[nodiscard]] bool last() const noexcept { return offset + bytes == total; }
};

// Nothing when the record contradicts itself or what was agreed. `header` is a private copy of its first line, and
// `extensions` the mask that stands in it.
inline std::optional<Piece> read_piece(ring::Head head, const std::byte* header, ring::u16 extensions,
                                       std::uint32_t message_bytes_max) noexcept {
  ring::PieceBlock block;
  Piece piece;
  std::memcpy(&piece.call, header + offsetof(ring::ReplyHeader, call), sizeof piece.call);
  std::memcpy(&block, header + ring::kBlocksAt, sizeof block);
  if (extensions != ring::extension::piece || head.bytes() <= ring::kPieceHeader) return std::nullopt;
  if (piece.call == 0) return std::nullopt;  // which means that nothing arrives: its duty would never end
  piece.bytes = head.bytes() - ring::kPieceHeader;
  if (block.total > message_bytes_max || block.offset >= block.total || piece.bytes > block.total - block.offset) {
    return std::nullopt;
  }
  piece.total = static_cast<std::uint32_t>(block.total);
  piece.offset = static_cast<std::uint32_t>(block.offset);
  if (piece.last() == ((head.flags() & ring::flag::more_pieces) != 0)) return std::nullopt;
  return piece;
}

// The message that arrives in a lane.
struct Arriving {
  std::uint64_t call = 0;  // 0: none
  std::uint32_t total = 0;
  std::uint32_t filled = 0;
  Buffer buffer;
  // Of a request: the duty to answer it, and what it asks for.
  OpenRequest* request = nullptr;
  ring::u16 method = 0;

  enum class Took { part, whole, broken };
  // `bytes` are the peer's.
  Took take(const Piece& piece, const std::byte* bytes) noexcept {
    if (piece.total != total || piece.offset != filled) return Took::broken;
    memory::opaque_copy(buffer.bytes.get() + filled, bytes, piece.bytes);
    filled += piece.bytes;
    return filled == total ? Took::whole : Took::part;
  }
};

// A message on its way out.
struct Leaving {
  ring::Kind kind;   // request or reply
  ring::u16 method;  // of a request
  std::uint64_t call;
  Ticks stamp;
  std::uint64_t budget_and_credit;  // of a request: the last word of its header, without extensions
  OpenRequest* request;             // of a reply: the duty that ends with its last piece
  Buffer buffer;
  std::uint32_t total;
  std::uint32_t sent = 0;
  bool given_up = false;  // the caller waits no more, and the peer has a part of it
  // Trace and metadata of a request: its first piece carries them.
  std::vector<std::byte> blocks = {};
  ring::u16 blocks_mask = 0;
};

// What of a ring is not promised to answers, in thirds: one for a piece, one for the pad before it, and one that pieces
// leave to small calls and to the promises for their answers. So a piece always finds room in a ring that was read
// (B4).
constexpr ring::u32 piece_third(ring::u32 ring_bytes, ring::u32 promised) noexcept {
  return (ring_bytes - ring::kStep - promised) / 3;
}

// Little enough that a small call waits for one of them about a microsecond; but each piece costs some 0.4 us beside
// its bytes: a message of 1 MiB took 1.3 times as long in halves of this size, and three times in quarters.
constexpr ring::u32 piece_bytes_max(ring::u32 ring_bytes, ring::u32 promised) noexcept {
  const ring::u32 third = piece_third(ring_bytes, promised) & ~(ring::kStep - 1);
  const ring::u32 record = std::min({ring_bytes / 4, third, ring::u32{16 * 1024}});
  return (record - ring::kPieceHeader) & ~(ring::kStep - 1);  // so that all pieces lie alike to their buffers
}

}  // namespace taut::rpc
