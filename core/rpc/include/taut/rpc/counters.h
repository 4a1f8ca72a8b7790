// What one end of a link counts, in lines of its own segment that only it writes and anyone allowed may read.
//
// Threads  written by the end's thread; read by any process.
#pragma once

#include <cstddef>

#include "taut/base/cache_line.h"
#include "taut/ring/native_memory.h"

namespace taut::rpc {

// One writer, so an increment is a load and a store. Relaxed: a counter orders nothing.
class Counter {
 public:
  void add(ring::u64 n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] ring::u64 value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  ring::SharedWord value_;
};

// A region of kind `counters`. New counters are appended; readers take as many as the region's bytes hold.
struct alignas(kSharedWordStride) Counters {
  Counter calls_sent;        // requests committed to the ring
  Counter calls_refused;     // refused before anything was sent
  Counter answers_received;  // answers that ended a call here
  Counter answers_late;      // answers to calls that had ended: timed out or cancelled
  Counter calls_timed_out;
  Counter requests_received;
  Counter requests_refused;  // answered with an error before the handler ran
  Counter requests_expired;  // of these: the deadline had passed in the ring
  Counter answers_sent;
  Counter answers_lost;  // the caller was gone when the handler answered
  Counter bells_rung;    // system calls made to wake the peer
  Counter slow_checks;   // messages that took the Verifier: another writer or schema
  Counter violations;    // the peer broke the rules: 1 at most, since the link ends
  Counter pieces_sent;
  Counter pieces_received;
  Counter buffers_allocated;  // for messages in pieces, on their way out or in; the running path allocates nothing else
  Counter calls_cancelled;    // given up by this side before their answers came, or their deadlines
  Counter cancels_received;
  Counter oneways_sent;
  Counter oneways_received;
  Counter oneways_refused;  // of these: no handler ran
  Counter items_sent;
  Counter items_received;
  Counter items_dropped;    // of these: their calls were over, or nobody had asked for items
  Counter streams_misused;  // calls that ended because the peer broke the rules of its stream
  // Of requests_refused: the limits of the listener.
  Counter requests_over_server;
  Counter requests_over_method;
  Counter requests_over_delay;
  Counter calls_held_back;  // of calls_refused: the server sheds load
};
static_assert(sizeof(Counters) == 256 && std::is_standard_layout_v<Counters>);

}  // namespace taut::rpc
