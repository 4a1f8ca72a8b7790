// From the segments of a link to what people want to know of it.
//
// Threads  values.
#pragma once

#include "memory_files.h"
#include "taut/memory/directory.h"
#include "taut/memory/segment.h"
#include "taut/shm/observe.h"

namespace taut::shm {

// A segment of somebody else, mapped, and its directory, checked.
struct SegmentView {
  static Result<SegmentView> open(MemoryFile& file);
  memory::PeerSegment segment;
  memory::Directory directory;
  ino_t inode;

  // Of at least sizeof(T) at T's alignment; null: there is none.
  template <class T>
  [[nodiscard]] const T* at(memory::RegionKind kind, std::uint32_t index) const noexcept {
    const memory::Region* region = directory.find(kind, index);
    if (region == nullptr || region->bytes < sizeof(T) || region->offset % alignof(T) != 0) return nullptr;
    return reinterpret_cast<const T*>(segment.data() + region->offset);
  }
};

// When did the link of this segment come up, as its owner says; 0: it is a spare, or is still being made.
SharedAgreement agreement_of(const SegmentView& segment) noexcept;

// Either segment may be null: the other process took its own with it, or what it has cannot be read.
ObservedLink observe_link(std::string service, std::uint64_t id, const SegmentView* client, const SegmentView* server,
                          const ObserveOptions& options);

}  // namespace taut::shm
