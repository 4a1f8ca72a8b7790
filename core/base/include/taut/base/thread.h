// Which thread this is, cheaply enough to ask on every call.
#pragma once

#include <cstdint>
#include <string>

namespace taut {

namespace detail {
inline thread_local const char thread_marker = 0;
}

// Differs between any two living threads of a process; one instruction on x86-64.
using ThreadId = const void*;
inline ThreadId this_thread() noexcept { return &detail::thread_marker; }

// The kernel's number and name of the calling thread, for messages: 4711 'worker'.
std::string describe_this_thread();

}  // namespace taut
