#include "spare_segments.h"

#include <unistd.h>

#include "taut/base/clock.h"

namespace taut::shm {

SpareSegments::SpareSegments(rpc::ControlPlane& control, std::string service, RingSizes rings, std::size_t arena_bytes,
                             unsigned count)
    : control_(control),
      service_(std::move(service)),
      rings_(rings),
      arena_bytes_(arena_bytes),
      count_(count),
      process_(getpid()) {
  const std::uint64_t now = Clock::monotonic().now();
  epoch_ = static_cast<std::uint32_t>(now ^ (now >> 32) ^ (static_cast<std::uint64_t>(process_) << 16));
}

SpareSegments::~SpareSegments() { control_.forget(*this); }

Result<void> SpareSegments::fill() {
  while (spares_.size() < count_) {
    auto made = make();
    if (!made) return made.error();
    spares_.push_back(*std::move(made));
  }
  return {};
}

Result<SpareSegment> SpareSegments::take() {
  if (process_ != getpid()) {  // a server that went into the background: its memory stayed behind
    spares_.clear();
    process_ = getpid();
  }
  control_.call_at(std::chrono::steady_clock::now(), *this);
  if (spares_.empty()) return make();
  SpareSegment spare = std::move(spares_.front());
  spares_.pop_front();
  return spare;
}

void SpareSegments::on_time() {
  if (spares_.size() >= count_) return;
  // What cannot be made ahead is tried again when it is needed, and refused there in a sentence.
  auto made = make();
  if (!made) return;
  spares_.push_back(*std::move(made));
  if (spares_.size() < count_) control_.call_at(std::chrono::steady_clock::now(), *this);
}

Result<SpareSegment> SpareSegments::make() {
  const std::uint32_t number = next_link_++;
  const std::uint64_t link = std::uint64_t{epoch_} << 32 | number;
  auto segment =
      LinkSegment::create("taut:" + service_ + ":" + std::to_string(number) + ":server", rings_, link, arena_bytes_);
  if (!segment) return segment.error();
  return SpareSegment{link, *std::move(segment)};
}

}  // namespace taut::shm
