// What the two processes of the demo and their parent share: one mapping, made before the fork.
//
//   parent   forks both, waits with a watchdog, prints
//   server   serves Orders, and echoes rounds of the floor
//   client   calls, measures both, fills in the results
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "orders.taut.h"

namespace taut::tool {

inline constexpr int kBatch = 256;
inline constexpr const char* kDemoUrl = "shm://demo";

// One cache line each way, two apart, since lines are fetched in pairs.
struct alignas(128) FloorLine {
  std::atomic<std::uint64_t> value{0};
};

struct Spread {
  double p10, p50, p90;
};

struct DemoResults {
  bool done;
  std::uint64_t calls;
  std::uint64_t errors;
  std::uint64_t rounds;  // that were measured
  Spread floor_ns;       // of means of kBatch
  Spread call_ns;
  Spread ratio;        // of the two means of one round
  double call_p99_ns;  // of single stamps
  double call_p999_ns;
  double call_max_ns;
  double counter_step_ns;
  char request[512];  // as JSON
  char reply[512];
  char first_error[512];
};

struct DemoShared {
  FloorLine ping;
  FloorLine pong;
  std::atomic<bool> server_ready{false};
  std::uint64_t calls;  // to make
  bool yields;          // there is one CPU only: give it away between polls
  DemoResults results;
};

// What the server answers, computed from every field of the order; the client computes it too.
struct Expected {
  std::uint64_t desk_id;
  std::uint32_t open;
};
inline Expected expected_ack(std::uint64_t id, std::int32_t price, std::uint32_t quantity, desk::Side side,
                             std::uint64_t symbol, std::uint32_t client) noexcept {
  const auto money = static_cast<std::uint64_t>(static_cast<std::uint32_t>(price)) << 32 | quantity;
  const std::uint64_t desk_id = (id ^ symbol) * 0x9e37'79b9'7f4a'7c15 + (money ^ client) * 0xc2b2'ae3d'27d4'eb4f;
  return {desk_id, side == desk::Side::buy ? quantity : quantity / 2};
}

// The bodies of the processes; their exit codes.
int demo_server(DemoShared& shared, int cpu);
int demo_client(DemoShared& shared, int cpu);

// The tight bounce: spins without a pause, as the floor is defined.
inline void await_line(const FloorLine& line, std::uint64_t value, bool yields) noexcept {
  // sync(demo-floor): pairs with the release store of the other process. No bytes travel with it; the orders are those
  // of a ring's commit word, whose price the floor is.
  if (!yields) {
    while (line.value.load(std::memory_order_acquire) != value) {
    }
    return;
  }
  while (line.value.load(std::memory_order_acquire) != value) sched_yield();
}

// Pins the calling thread; cpu < 0: leaves it where it is.
void pin_to(int cpu) noexcept;

}  // namespace taut::tool
