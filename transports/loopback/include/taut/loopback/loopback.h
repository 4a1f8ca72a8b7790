// A transport for tests: both ends in one thread, records moved by hand, and a seed that decides what goes wrong.
// The ends run the very rings and the very code that every other transport runs.
//
//   taut::loopback::Network network({.seed = 7, .drop = 0.01});
//   taut::rpc::Dispatcher server(transports(network), {}), client(transports(network), {});
//   network.drive(server);   // so that a wait of the client also turns the server
//
// Threads  one: every dispatcher that shares a Network polls on it.
// Memory   links allocate when they are made; moving records allocates only to remember positions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "taut/rpc/dispatcher.h"
#include "taut/rpc/transport.h"

namespace taut::loopback {

// What may happen to a record on its way; chances between 0 and 1, rolled from the seed.
struct Faults {
  std::uint64_t seed = 1;
  double drop = 0;        // never arrives
  double truncate = 0;    // arrives with fewer payload bytes
  double disconnect = 0;  // the link ends instead; what was sent before it arrives
  double late = 0;        // waits `delay` first, and everything behind it
  Nanoseconds delay{0};
};

class Wires;

// The names and links that its dispatchers share. Outlives them.
class Network {
 public:
  explicit Network(Faults faults = {});
  ~Network();

  void set_faults(const Faults& faults);
  // Polls `dispatcher` whenever another one moves records; it must outlive the network's use.
  void drive(rpc::Dispatcher& dispatcher);
  // Runs `f` whenever records are to be moved, and there are none and the driven dispatchers find nothing to do.
  void when_idle(std::function<void()> f);
  // Nothing is moved until hold(false).
  void hold(bool on);
  // Ends every link, as if the peer had died: both sides hear of it at their next turn.
  void cut();
  // Ends every link as if the server had gone in good order.
  void say_goodbye();

  [[nodiscard]] std::unique_ptr<rpc::Transport> transport();

 private:
  friend class Loopback;
  std::shared_ptr<Wires> wires_;
};

}  // namespace taut::loopback
