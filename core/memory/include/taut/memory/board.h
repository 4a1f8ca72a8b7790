// One page on which a dispatcher tells its peers whether it may be asleep; the bits and their protocol are the ring
// layer's (taut/ring/board.h). One board a dispatcher, however many links it has.
//
// Threads  the dispatcher's thread stores; any process that was handed the descriptor loads.
// Memory   kept by a child of fork(): a server may go into the background after it began to listen.
#pragma once

#include <atomic>
#include <cstdint>

#include "taut/base/result.h"
#include "taut/memory/segment.h"

namespace taut::memory {

using SharedWord = std::atomic<std::uint64_t>;
static_assert(SharedWord::is_always_lock_free && sizeof(SharedWord) == 8);

class Board {
 public:
  static Result<Board> create(std::uint64_t first_state);

  [[nodiscard]] SharedWord& state() const noexcept { return *state_; }
  // To be passed to peers.
  [[nodiscard]] int fd() const noexcept { return segment_.fd(); }

 private:
  Board(Segment segment, SharedWord* state) noexcept : segment_(std::move(segment)), state_(state) {}
  Segment segment_;
  SharedWord* state_;
};

class PeerBoard {
 public:
  // Checks like open_peer(); keeps the mapping and lets go of the descriptor.
  static Result<PeerBoard> open(Descriptor fd, std::string_view whose);
  PeerBoard() noexcept = default;
  [[nodiscard]] const SharedWord* state() const noexcept { return state_; }

 private:
  PeerBoard(PeerSegment segment, const SharedWord* state) noexcept : segment_(std::move(segment)), state_(state) {}
  PeerSegment segment_;
  const SharedWord* state_ = nullptr;
};

}  // namespace taut::memory
