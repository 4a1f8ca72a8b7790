// As Pair, but both ends share their rings: the test sees, and may rewrite, every byte between them.
#pragma once

#include "joined.h"
#include "pair.h"

namespace taut::rpc::testing {

class JoinedPair {
 public:
  // `limits`: options of the server alone.
  explicit JoinedPair(const std::string& options = "", std::uint64_t first_position = 0, const std::string& limits = "")
      : joint(first_position) {
    auto listening = server.serve("joined://bytes" + options + limits, service);
    EXPECT_TRUE(listening) << listening.error();
    listener_.emplace(std::move(*listening));
    client.emplace(connect(options));
  }

  Ticks ticks = 1'000'000;  // nanoseconds
  Logs log;
  Joint joint;
  ByteService service;
  Dispatcher server{transports(joint.transport()), options_of()};
  Dispatcher caller{transports(joint.transport()), options_of()};
  std::optional<Client> client;

  [[nodiscard]] Listener& listener() { return *listener_; }
  [[nodiscard]] JoinedMemory& memory() { return *joint.made().memory; }
  [[nodiscard]] Counters& client_counters() { return memory().counters(0); }
  [[nodiscard]] Counters& server_counters() { return memory().counters(1); }
  [[nodiscard]] Link connect(const std::string& options = "", const LinkOptions& defaults = {}) {
    auto link = caller.connect("joined://bytes" + options, defaults);
    EXPECT_TRUE(link) << link.error();
    settle();
    return std::move(*link);
  }
  void server_turns_in_waits() { memory().turned_in_waits = &server; }
  void pass(Nanoseconds time) { ticks += static_cast<Ticks>(time.count()); }
  void settle() {
    int idle = 0;
    while (idle < 3) idle = server.poll() + caller.poll() == 0 ? idle + 1 : 0;
  }
  void settle_links() {
    for (int i = 0; i != 3; ++i) {
      pass(1ms);
      settle();
    }
  }

 private:
  DispatcherOptions options_of() {
    DispatcherOptions options;
    options.log = log.callback();
    options.clock = Clock::manual(&ticks);
    return options;
  }
  std::optional<Listener> listener_;
};

}  // namespace taut::rpc::testing
