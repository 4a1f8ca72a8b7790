// What lies where in a segment: a header and a list of regions at its beginning.
//
//   offset  bytes  header
//        0      8  magic: "taut seg"
//        8      4  layout version (0)
//       12      4  number of regions
//       16      8  bytes of the segment
//       24      8  link: the id that both segments of a link carry; 0 until it is agreed, and where there is none
//       32     32  zero
//       64   30x32 regions
//     1024         where the first region may begin
//
//   offset  bytes  region
//        0      4  kind; readers skip kinds that they do not know
//        4      4  index among those of its kind (the lane)
//        8      8  offset in the segment
//       16      8  bytes
//       24      8  zero
//
// Threads  values.
// Trust    Directory::read() copies a peer's directory once, then checks the copy; offsets that it hands out lie
// inside.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "taut/base/result.h"

namespace taut::memory {

// Both sides are 64-bit and little-endian: asserted, not agreed.
static_assert(sizeof(std::size_t) == 8 && std::endian::native == std::endian::little);

inline constexpr std::uint32_t kLayoutVersion = 0;
inline constexpr std::uint64_t kSegmentMagic = 0x6765'7320'7475'6174;  // "taut seg", read as little-endian
inline constexpr std::size_t kRegionsMax = 30;
inline constexpr std::size_t kDirectoryBytes = 1024;

enum class RegionKind : std::uint32_t {
  lane_words = 1,
  ring = 2,
  counters = 3,
  board = 4,
  control = 5,
  description = 6,
  agreement = 7,
};

struct Region {
  std::uint32_t kind;
  std::uint32_t index;
  std::uint64_t offset;
  std::uint64_t bytes;
  std::uint64_t zero;
};
static_assert(sizeof(Region) == 32 && offsetof(Region, offset) == 8 && offsetof(Region, bytes) == 16);
static_assert(std::is_standard_layout_v<Region> && std::is_trivially_copyable_v<Region>);

struct DirectoryHeader {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t region_count;
  std::uint64_t segment_bytes;
  std::uint64_t link;
  std::uint64_t zero[4];
};
static_assert(sizeof(DirectoryHeader) == 64 && offsetof(DirectoryHeader, layout) == 8);
static_assert(offsetof(DirectoryHeader, segment_bytes) == 16 && offsetof(DirectoryHeader, link) == 24);
static_assert(std::is_standard_layout_v<DirectoryHeader> && std::is_trivially_copyable_v<DirectoryHeader>);
static_assert(sizeof(DirectoryHeader) + kRegionsMax * sizeof(Region) == kDirectoryBytes);

// Plans a segment of our own, region by region, and writes its directory.
class DirectoryPlan {
 public:
  // Places a region behind the ones before it; returns its offset.
  std::size_t add(RegionKind kind, std::uint32_t index, std::size_t bytes, std::size_t alignment);
  // Of the whole segment.
  [[nodiscard]] std::size_t segment_bytes() const noexcept;
  void write(std::byte* segment, std::uint64_t link) const noexcept;

 private:
  std::vector<Region> regions_;
  std::size_t end_ = kDirectoryBytes;
};

// For the client's end, which learns the link's id when its segment is made already.
void write_link(std::byte* segment, std::uint64_t link) noexcept;

// A directory that was read and checked.
class Directory {
 public:
  // `whose` begins the sentence of a refusal: "the client's segment".
  static Result<Directory> read(std::span<const std::byte> segment, std::string_view whose);

  // Of that kind and index with exactly `bytes` at a multiple of `alignment`; the sentence says what is wrong.
  [[nodiscard]] Result<std::size_t> offset_of(RegionKind kind, std::uint32_t index, std::size_t bytes,
                                              std::size_t alignment) const;
  [[nodiscard]] const Region* find(RegionKind kind, std::uint32_t index) const noexcept;
  [[nodiscard]] std::span<const Region> regions() const noexcept { return regions_; }
  [[nodiscard]] std::uint64_t link() const noexcept { return link_; }

 private:
  std::string whose_;
  std::vector<Region> regions_;  // of kinds that are known
  std::uint64_t link_ = 0;
};

std::string_view to_text(RegionKind) noexcept;

}  // namespace taut::memory
