// What lies in one side's segment of a link, for its owner, its peer, and tools that look in from outside.
//
//   offset  bytes  region (index)
//        0   1024  directory (taut/memory/directory.h)
//     1024    384  lane words (normal)
//     1408    384  lane words (urgent)
//     1792    256  counters
//     2048    640  releases: blocks of the peer's arena that this side has read
//     2688     64  agreement
//     4096      S  ring (normal): records that this side writes
//   4096+S      U  ring (urgent)
// 4096+S+U      A  arena: large messages of this side, if it has one
//
// Readers go by the directory and not by these offsets.
// Threads  values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "taut/base/result.h"
#include "taut/memory/segment.h"
#include "taut/ring/lane.h"
#include "taut/ring/releases.h"
#include "taut/rpc/counters.h"
#include "taut/rpc/transport.h"

namespace taut::shm {

// Bytes of both rings, by lane.
using RingSizes = std::array<std::uint32_t, ring::kLaneCount>;
using FirstPositions = std::array<std::uint64_t, ring::kLaneCount>;

std::size_t link_segment_bytes(const RingSizes& rings, std::size_t arena_bytes = 0);

enum class Side : std::uint8_t { none = 0, client = 1, server = 2 };

// What a side knows about its link, for people who look in from outside: no program depends on a word of it. Written
// once, when the link is up; `since_ns` last.
struct SharedAgreement {
  Side side;
  rpc::Check check;  // how this side reads what the peer wrote
  ClockSource clock;
  std::uint8_t zero;
  std::uint32_t pid;       // of this side, in its own namespace
  std::uint32_t peer_pid;  // as this side sees it; 0: it does not
  std::uint32_t inflight;  // calls that the client may have unanswered, a lane
  std::uint32_t reply_bytes_max;
  std::uint32_t zero_too;
  std::uint64_t since_ns;  // CLOCK_REALTIME; 0: the link is not up
  std::uint64_t zeros[4];
};
static_assert(sizeof(SharedAgreement) == 64 && offsetof(SharedAgreement, pid) == 4);
static_assert(offsetof(SharedAgreement, inflight) == 12 && offsetof(SharedAgreement, since_ns) == 24);
static_assert(std::is_standard_layout_v<SharedAgreement> && std::is_trivially_copyable_v<SharedAgreement>);

// Our own side.
class LinkSegment {
 public:
  static Result<LinkSegment> create(const std::string& name, const RingSizes& rings, std::uint64_t link,
                                    std::size_t arena_bytes = 0);

  // Sets the words that the peer may read before this side's dispatcher has seen the link.
  void begin(std::uint64_t link, const FirstPositions& out, const FirstPositions& in) noexcept;
  // The link is up: says so to observers.
  void show(Side side, const rpc::Agreement& agreement) noexcept;

  [[nodiscard]] std::byte* ring(ring::Lane lane) const noexcept { return rings_[static_cast<std::size_t>(lane)]; }
  [[nodiscard]] ring::LaneWords* words(ring::Lane lane) const noexcept {
    return words_[static_cast<std::size_t>(lane)];
  }
  [[nodiscard]] rpc::Counters& counters() const noexcept { return *counters_; }
  [[nodiscard]] ring::ReleaseWords* releases() const noexcept { return releases_; }
  [[nodiscard]] std::span<std::byte> arena() const noexcept { return arena_; }
  [[nodiscard]] int fd() const noexcept { return segment_.fd(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return segment_.bytes(); }
  void close_descriptor() noexcept { segment_.close_descriptor(); }

 private:
  explicit LinkSegment(memory::Segment segment) noexcept : segment_(std::move(segment)) {}
  memory::Segment segment_;
  std::array<std::byte*, ring::kLaneCount> rings_{};
  std::array<ring::LaneWords*, ring::kLaneCount> words_{};
  rpc::Counters* counters_ = nullptr;
  ring::ReleaseWords* releases_ = nullptr;
  std::span<std::byte> arena_;
  SharedAgreement* agreement_ = nullptr;
};

// The peer's side, which is only read. Everything that open() hands out was checked to lie inside.
class PeerLinkSegment {
 public:
  // `whose` begins the sentence of a refusal: "the client's segment".
  static Result<PeerLinkSegment> open(memory::Descriptor fd, std::uint64_t bytes, const RingSizes& rings,
                                      std::string_view whose);
  [[nodiscard]] const std::byte* ring(ring::Lane lane) const noexcept { return rings_[static_cast<std::size_t>(lane)]; }
  [[nodiscard]] const ring::LaneWords* words(ring::Lane lane) const noexcept {
    return words_[static_cast<std::size_t>(lane)];
  }
  [[nodiscard]] const ring::ReleaseWords* releases() const noexcept { return releases_; }
  // Empty: the peer has none.
  [[nodiscard]] std::span<const std::byte> arena() const noexcept { return arena_; }
  void close_descriptor() noexcept { segment_.close_descriptor(); }

 private:
  explicit PeerLinkSegment(memory::PeerSegment segment) noexcept : segment_(std::move(segment)) {}
  memory::PeerSegment segment_;
  std::array<const std::byte*, ring::kLaneCount> rings_{};
  std::array<const ring::LaneWords*, ring::kLaneCount> words_{};
  const ring::ReleaseWords* releases_ = nullptr;
  std::span<const std::byte> arena_;
};

}  // namespace taut::shm
