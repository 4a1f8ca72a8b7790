#include "taut/memory/directory.h"

#include <cstring>

#include "taut/base/assert.h"
#include "taut/memory/copy.h"
#include "taut/memory/segment.h"

namespace taut::memory {
namespace {

constexpr std::size_t round_up(std::size_t value, std::size_t step) noexcept {
  return (value + step - 1) / step * step;
}

bool is_known(std::uint32_t kind) noexcept {
  return kind >= static_cast<std::uint32_t>(RegionKind::lane_words) &&
         kind <= static_cast<std::uint32_t>(RegionKind::agreement);
}

}  // namespace

std::string_view to_text(RegionKind kind) noexcept {
  switch (kind) {
    case RegionKind::lane_words:
      return "lane words";
    case RegionKind::ring:
      return "ring";
    case RegionKind::counters:
      return "counters";
    case RegionKind::board:
      return "board";
    case RegionKind::control:
      return "control";
    case RegionKind::description:
      return "description";
    case RegionKind::agreement:
      return "agreement";
  }
  return "unknown";
}

std::size_t DirectoryPlan::add(RegionKind kind, std::uint32_t index, std::size_t bytes, std::size_t alignment) {
  TAUT_ASSERT(regions_.size() < kRegionsMax);
  const std::size_t offset = round_up(end_, alignment);
  regions_.push_back({static_cast<std::uint32_t>(kind), index, offset, bytes, 0});
  end_ = offset + bytes;
  return offset;
}

std::size_t DirectoryPlan::segment_bytes() const noexcept { return round_up(end_, kSegmentStep); }

void DirectoryPlan::write(std::byte* segment, std::uint64_t link) const noexcept {
  const DirectoryHeader header{kSegmentMagic,   kLayoutVersion, static_cast<std::uint32_t>(regions_.size()),
                               segment_bytes(), link,           {}};
  std::memcpy(segment, &header, sizeof header);
  if (!regions_.empty()) std::memcpy(segment + sizeof header, regions_.data(), regions_.size() * sizeof(Region));
}

void write_link(std::byte* segment, std::uint64_t link) noexcept {
  std::memcpy(segment + offsetof(DirectoryHeader, link), &link, sizeof link);
}

Result<Directory> Directory::read(std::span<const std::byte> segment, std::string_view whose) {
  const int whose_bytes = static_cast<int>(whose.size());
  if (segment.size() < kDirectoryBytes) {
    return make_error(Code::failed_precondition, 0, {}, "%.*s has %zu bytes, fewer than a directory (%zu)", whose_bytes,
                      whose.data(), segment.size(), kDirectoryBytes);
  }
  DirectoryHeader header;
  opaque_copy(&header, segment.data(), sizeof header);
  if (header.magic != kSegmentMagic) {
    return make_error(Code::failed_precondition, 0, "is it another program's memory file?",
                      "%.*s does not begin with the magic of a segment: %016llx instead of %016llx", whose_bytes,
                      whose.data(), static_cast<unsigned long long>(header.magic),
                      static_cast<unsigned long long>(kSegmentMagic));
  }
  if (header.layout != kLayoutVersion) {
    return make_error(Code::failed_precondition, 0, "build both sides with the same version of taut",
                      "%.*s has layout version %u; this side knows %u", whose_bytes, whose.data(), header.layout,
                      kLayoutVersion);
  }
  if (header.region_count > kRegionsMax || header.segment_bytes != segment.size()) {
    return make_error(Code::failed_precondition, 0, {},
                      "%.*s says that it has %u regions in %llu bytes; it has %zu bytes and %zu regions at most",
                      whose_bytes, whose.data(), header.region_count,
                      static_cast<unsigned long long>(header.segment_bytes), segment.size(), kRegionsMax);
  }

  Directory directory;
  directory.whose_ = whose;
  directory.link_ = header.link;
  std::vector<Region> regions(header.region_count);
  opaque_copy(regions.data(), segment.data() + sizeof header, regions.size() * sizeof(Region));
  for (const Region& region : regions) {
    if (!is_known(region.kind)) continue;
    const auto kind = static_cast<RegionKind>(region.kind);
    if (region.offset < kDirectoryBytes || region.offset > segment.size() || region.bytes == 0 ||
        region.bytes > segment.size() - region.offset) {
      return make_error(Code::failed_precondition, 0, {},
                        "%.*s puts its region '%s' %u at %llu with %llu bytes; it has %zu", whose_bytes, whose.data(),
                        to_text(kind).data(), region.index, static_cast<unsigned long long>(region.offset),
                        static_cast<unsigned long long>(region.bytes), segment.size());
    }
    if (directory.find(kind, region.index) != nullptr) {
      return make_error(Code::failed_precondition, 0, {}, "%.*s has its region '%s' %u twice", whose_bytes,
                        whose.data(), to_text(kind).data(), region.index);
    }
    directory.regions_.push_back(region);
  }
  return directory;
}

const Region* Directory::find(RegionKind kind, std::uint32_t index) const noexcept {
  for (const Region& region : regions_) {
    if (region.kind == static_cast<std::uint32_t>(kind) && region.index == index) return &region;
  }
  return nullptr;
}

Result<std::size_t> Directory::offset_of(RegionKind kind, std::uint32_t index, std::size_t bytes,
                                         std::size_t alignment) const {
  const Region* region = find(kind, index);
  if (region == nullptr) {
    return make_error(Code::failed_precondition, 0, {}, "%s has no region '%s' %u", whose_.c_str(),
                      to_text(kind).data(), index);
  }
  if (region->bytes != bytes || region->offset % alignment != 0) {
    return make_error(Code::failed_precondition, 0, {},
                      "%s puts its region '%s' %u at %llu with %llu bytes; needed are %zu bytes at a multiple of %zu",
                      whose_.c_str(), to_text(kind).data(), index, static_cast<unsigned long long>(region->offset),
                      static_cast<unsigned long long>(region->bytes), bytes, alignment);
  }
  return static_cast<std::size_t>(region->offset);
}

}  // namespace taut::memory
