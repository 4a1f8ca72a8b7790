// Kernel constants and calls that the headers of Debian 12 (Linux 6.1, glibc 2.36) lack or get wrong. The kernel that
// runs decides whether they work: each use falls back when they are refused.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// include/uapi/linux/memfd.h, Linux 6.3
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
// include/uapi/linux/fcntl.h, Linux 6.3
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
// include/uapi/asm-generic/mman-common.h, Linux 5.14
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
// include/uapi/asm-generic/socket.h, Linux 6.5
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
// include/linux/socket.h, Linux 6.5
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

namespace taut::memory {

// glibc 2.36 declares pidfd_open() without extern "C", so C++ programs cannot link it.
inline int open_pidfd(pid_t pid) noexcept { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace taut::memory
