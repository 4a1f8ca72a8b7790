// Named pipes that never make anybody wait.
//
// Threads  any.
// Waits    never: a pipe that is empty or full moves 0 bytes.
// Trust    a name may lead to anything: what is no pipe of this user is refused.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "taut/base/result.h"
#include "taut/memory/descriptor.h"

namespace pipe_transport {

struct Moved {
  std::size_t bytes = 0;
  bool closed = false;  // the other end is gone
};
Moved read_some(int fd, std::span<std::byte> into) noexcept;
// Never raises SIGPIPE.
Moved write_some(int fd, std::span<const std::byte> from) noexcept;

// Makes a pipe of this name, for this user alone.
taut::Result<void> make_fifo(const std::string& path);
// `flags` are those of open(); O_NONBLOCK, O_CLOEXEC and O_NOFOLLOW are added.
taut::Result<taut::memory::Descriptor> open_fifo(const std::string& path, int flags);

}  // namespace pipe_transport
