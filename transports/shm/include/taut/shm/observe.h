// Looks into links from outside: for tools. What processes share lies in memory files that carry names and are open in
// both of them, so it can be read through /proc/PID/fd also while a process hangs or is stopped, and while one end of
// a link is dead. Nothing is written, and nobody is asked or held up. Asking a service that answers: describe.h.
//
// Threads  any; every function looks at one moment and keeps nothing.
// Memory   maps each segment read-only while it copies from it.
// Waits    never, except observe_service().
// Trust    any process of the user may name its files like ours and write into them what it likes. A file is checked as
//          a peer's is (seals, size, directory) before it is read, positions are held against the ring's bounds, and
//          what cannot be true becomes a sentence in `trouble`. Payloads are copies, unchecked: check before decoding.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/result.h"
#include "taut/ring/lane.h"
#include "taut/rpc/method_table.h"
#include "taut/shm/link_segment.h"

namespace taut::shm {

struct ProcessInfo {
  int pid = 0;
  unsigned uid = 0;
  char state = '?';  // as ps shows it: R S D T Z
  std::string name;
  [[nodiscard]] bool stopped() const noexcept { return state == 'T' || state == 't'; }
};
// None: there is no such process.
std::optional<ProcessInfo> process_info(int pid);

struct ObservedRecord {
  std::uint64_t position = 0;
  ring::Head head;
  std::uint64_t call = 0;
  std::uint64_t sent = 0;                 // requests: ticks of the link's clock
  std::uint32_t budget = 0;               // requests: in steps of 16 ns
  bool torn = false;                      // overwritten while it was copied: nothing else of it is true
  bool taken = false;                     // requests: not past the mark of who runs them
  bool of_server = false;                 // a call of the server to its client: `method` counts in the client's table
  std::uint16_t extensions = 0;           // the mask of blocks behind the header
  std::optional<ring::PieceBlock> piece;  // the payload is a part of a larger message
  std::optional<std::uint16_t> method;    // of replies: of the request that they answer, where it could still be found
  std::uint32_t payload_bytes = 0;        // in the ring
  std::vector<std::byte> payload;         // a copy, of its first bytes if it is long
};

// One direction of one lane.
struct ObservedRing {
  std::uint32_t bytes = 0;  // 0: could not be read
  std::uint64_t released = 0;
  std::uint64_t position = 0;  // where the next record will begin
  std::uint64_t touched = 0;
  std::uint64_t count = 0;              // of records that are not released
  std::vector<ObservedRecord> records;  // the oldest of them
  std::string trouble;
  [[nodiscard]] std::uint64_t fill() const noexcept { return position - released; }
};

struct ObservedTaken {
  std::uint64_t position = 0;
  std::uint64_t call = 0;  // 0: none yet
  std::uint64_t method = 0;
  std::uint64_t since = 0;  // ticks of the link's clock
};

// What one process of a link keeps in its segment.
struct ObservedSide {
  bool here = false;  // its segment was found and read
  SharedAgreement agreement{};
  // Of the process that says it is this side. None: it is gone, or has closed its segment. That of another user is
  // taken at its word.
  std::optional<ProcessInfo> process;
  bool out_of_sight = false;                            // `process` is none because processes cannot be seen from here
  std::vector<std::uint64_t> counters;                  // in the order of rpc::Counters
  std::array<ObservedTaken, ring::kLaneCount> taken{};  // of the requests that it ran
  std::string trouble;
};

struct ObservedLink {
  std::string service;
  std::uint64_t id = 0;
  ObservedSide client;
  ObservedSide server;
  std::array<ObservedRing, ring::kLaneCount> requests;  // written by the client; answers to its server are there too
  std::array<ObservedRing, ring::kLaneCount> replies;   // written by the server, with its own requests
};

struct ObservedHalt {
  std::uint64_t pid = 0;
  std::uint64_t uid = 0;
  std::uint64_t at_ns = 0;  // CLOCK_REALTIME
  std::string why;
};

// A service that the process serves.
struct ObservedService {
  std::string name;
  bool described = false;
  rpc::MethodTable methods;
  std::vector<std::vector<std::byte>> schemas;
  std::optional<ObservedHalt> halt;
  unsigned spare_segments = 0;
};

struct ObservedProcess {
  ProcessInfo process;
  std::vector<ObservedService> services;
  std::vector<ObservedLink> links;
  std::vector<std::uint64_t> boards;  // the states of its dispatchers (taut/ring/board.h)
  std::vector<std::string> troubles;  // files that are named like ours and cannot be read
};

struct ObserveOptions {
  std::size_t records_max = 16;                 // copied of each ring
  std::uint32_t payload_bytes_max = 64 * 1024;  // copied of each record
  std::string service = {};                     // only its files; empty: all
  bool processes = true;                        // look for the processes of both sides
};

// not_found: no such process, or none of its files is ours; permission_denied: it is another user's.
Result<ObservedProcess> observe_process(int pid, const ObserveOptions& options = {});

// The same for a service whose process cannot be seen from here, as it lives in another container: it is asked for its
// files through its socket, which it answers while it polls. What it hands over only reads. Errors as of describe().
Result<ObservedProcess> observe_service(const std::string& service, const ObserveOptions& options = {},
                                        Nanoseconds timeout = std::chrono::seconds(1),
                                        const std::string& directory = {});

// Processes of this user in which files of `service` are open, servers first.
struct Holder {
  int pid = 0;
  bool serves = false;  // holds the service's control page
};
std::vector<Holder> holders_of(std::string_view service);

// What the service says about itself, read from a process that serves it without asking it.
Result<ObservedService> observe_description(int pid, std::string_view service);

}  // namespace taut::shm
