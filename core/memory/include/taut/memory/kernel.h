// Kernel constants that the headers of Linux 6.1 (Debian 12) do not name yet. The kernel that runs decides whether
// they work: each use falls back when they are refused.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

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
