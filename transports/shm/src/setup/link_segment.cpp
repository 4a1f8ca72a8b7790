#include "taut/shm/link_segment.h"

#include <unistd.h>

#include <atomic>
#include <bit>
#include <ctime>
#include <new>

#include "taut/memory/directory.h"
#include "taut/ring/ring.h"

namespace taut::shm {
namespace {

using memory::RegionKind;

struct Plan {
  Plan(const RingSizes& sizes, std::size_t arena_bytes) {
    for (std::uint32_t lane = 0; lane < ring::kLaneCount; ++lane) {
      words[lane] = directory.add(RegionKind::lane_words, lane, sizeof(ring::LaneWords), alignof(ring::LaneWords));
    }
    counters = directory.add(RegionKind::counters, 0, sizeof(rpc::Counters), alignof(rpc::Counters));
    releases = directory.add(RegionKind::releases, 0, sizeof(ring::ReleaseWords), alignof(ring::ReleaseWords));
    agreement = directory.add(RegionKind::agreement, 0, sizeof(SharedAgreement), alignof(SharedAgreement));
    for (std::uint32_t lane = 0; lane < ring::kLaneCount; ++lane) {
      rings[lane] = directory.add(RegionKind::ring, lane, sizes[lane], memory::kSegmentStep);
    }
    if (arena_bytes != 0) arena = directory.add(RegionKind::arena, 0, arena_bytes, memory::kSegmentStep);
  }
  memory::DirectoryPlan directory;
  std::array<std::size_t, ring::kLaneCount> words{};
  std::array<std::size_t, ring::kLaneCount> rings{};
  std::size_t counters = 0;
  std::size_t releases = 0;
  std::size_t arena = 0;
  std::size_t agreement = 0;
};

}  // namespace

std::size_t link_segment_bytes(const RingSizes& rings, std::size_t arena_bytes) {
  return Plan(rings, arena_bytes).directory.segment_bytes();
}

Result<LinkSegment> LinkSegment::create(const std::string& name, const RingSizes& rings, std::uint64_t link,
                                        std::size_t arena_bytes) {
  const Plan plan(rings, arena_bytes);
  auto segment = memory::Segment::create(name, plan.directory.segment_bytes());
  if (!segment) return segment.error();
  std::byte* data = segment->data();
  plan.directory.write(data, link);
  LinkSegment made(*std::move(segment));
  for (std::size_t lane = 0; lane < ring::kLaneCount; ++lane) {
    made.rings_[lane] = data + plan.rings[lane];
    made.words_[lane] = new (data + plan.words[lane]) ring::LaneWords{};
  }
  made.counters_ = new (data + plan.counters) rpc::Counters{};
  made.releases_ = new (data + plan.releases) ring::ReleaseWords{};
  if (arena_bytes != 0) made.arena_ = {data + plan.arena, arena_bytes};
  made.agreement_ = new (data + plan.agreement) SharedAgreement{};
  return made;
}

void LinkSegment::begin(std::uint64_t link, const FirstPositions& out, const FirstPositions& in) noexcept {
  memory::write_link(segment_.data(), link);
  for (std::size_t lane = 0; lane < ring::kLaneCount; ++lane) {
    // Relaxed: the message that tells the peer of this segment is sent after it.
    words_[lane]->touched.store(out[lane], std::memory_order_relaxed);
    words_[lane]->released.store(in[lane], std::memory_order_relaxed);
    words_[lane]->taken.position.store(in[lane], std::memory_order_relaxed);
  }
}

void LinkSegment::show(Side side, const rpc::Agreement& agreement) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  SharedAgreement& shown = *agreement_;
  shown.side = side;
  shown.check = agreement.check;
  shown.clock = agreement.clock;
  shown.pid = static_cast<std::uint32_t>(getpid());
  shown.peer_pid = static_cast<std::uint32_t>(agreement.peer_pid);
  shown.inflight = side == Side::client ? agreement.calls_out_max : agreement.calls_in_max;
  shown.reply_bytes_max = agreement.reply_bytes_max;
  // Relaxed: who sees the time and not yet the rest shows a person zeros for a moment.
  std::atomic_ref(shown.since_ns)
      .store(static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec),
             std::memory_order_relaxed);
}

Result<PeerLinkSegment> PeerLinkSegment::open(memory::Descriptor fd, std::uint64_t bytes, const RingSizes& rings,
                                              std::string_view whose) {
  for (const std::uint32_t size : rings) {
    if (!std::has_single_bit(size) || size < ring::kRingBytesMin || size > ring::kRingBytesMax) {
      return make_error(Code::failed_precondition, 0, {},
                        "%.*s is said to have a ring of %u bytes: no power of two from %u to %u",
                        static_cast<int>(whose.size()), whose.data(), size, ring::kRingBytesMin, ring::kRingBytesMax);
    }
  }
  auto segment = memory::open_peer(std::move(fd), bytes, whose);
  if (!segment) return segment.error();
  const std::byte* data = segment->data();
  const auto directory = memory::Directory::read({data, segment->bytes()}, whose);
  if (!directory) return directory.error();
  PeerLinkSegment peer(*std::move(segment));
  for (std::uint32_t lane = 0; lane < ring::kLaneCount; ++lane) {
    const auto ring = directory->offset_of(RegionKind::ring, lane, rings[lane], ring::kStep);
    if (!ring) return ring.error();
    const auto words =
        directory->offset_of(RegionKind::lane_words, lane, sizeof(ring::LaneWords), alignof(ring::LaneWords));
    if (!words) return words.error();
    peer.rings_[lane] = data + *ring;
    peer.words_[lane] = reinterpret_cast<const ring::LaneWords*>(data + *words);
  }
  const auto releases =
      directory->offset_of(RegionKind::releases, 0, sizeof(ring::ReleaseWords), alignof(ring::ReleaseWords));
  if (!releases) return releases.error();
  peer.releases_ = reinterpret_cast<const ring::ReleaseWords*>(data + *releases);
  if (const memory::Region* arena = directory->find(RegionKind::arena, 0)) {
    const auto at = directory->offset_of(RegionKind::arena, 0, arena->bytes, ring::kBlockAlign);
    if (!at) return at.error();
    peer.arena_ = {data + *at, arena->bytes};
  }
  return peer;
}

}  // namespace taut::shm
