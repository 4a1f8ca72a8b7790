// One page a service: the halt word, and who set it. It is the one thing that others than its owner may write: tools
// of the same user, through /proc/PID/fd, even while the server hangs. Clients get a descriptor that only reads.
//
//   offset  bytes  region `control` (128 aligned)
//        0      8  halt: 0 runs, anything else is halted
//        8      8  pid of who stored it, in its own namespace
//       16      8  uid of who stored it
//       24      8  when: CLOCK_REALTIME in nanoseconds
//       32     96  why: text that ends at the first 0
//
// Threads  halt is loaded by anyone at any time; the other fields are for people and may be read torn.
// Memory   mode 0600, sealed SHRINK and GROW only. Kept by a child of fork(), like the board.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "taut/base/result.h"
#include "taut/memory/board.h"
#include "taut/memory/segment.h"

namespace taut::memory {

struct ControlWords {
  SharedWord halt;
  std::uint64_t set_by_pid;
  std::uint64_t set_by_uid;
  std::uint64_t set_at_ns;
  char why[96];
};
static_assert(sizeof(ControlWords) == 128 && offsetof(ControlWords, why) == 32);
static_assert(std::is_standard_layout_v<ControlWords>);

class ControlPage {
 public:
  // The service's own: `name` is what /proc/PID/fd shows.
  static Result<ControlPage> create(const std::string& name);
  // For a tool of the same user, which found it under /proc/PID/fd and opened it for reading and writing.
  static Result<ControlPage> adopt(Descriptor fd);

  [[nodiscard]] ControlWords& words() const noexcept { return *words_; }
  void halt(std::string_view why) const noexcept;
  void resume() const noexcept;
  // For clients: a descriptor that cannot write, made anew through /proc/self/fd.
  [[nodiscard]] Result<Descriptor> open_read_only() const;
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  ControlPage(Descriptor fd, Mapping mapping, ControlWords* words) noexcept;
  static Result<ControlPage> from(Descriptor fd, std::string_view whose);
  Descriptor fd_;
  Mapping mapping_;
  ControlWords* words_;
};

// A client's view. Refused: a descriptor that could write, the wrong size, missing seals.
class PeerControlPage {
 public:
  static Result<PeerControlPage> open(Descriptor fd, std::string_view whose);
  PeerControlPage() noexcept = default;
  [[nodiscard]] const ControlWords* words() const noexcept { return words_; }

 private:
  PeerControlPage(Mapping mapping, const ControlWords* words) noexcept : mapping_(std::move(mapping)), words_(words) {}
  Mapping mapping_;
  const ControlWords* words_ = nullptr;
};

}  // namespace taut::memory
