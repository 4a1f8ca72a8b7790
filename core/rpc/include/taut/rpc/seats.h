// The dispatchers that share a listener, a seat each. Each link is dealt to the seat that has the fewest, and stays
// there: its bells, its calls and its end belong to that dispatcher's thread.
//
// Threads  any; what is handed over goes through the dispatcher's Inbox.
// Memory   allocates: set-up.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/result.h"
#include "taut/memory/board.h"
#include "taut/rpc/service.h"
#include "taut/rpc/transport.h"

namespace taut::rpc {

// One dispatcher's place at a listener.
class Seat {
 public:
  struct Parts {
    std::uint64_t endpoint;  // names the listener in the dispatcher's Inbox
    Inbox& inbox;
    ControlPlane& control;
    std::shared_ptr<const memory::Board> board;
    std::vector<Service*> services;
  };
  explicit Seat(Parts parts) : parts_(std::move(parts)), inbox_(&parts_.inbox) {}

  [[nodiscard]] std::uint64_t endpoint() const noexcept { return parts_.endpoint; }
  // To be passed to peers; open as long as the seat.
  [[nodiscard]] int board_fd() const noexcept { return parts_.board->fd(); }
  [[nodiscard]] std::span<Service* const> services() const noexcept { return parts_.services; }
  // For what outlives no link of this seat.
  [[nodiscard]] Inbox& inbox() const noexcept { return parts_.inbox; }
  [[nodiscard]] bool is_of(const ControlPlane& control) const noexcept { return &parts_.control == &control; }

  // Hands a link to the dispatcher. When it has left, the link is closed: its client tries again.
  void link_up(std::unique_ptr<Wire> wire);
  // From here on nothing is handed over.
  void leave() noexcept;
  [[nodiscard]] bool has_left() noexcept;

 private:
  friend class Seats;
  const Parts parts_;
  std::atomic<std::uint32_t> links_count_{0};  // dealt to it and not gone
  std::mutex mutex_;
  Inbox* inbox_;  // null: it has left
};

class Seats {
 public:
  // Of a listener with these services, whose links keep time by `clock`.
  Seats(std::span<Service* const> services, Clock clock, LinkOptions limits);
  [[nodiscard]] const LinkOptions& limits() const noexcept { return limits_; }

  // The listener is up under this URL, and its transport deals links or gives all of them to the first seat.
  void open(std::string url, bool deals);
  // The listener is gone.
  void close() noexcept;

  // A further dispatcher. Refused: other services, a service object that another seat runs and that does not say it
  // is thread-safe, another clock, a listener that is gone or deals no links.
  Result<std::shared_ptr<Seat>> join(Seat::Parts parts, Clock clock);
  // The first one, unchecked.
  std::shared_ptr<Seat> found(Seat::Parts parts);

  // The seat for the next link, which counts as its as long as the result is held. Null: everybody has left.
  [[nodiscard]] std::shared_ptr<Seat> deal();

 private:
  [[nodiscard]] Result<void> check(const Seat::Parts& parts, const Clock& clock) const;
  void forget_the_left() noexcept;

  std::mutex mutex_;
  const std::vector<Service*> services_;
  const ClockSource clock_;
  const LinkOptions limits_;
  std::string url_;
  bool deals_ = false;
  bool closed_ = false;
  std::vector<std::shared_ptr<Seat>> seats_;
};

}  // namespace taut::rpc
