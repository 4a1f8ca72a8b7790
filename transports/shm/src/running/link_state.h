// What a Wire and the watch over its link share: the descriptors, and where to tell that the link ended.
//
// The Wire belongs to the dispatcher's thread, the watch to the control plane's. Descriptors are closed when both let
// go of them, so that neither can use a number that means another file by now.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "taut/memory/descriptor.h"
#include "taut/rpc/seats.h"
#include "taut/rpc/transport.h"

namespace taut::shm {

struct LinkState {
  memory::Descriptor socket;
  memory::Descriptor peer;  // its pidfd
  std::uint64_t link = 0;
  std::uint64_t endpoint = 0;
  std::string peer_name;  // "client of shm://orders, pid 4711", for sentences
  const pid_t process = getpid();
  // Of a listener: its links that are up. Counted by the watch, in the control plane of whoever serves the link.
  std::shared_ptr<std::atomic<std::uint32_t>> count = std::make_shared<std::atomic<std::uint32_t>>(0);
  std::shared_ptr<const rpc::Seat> seat;  // of a listener: the dispatcher that serves the link

  // The wire was closed: the watch goes.
  std::atomic<bool> closed{false};

  // Tells the dispatcher, unless its Wire is gone. Once.
  void ended(rpc::LinkEnded how) {
    const std::lock_guard lock(mutex_);
    if (inbox_ == nullptr) return;
    inbox_->link_ended(endpoint, link, std::move(how));
    inbox_ = nullptr;
  }
  void attach(rpc::Inbox& inbox) {
    const std::lock_guard lock(mutex_);
    inbox_ = &inbox;
  }
  void detach() noexcept {
    const std::lock_guard lock(mutex_);
    inbox_ = nullptr;
  }

 private:
  std::mutex mutex_;
  rpc::Inbox* inbox_ = nullptr;
};

}  // namespace taut::shm
