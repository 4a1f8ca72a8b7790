// Asks a live service what it is: for tools, which have no stubs. Names of services: service_directory.h.
//
// Threads  any.
// Waits    up to `timeout`.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/result.h"
#include "taut/rpc/method_table.h"
#include "taut/rpc/transport.h"

namespace taut::shm {

struct ServiceInfo {
  std::string url;
  int pid = 0;  // of the server; 0: in a PID namespace that this process cannot see
  std::uint32_t links = 0;
  rpc::MethodTable methods;
  // The binary schema (.bfbs) of each of the table's services; empty: it has none.
  std::vector<std::vector<std::byte>> schemas;
};

// `allow.uids` are trusted as in a client's URL. not_found: no such service; unavailable: its server is gone;
// deadline_exceeded: it does not answer.
Result<ServiceInfo> describe(const std::string& service, Nanoseconds timeout = std::chrono::seconds(1),
                             const std::string& directory = {}, const rpc::AllowedUsers& allow = {});

}  // namespace taut::shm
