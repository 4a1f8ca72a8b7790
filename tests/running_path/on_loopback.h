// A server and a client on one thread, over the loopback transport: what the programs whose instructions are counted
// stand on. Time stands still, so that every run does the same.
//
// Threads  one.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "taut/loopback/loopback.h"

namespace running_path {

class OnLoopback {
 public:
  // False: the link could not be made.
  template <class Service>
  [[nodiscard]] bool serve(Service& service) {
    auto listening = server.serve("loopback://orders", service);
    if (!listening) return false;
    listener_.emplace(*std::move(listening));
    network_.drive(server);
    auto made = client.connect("loopback://orders");
    if (!made) return false;
    link.emplace(*std::move(made));
    return true;
  }

 private:
  std::vector<std::unique_ptr<taut::rpc::Transport>> only_loopback() {
    std::vector<std::unique_ptr<taut::rpc::Transport>> transports;
    transports.push_back(network_.transport());
    return transports;
  }
  const taut::Ticks ticks_ = 1;
  taut::loopback::Network network_;

 public:
  taut::rpc::Dispatcher server{only_loopback(), {.clock = taut::Clock::manual(&ticks_)}};
  taut::rpc::Dispatcher client{only_loopback(), {.clock = taut::Clock::manual(&ticks_)}};
  std::optional<taut::Link> link;

 private:
  std::optional<taut::Listener> listener_;
};

}  // namespace running_path
