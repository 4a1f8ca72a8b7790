#include "taut/memory/board.h"

#include <unistd.h>

#include <new>
#include <string>

#include "taut/base/cache_line.h"
#include "taut/memory/directory.h"

namespace taut::memory {

Result<Board> Board::create(std::uint64_t first_state) {
  DirectoryPlan plan;
  const std::size_t offset = plan.add(RegionKind::board, 0, sizeof(SharedWord), kSharedWordStride);
  auto segment = Segment::create("taut:board:" + std::to_string(getpid()), plan.segment_bytes(), InChild::kept);
  if (!segment) return segment.error();
  plan.write(segment->data(), 0);
  auto* state = new (segment->data() + offset) SharedWord(first_state);
  return Board(*std::move(segment), state);
}

Result<PeerBoard> PeerBoard::open(Descriptor fd, std::string_view whose) {
  auto segment = open_peer(std::move(fd), kSegmentStep, whose);
  if (!segment) return segment.error();
  auto directory = Directory::read({segment->data(), segment->bytes()}, whose);
  if (!directory) return directory.error();
  auto offset = directory->offset_of(RegionKind::board, 0, sizeof(SharedWord), kSharedWordStride);
  if (!offset) return offset.error();
  segment->close_descriptor();
  const auto* state = reinterpret_cast<const SharedWord*>(segment->data() + *offset);
  return PeerBoard(*std::move(segment), state);
}

}  // namespace taut::memory
