// What two offers make, and whether both sides read one clock. The same rules on both ends.
//
// Threads  values.
#pragma once

#include <unistd.h>

#include <optional>

#include "taut/rpc/transport.h"
#include "taut/shm/link_segment.h"
#include "taut/shm/message.h"

namespace taut::shm {

// Features by bit. A side that needs one that the other cannot use refuses the link.
namespace feature {
inline constexpr std::uint64_t client_serves = 1;  // a hello may bring a description, and a server calls its client
}
inline constexpr std::uint64_t kFeatures = feature::client_serves;

// The longest segment of a peer that is mapped: mapping and touching it takes time of the control plane.
inline constexpr std::uint64_t kPeerSegmentBytesMax = std::uint64_t{1} << 30;

Stamps read_stamps(const Clock& clock) noexcept;
// Grants no calls; whoever serves something says how many.
Offer make_offer(const rpc::LinkOptions& options, const Clock& clock, bool has_board) noexcept;
// How a peer's large records are read, unless the options say it.
inline rpc::Check check_of(const rpc::LinkOptions& options, std::uint32_t peer_uid) noexcept {
  return options.check.value_or(peer_uid == geteuid() ? rpc::Check::in_place : rpc::Check::copy);
}
Result<void> check_offer(const Offer& offer, std::string_view whose);

inline RingSizes ring_sizes(const rpc::LinkOptions& options) noexcept {
  return {options.ring_bytes, options.urgent_ring_bytes};
}

// Where the rings of a link begin: anywhere, so that the heads of many idle rings do not meet in one set of the cache.
FirstPositions first_positions(std::uint64_t link, unsigned side) noexcept;
Result<void> check_positions(const FirstPositions& positions, std::string_view whose);

// `theirs` was read between `before` and `after`. The clock that both sides read, as the order of the stamps proves;
// none: neither.
std::optional<ClockSource> common_clock(ClockSource own, const Stamps& before, ClockSource peer, const Stamps& theirs,
                                        const Stamps& after) noexcept;

std::array<ring::Shape, ring::kLaneCount> shapes(const RingSizes& sizes, const FirstPositions& first) noexcept;

}  // namespace taut::shm
