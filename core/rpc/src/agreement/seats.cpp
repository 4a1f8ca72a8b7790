#include "taut/rpc/seats.h"

#include <algorithm>

#include "taut/rpc/transport.h"

namespace taut::rpc {

void Seat::link_up(std::unique_ptr<Wire> wire) {
  const std::lock_guard lock(mutex_);  // so that leave() is behind it: what is in the Inbox then is seen there
  if (inbox_ != nullptr) return inbox_->link_up(parts_.endpoint, std::move(wire));
  wire->close();
}

void Seat::leave() noexcept {
  const std::lock_guard lock(mutex_);
  inbox_ = nullptr;
}

bool Seat::has_left() noexcept {
  const std::lock_guard lock(mutex_);
  return inbox_ == nullptr;
}

Seats::Seats(std::span<Service* const> services, Clock clock, LinkOptions limits)
    : services_(services.begin(), services.end()), clock_(clock.source()), limits_(std::move(limits)) {}

void Seats::open(std::string url, bool deals) {
  const std::lock_guard lock(mutex_);
  url_ = std::move(url);
  deals_ = deals;
}

void Seats::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

std::shared_ptr<Seat> Seats::found(Seat::Parts parts) {
  const std::lock_guard lock(mutex_);
  return seats_.emplace_back(std::make_shared<Seat>(std::move(parts)));
}

Result<std::shared_ptr<Seat>> Seats::join(Seat::Parts parts, Clock clock) {
  const std::lock_guard lock(mutex_);
  forget_the_left();
  if (auto checked = check(parts, clock); !checked) return checked.error();
  return seats_.emplace_back(std::make_shared<Seat>(std::move(parts)));
}

Result<void> Seats::check(const Seat::Parts& parts, const Clock& clock) const {
  if (closed_) {
    return make_error(Code::failed_precondition, 0, "serve it again, and share that listener",
                      "sharing %s, which is not served any more", url_.c_str());
  }
  if (!deals_) {
    return make_error(Code::unimplemented, 0, "share a listener of shm://",
                      "%s gives all its links to the dispatcher that serves it", url_.c_str());
  }
  if (clock.source() != clock_) {
    return make_error(Code::failed_precondition, 0, "give the dispatchers clocks of one kind",
                      "sharing %s with a dispatcher of another clock", url_.c_str());
  }
  const bool alike = std::equal(services_.begin(), services_.end(), parts.services.begin(), parts.services.end(),
                                [](Service* a, Service* b) {
                                  const ServiceDescription& one = a->description();
                                  const ServiceDescription& other = b->description();
                                  return one.name == other.name && one.fingerprint == other.fingerprint;
                                });
  if (!alike) {
    return make_error(Code::invalid_argument, 0, "name the services of the listener, in its order",
                      "sharing %s with other services than it has", url_.c_str());
  }
  for (const auto& seat : seats_) {
    for (Service* service : parts.services) {
      const auto& theirs = seat->parts_.services;
      if (service->thread_safe() || std::find(theirs.begin(), theirs.end(), service) == theirs.end()) continue;
      const std::string_view name = service->description().name;
      return make_error(Code::invalid_argument, 0,
                        "give each dispatcher an object of its own, or let the object's thread_safe() say true",
                        "sharing %s with one object of %.*s on two dispatchers", url_.c_str(),
                        static_cast<int>(name.size()), name.data());
    }
  }
  return {};
}

std::shared_ptr<Seat> Seats::deal() {
  const std::lock_guard lock(mutex_);
  forget_the_left();
  std::shared_ptr<Seat> fewest;
  for (const auto& seat : seats_) {
    if (fewest == nullptr || seat->links_count_ < fewest->links_count_) fewest = seat;
  }
  if (fewest == nullptr) return nullptr;
  ++fewest->links_count_;
  return {fewest.get(), [fewest](Seat*) { --fewest->links_count_; }};
}

// Also those whose links live on: their services may be gone with their dispatcher, and the next object may stand at
// the same address.
void Seats::forget_the_left() noexcept {
  std::erase_if(seats_, [](const auto& seat) { return seat->has_left(); });
}

}  // namespace taut::rpc
