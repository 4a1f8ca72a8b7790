// The memory files that a process has open and that are named as ours are, found through /proc/PID/fd.
//
//   taut:SERVICE:N:server   the server's segment of a link, or a spare one
//   taut:SERVICE:N:client   the client's
//   taut:SERVICE:control    the control page
//   taut:SERVICE:description
//   taut:SERVICE:N:client:description   of what a client serves
//   taut:board:PID          a dispatcher's board
//
// Threads  values.
// Trust    a name is a claim: anybody can give it to a file.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taut/base/result.h"
#include "taut/memory/descriptor.h"

namespace taut::shm {

enum class FileKind : unsigned char { server_segment, client_segment, control, description, client_description, board };

struct MemoryFile {
  FileKind kind;
  std::string service;    // empty: a board
  std::string name;       // whole
  memory::Descriptor fd;  // only reads
  int number = -1;        // its descriptor's, where it was found
  ino_t inode = 0;
  off_t bytes = 0;
};

// Opened for reading. not_found, permission_denied, as observe_process() says.
Result<std::vector<MemoryFile>> memory_files_of(int pid, std::string_view service);

// Those of this process with numbers above `after`, of one service and the boards; at most `most`, in order.
std::vector<MemoryFile> own_memory_files(std::string_view service, std::uint32_t after, std::size_t most);

// What a received descriptor is; none: it is not named like ours.
std::optional<MemoryFile> memory_file(memory::Descriptor fd);

// Without opening any: kinds of the files of `service`.
std::vector<FileKind> kinds_held(int pid, std::string_view service);

// Has the process this file open? None: its files are not ours to see.
std::optional<bool> holds(int pid, ino_t inode);

}  // namespace taut::shm
