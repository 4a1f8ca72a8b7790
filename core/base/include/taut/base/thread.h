// Which thread this is, cheaply enough to ask on every call.
#pragma once

#include <cstdint>
#include <string>

namespace taut {

namespace detail {
inline thread_local const char thread_marker = 0;
}

// Differs between any two living threads of a process.
using ThreadId = const void*;
inline ThreadId this_thread() noexcept {
#if defined(__x86_64__) && defined(__linux__)
  // The thread's own address of its control block, at offset 0 of the segment (System V ABI, TLS variant II): one load,
  // where a thread_local variable in position-independent code costs a call.
  ThreadId id;
  asm("mov %%fs:0, %0" : "=r"(id));
  return id;
#else
  return &detail::thread_marker;
#endif
}

// The kernel's number and name of the calling thread, for messages: 4711 'worker'.
std::string describe_this_thread();

}  // namespace taut
