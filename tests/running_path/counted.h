// For tests that count every way into the heap, of this process and of a server in another one.
//
// Threads  one in each process.
#pragma once

#include "shared.h"
#include "taut/taut.h"

namespace running_path {

// Where this process counts; null: nowhere.
extern std::atomic<std::uint64_t>* g_allocations;

// A server in a process of its own, whose allocations are counted.
template <class Desk>
pid_t serve_counted(Shared& shared) {
  const pid_t server = fork();
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    g_allocations = &shared.allocations;
    taut::Dispatcher loop;
    Desk desk;
    auto listener = loop.serve("shm://allocations", desk);
    if (!listener) _exit(taut::report(listener.error()));
    shared.ready.store(true, std::memory_order_release);
    loop.run();
    _exit(0);
  }
  while (!shared.ready.load(std::memory_order_acquire)) {
  }
  return server;
}

}  // namespace running_path
