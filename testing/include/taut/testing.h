// Tests your own service and client: both in one thread, over rings that a test can hold, fill and cut, with a clock
// that the test moves. No process, no socket, no sleep.
//
//   Hello hello;
//   taut::testing::Wire wire{{.seed = 7}};
//   taut::Link link = wire.connect(hello);
//   greeter::Greeter::Client greeter{link};
//   auto reply = greeter.SayHello({.name = "World"}, taut::wait);  // the wait turns the server too
//
// What runs is the library itself; only the memory between the two sides is moved by hand (<taut/loopback/loopback.h>).
// Time stands still, except that advance() moves it, and that each wait or poll() of a link that finds nothing to do
// moves it by `step`: so a wait for an answer that never comes ends at its timeout, at once.
//
// Threads  one, the test's.
// Memory   allocates. A Wire outlives its links, and the services outlive the Wire.
// Waits    never.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "taut/rpc/dispatcher.h"

namespace taut::testing {

// Chances are between 0 and 1, each rolled for every record from the seed: the same seed, the same run.
struct WireOptions {
  std::uint64_t seed = 1;
  double drop = 0;        // a record never arrives
  double truncate = 0;    // arrives with half of its payload
  double disconnect = 0;  // the link ends instead, as if the server had died
  double late = 0;        // waits `delay` first, and everything behind it
  Nanoseconds delay{0};
  Nanoseconds step = std::chrono::microseconds(10);
  std::string link = {};  // options of its links, as in a URL: "ring=16KiB&inflight=8"
  Services serve = {};    // what connect()'s links offer the services in turn: {.serve = {events}}
};

class Wire {
 public:
  explicit Wire(WireOptions options = {});
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // Serves the services and connects to them. A mistake in the options ends the test's process with a sentence.
  template <class... Services>
  [[nodiscard]] Link connect(Services&... services) {
    Service* list[] = {&services...};
    return connect_all(list, Caller::test);
  }
  // The same for a link that a service of this wire calls through. Its callbacks run in the server's turns, so also
  // while the test waits.
  template <class... Services>
  [[nodiscard]] Link connect_inside(Services&... services) {
    Service* list[] = {&services...};
    return connect_all(list, Caller::service);
  }

  // --- time
  // Lets both sides finish what they can do now, then moves the time in up to 64 steps, each followed by the same.
  void advance(Nanoseconds time);
  // Turns both sides until neither finds anything to do. Callbacks run here.
  void settle();
  // How long it has been since the wire was made, by its clock.
  [[nodiscard]] Nanoseconds now() const noexcept;

  // --- what goes wrong. Each settles, so its callbacks have run when it returns.
  // The server dies: calls under way end with peer_died and the verdict that its marks allow. A new one is there at
  // once, with the same service objects, unless stop_serving() came first; the links reconnect.
  void cut();
  // The server goes: calls end with not_connected until serve_again().
  void stop_serving();
  void serve_again();
  // Nothing moves between the sides, as if both peers were stopped, until release().
  void hold();
  void release();
  // Holds, and fills the rings towards the server: the next call is refused with ring_full. release() empties them.
  void fill(Link& link);
  // Begins the dice anew, with other chances if they are given.
  void seed(std::uint64_t seed);
  void set_faults(const WireOptions& faults);

  // What the dispatchers logged, one line each.
  [[nodiscard]] const std::vector<std::string>& log() const noexcept;

  // Where the services live: for a service that wants its dispatcher, as for post().
  [[nodiscard]] rpc::Dispatcher& server() noexcept;

 private:
  enum class Caller { test, service };
  Link connect_all(std::span<Service* const> services, Caller caller);
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace taut::testing
