// Watches one link that is up, from the control plane: bell bytes, the goodbye, and the peer's death.
//
//   goodbye                    peer_closed
//   pidfd readable             peer_died (what the peer said before counts first)
//   hang-up without a goodbye  proves nothing: a dying process closes its sockets a little before its pidfd says so.
//                              Who still lives a second later has closed it, as exec() does: peer_closed, and runs on
//   refusal                    peer_closed: the server gave the link up when the client held it for made
//   any other message          peer_violation
//
// Threads  the control plane's, which owns it.
#pragma once

#include <memory>

#include "link_state.h"
#include "taut/rpc/control_plane.h"

namespace taut::shm {

class LinkWatch final : public rpc::ControlPlane::Source {
 public:
  // Refused when there is no room in the control plane.
  static Result<void> begin(rpc::ControlPlane& control, std::shared_ptr<LinkState> state);
  ~LinkWatch() override;

  void on_ready(int fd, std::uint32_t events) override;
  void on_time() override;

 private:
  LinkWatch(rpc::ControlPlane& control, std::shared_ptr<LinkState> state) noexcept;
  enum class Heard { nothing, goodbye, refusal, violation, hang_up };
  Heard listen(int packets_max) noexcept;
  void end(Why why, const char* how, bool runs_on = false);
  void leave() noexcept;

  rpc::ControlPlane& control_;
  std::shared_ptr<LinkState> state_;
};

}  // namespace taut::shm
