// Memory that one process writes and others read: a sealed memfd. Nobody, not even its owner, can shrink it, grow it,
// punch holes into it or map it for writing anew; so a reader never meets SIGBUS and no peer writes our words.
//
// Threads  values. What lies inside is said by directory.h.
// Memory   all reserved and touched by create() and open_peer(); nothing grows afterwards.
// Trust    a descriptor of a peer is checked by open_peer() before a byte of it is read.
//
// I1  A Segment's seals are set before its descriptor can leave the process.
// I2  Every block of a mapped peer segment exists, and the seals keep it so.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "taut/base/result.h"
#include "taut/memory/descriptor.h"
#include "taut/memory/mapping.h"

namespace taut::memory {

// Sizes of segments are multiples of this, whatever the machine's page.
inline constexpr std::size_t kSegmentStep = 4096;

// Our own: mapped read-write, in this process only.
class Segment {
 public:
  // `name` is what /proc/PID/fd shows behind "/memfd:".
  static Result<Segment> create(const std::string& name, std::size_t bytes, InChild in_child = InChild::unmapped);

  [[nodiscard]] std::byte* data() const noexcept { return mapping_.data(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return mapping_.bytes(); }
  // To be passed to peers; it stays open so that tools find the segment.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  // The mapping needs no descriptor.
  void close_descriptor() noexcept { fd_.reset(); }

 private:
  Segment(std::string name, Descriptor fd, Mapping mapping) noexcept;
  std::string name_;
  Descriptor fd_;
  Mapping mapping_;
};

// A peer's: mapped read-only.
class PeerSegment {
 public:
  PeerSegment() noexcept = default;
  [[nodiscard]] const std::byte* data() const noexcept { return mapping_.data(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return mapping_.bytes(); }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // The mapping needs no descriptor; tools that look for the segment do.
  void close_descriptor() noexcept { fd_.reset(); }

 private:
  friend Result<PeerSegment> open_peer(Descriptor, std::size_t, std::string_view, InChild);
  PeerSegment(Descriptor fd, Mapping mapping) noexcept;
  Descriptor fd_;
  Mapping mapping_;
};

// Refuses, in a sentence that begins with `whose` ("the client's segment"), whatever could fault or change size later:
// no memory file, a needed seal missing, another size than `bytes`, blocks that do not exist.
Result<PeerSegment> open_peer(Descriptor fd, std::size_t bytes, std::string_view whose,
                              InChild in_child = InChild::unmapped);

// An empty memory file of `bytes`, reserved and not yet sealed; for what is no Segment (control page, descriptions).
Result<Descriptor> create_memory_file(const std::string& name, std::size_t bytes);
Result<void> add_seals(int fd, int seals, std::string_view name);

// "SHRINK|GROW", for sentences and tools.
std::string describe_seals(int seals);

}  // namespace taut::memory
