// Who may be asleep. Each dispatcher owns one board that it alone writes and all its peers read, so that a sender
// rings the bell of a sleeper and spends nothing on a peer that declared that it never sleeps.
//
// A sender commits its records with release as always and asks bell_wanted() once behind the last of them; a sleeper
// says announce_sleep() and then looks at every head once more. Of two fences one comes first: either the sleeper sees
// the record or the sender sees the sleeper. One fence covers any number of records (docs/decisions/0002).
//
// A memory policy for a board offers store_state(bits, order), load_state(order) and fence(order).
#pragma once

#include "taut/ring/order.h"
#include "taut/ring/record.h"

namespace taut::ring {

namespace board {
inline constexpr u64 asleep = 1;
inline constexpr u64 never_sleeps = 2;
inline constexpr u64 draining = 4;
}  // namespace board

// After this, look at every head: sleep only if all are empty. `bits` are the board's other bits.
template <class Memory>
void announce_sleep(Memory& memory, u64 bits) noexcept {
  memory.store_state(bits | board::asleep, Order::relaxed);
  // sync(sleep): pairs with the fence in bell_wanted().
  memory.fence(Order::seq_cst);
}

// Relaxed: a sender that still sees `asleep` rings once for nothing.
template <class Memory>
void announce_awake(Memory& memory, u64 bits) noexcept {
  memory.store_state(bits & ~board::asleep, Order::relaxed);
}

// Behind a commit to a peer that may sleep: must its bell be rung?
template <class Memory>
[[nodiscard]] bool bell_wanted(Memory& memory) noexcept {
  // sync(sleep): pairs with the fence in announce_sleep().
  memory.fence(Order::seq_cst);
  return (memory.load_state(Order::relaxed) & board::asleep) != 0;
}

}  // namespace taut::ring
