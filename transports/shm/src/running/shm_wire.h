// One end of a link through shared memory.
//
// Threads  the dispatcher's.
// Memory   both segments stay mapped until it is destroyed, also when the peer is dead: the survivor reads what the
//          server was about to run.
#pragma once

#include <array>
#include <memory>

#include "link_state.h"
#include "taut/memory/board.h"
#include "taut/memory/control_page.h"
#include "taut/rpc/transport.h"
#include "taut/shm/link_segment.h"

namespace taut::shm {

// What the handshake collected.
struct WireParts {
  rpc::Agreement agreement;
  LinkSegment own;
  PeerLinkSegment peer;
  memory::PeerBoard peer_board;                  // state() is null: the peer has no board
  std::shared_ptr<memory::ControlPage> control;  // on a server's end
  memory::PeerControlPage peer_control;          // on a client's end
  std::shared_ptr<LinkState> state;
};

class ShmWire final : public rpc::Wire {
 public:
  explicit ShmWire(WireParts parts);
  ~ShmWire() override;

  [[nodiscard]] const rpc::Agreement& agreement() const noexcept override { return parts_.agreement; }
  [[nodiscard]] const ring::LaneMemory& lane(ring::Lane lane) const noexcept override {
    return lanes_[static_cast<std::size_t>(lane)];
  }
  [[nodiscard]] rpc::Counters& counters() noexcept override { return parts_.own.counters(); }
  [[nodiscard]] rpc::ArenaMemory arena() const noexcept override {
    return {parts_.own.arena(), parts_.peer.releases(), parts_.peer.arena(), parts_.own.releases()};
  }
  [[nodiscard]] const ring::SharedWord* peer_board() const noexcept override { return parts_.peer_board.state(); }
  [[nodiscard]] const ring::SharedWord* halt_word() const noexcept override;
  void ring_bell() noexcept override;
  [[nodiscard]] bool unwatched() const noexcept override { return unwatched_; }
  Result<void> watch(rpc::ControlPlane& control) override;
  void close() noexcept override;

 private:
  bool unwatched_ = true;
  WireParts parts_;
  std::array<ring::LaneMemory, ring::kLaneCount> lanes_;
};

}  // namespace taut::shm
