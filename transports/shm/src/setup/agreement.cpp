#include "agreement.h"

namespace taut::shm {
namespace {

// splitmix64's finaliser: every bit of the input reaches every bit of the result.
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

bool nests(std::uint64_t before, std::uint64_t theirs, std::uint64_t after) noexcept {
  return theirs != 0 && before <= theirs && theirs <= after;
}

}  // namespace

Stamps read_stamps(const Clock& clock) noexcept {
  return {clock.source() == ClockSource::tsc ? clock.now() : 0, Clock::monotonic().now()};
}

Offer make_offer(const rpc::LinkOptions& options, const Clock& clock, bool has_board) noexcept {
  Offer offer{};
  offer.segment_bytes = link_segment_bytes(ring_sizes(options), options.arena_bytes);
  offer.ring_bytes = ring_sizes(options);
  offer.reply_bytes_max = options.reply_bytes_max;
  offer.message_bytes_max = options.message_bytes_max;
  offer.clock = clock.source();
  offer.has_board = has_board ? 1 : 0;
  offer.schema_exact = options.schema_exact ? 1 : 0;
  offer.stamps = read_stamps(clock);
  offer.features = kFeatures;
  offer.features_needed = 0;
  return offer;
}

Result<void> check_offer(const Offer& offer, std::string_view whose) {
  const int whose_bytes = static_cast<int>(whose.size());
  if ((offer.features_needed & ~kFeatures) != 0) {
    return make_error(Code::unimplemented, 0, "use the same version of taut on both sides",
                      "%.*s needs the features %016llx; this side has %016llx", whose_bytes, whose.data(),
                      static_cast<unsigned long long>(offer.features_needed),
                      static_cast<unsigned long long>(kFeatures));
  }
  if (offer.segment_bytes > kPeerSegmentBytesMax) {
    return make_error(Code::resource_exhausted, 0, "ask for smaller rings (?ring=)",
                      "%.*s brings a segment of %llu bytes; %llu at most are mapped", whose_bytes, whose.data(),
                      static_cast<unsigned long long>(offer.segment_bytes),
                      static_cast<unsigned long long>(kPeerSegmentBytesMax));
  }
  if (offer.has_board > 1 || offer.reply_bytes_max == 0) {
    return make_error(Code::invalid_argument, 0, {},
                      "%.*s makes an offer that cannot be: %u boards, replies of %u bytes", whose_bytes, whose.data(),
                      offer.has_board, offer.reply_bytes_max);
  }
  return {};
}

FirstPositions first_positions(std::uint64_t link, unsigned side) noexcept {
  FirstPositions first{};
  for (std::size_t lane = 0; lane < first.size(); ++lane) {
    first[lane] = mix(link * 4 + side * 2 + lane) & ~std::uint64_t{ring::kStep - 1};
  }
  return first;
}

Result<void> check_positions(const FirstPositions& positions, std::string_view whose) {
  for (const std::uint64_t position : positions) {
    if (position % ring::kStep == 0) continue;
    return make_error(Code::invalid_argument, 0, {}, "%.*s begins a ring at position %llu, which is no multiple of %u",
                      static_cast<int>(whose.size()), whose.data(), static_cast<unsigned long long>(position),
                      ring::kStep);
  }
  return {};
}

std::optional<ClockSource> common_clock(ClockSource own, const Stamps& before, ClockSource peer, const Stamps& theirs,
                                        const Stamps& after) noexcept {
  // A test turns both by hand.
  if (own == ClockSource::manual && peer == ClockSource::manual) return ClockSource::manual;
  if (own == ClockSource::tsc && peer == ClockSource::tsc && nests(before.tsc, theirs.tsc, after.tsc)) {
    return ClockSource::tsc;
  }
  if (nests(before.monotonic_ns, theirs.monotonic_ns, after.monotonic_ns)) return ClockSource::monotonic;
  return std::nullopt;
}

std::array<ring::Shape, ring::kLaneCount> shapes(const RingSizes& sizes, const FirstPositions& first) noexcept {
  std::array<ring::Shape, ring::kLaneCount> shapes{};
  for (std::size_t lane = 0; lane < shapes.size(); ++lane) shapes[lane] = {sizes[lane], first[lane]};
  return shapes;
}

}  // namespace taut::shm
