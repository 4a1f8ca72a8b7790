// For tests that run a server in a process of its own and look at what the running path does.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>

#include "orders.taut.h"

namespace running_path {

struct Desk final : desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    reply.send({.id = order.id(), .desk_id = order.id() + order.quantity(), .open = order.quantity()});
  }
};

struct Shared {
  std::atomic<bool> ready{false};
  std::atomic<std::uint64_t> allocations{0};  // of the server
};

inline Shared& shared_memory() {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return *new (memory) Shared;
}

// `calls` answered orders, one after the other. False at the first that is not right.
inline bool place_waiting(desk::Orders::Client& orders, std::uint64_t calls) {
  for (std::uint64_t i = 1; i <= calls; ++i) {
    const auto ack = orders.Place({.id = i, .quantity = 5, .party = {}}, taut::wait);
    if (!ack || ack->desk_id() != i + 5) return false;
  }
  return true;
}

}  // namespace running_path
