// Segments that a listener has ready for its next links: making one takes longer than a client should wait. Refilled
// from the control plane, one at a time, behind the link that took one.
//
// Threads  the control plane's.
// Memory   each spare holds what a link holds.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "taut/rpc/control_plane.h"
#include "taut/shm/link_segment.h"

namespace taut::shm {

struct SpareSegment {
  std::uint64_t link;  // the id of the link that it will belong to
  LinkSegment segment;
};

class SpareSegments final : public rpc::ControlPlane::Source {
 public:
  SpareSegments(rpc::ControlPlane& control, std::string service, RingSizes rings, std::size_t arena_bytes,
                unsigned count);
  ~SpareSegments() override;

  // Makes all of them; the first error.
  Result<void> fill();
  // A spare, or a new one when there is none.
  Result<SpareSegment> take();

 private:
  void on_time() override;
  void on_ready(int, std::uint32_t) override {}
  Result<SpareSegment> make();

  rpc::ControlPlane& control_;
  const std::string service_;
  const RingSizes rings_;
  const std::size_t arena_bytes_;
  const unsigned count_;
  std::deque<SpareSegment> spares_;
  std::uint32_t next_link_ = 1;
  std::uint32_t epoch_;  // sets the links of this listener apart from those of the server before it
  int process_;          // that made the spares: a child of fork() has none
};

}  // namespace taut::shm
