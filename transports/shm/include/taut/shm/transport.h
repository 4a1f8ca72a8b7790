// Links between processes of one host, through shared memory: shm://NAME.
//
// A service is a Unix socket in a directory (service_directory.h). Over it both ends show each other who they are and
// hand over their segments; from then on every call goes through memory, and the socket carries only the bell and the
// goodbye.
//
// Descriptors  4 a link (the socket, the peer's pidfd, both segments), at the client up to 7 while it is made;
//              5 a listener (socket, directory, control page, description, reserve) and 1 a spare segment.
// Memory       a default link: 76 KiB on each side; so much is also each spare segment.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "taut/rpc/transport.h"

namespace taut::shm {

inline constexpr int kDescriptorsPerLink = 4;
inline constexpr int kDescriptorsWhileConnecting = 7;

struct TransportOptions {
  // Where the services' sockets are; empty: TAUT_DIR, or its default.
  std::string directory = {};
  // A peer that is slower than this in a handshake is dropped.
  Nanoseconds handshake_timeout = std::chrono::seconds(1);
  // Handshakes that a listener has open at once; one more drops the oldest.
  unsigned half_open_max = 64;
  // Segments that a listener keeps ready for the next links.
  unsigned spare_segments = 2;
  // Ask the kernel for pidfds with the messages (Linux 6.5); false: as older kernels do.
  bool scm_pidfd = true;
  // Where all rings begin, instead of at hashed positions: for tests that begin just below a wrap.
  std::optional<std::uint64_t> first_position = std::nullopt;
};

std::unique_ptr<rpc::Transport> make_transport(TransportOptions options = {});

}  // namespace taut::shm
