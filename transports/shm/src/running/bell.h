// The bell: one byte on the link's socket wakes a peer that sleeps in its control plane. The byte says nothing but
// "look at your rings"; it is dropped unread.
//
// Threads  any.
// Waits    never: one system call.
#pragma once

#include <sys/socket.h>

#include <cstddef>

namespace taut::shm {

// A socket that takes no more holds bytes that the peer has not seen yet, so nothing is lost when this fails.
inline void ring_bell(int socket) noexcept {
  const char bell = 0;
  (void)::send(socket, &bell, sizeof bell, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace taut::shm
