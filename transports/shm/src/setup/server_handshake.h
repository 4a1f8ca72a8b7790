// The server's end of one handshake, from the accepted connection to the link. Or to a refusal, which carries a
// sentence; or to an answered question of a tool.
//
// Checked, in this order: the packet arrived whole; the sender's uid; magic, length, layout and type; the offer;
// exactly the expected descriptors; the sender's process is held; seals, size and blocks of the segment and the board;
// their directories; seals, size and method table of what the client serves.
//
// Threads  the control plane's.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "../running/shm_wire.h"
#include "message_socket.h"
#include "spare_segments.h"
#include "taut/rpc/control_plane.h"
#include "taut/rpc/seats.h"

namespace taut::shm {

class ShmAcceptor;

class ServerHandshake final : public rpc::ControlPlane::Source {
 public:
  ServerHandshake(ShmAcceptor& acceptor, memory::Descriptor socket) noexcept;
  ~ServerHandshake() override;

  // Watches the connection; refused when the control plane has no room.
  Result<void> begin();
  // Sends the sentence, if the peer takes it, and ends.
  void refuse(const Error& error) noexcept;
  // Nothing is watched any more; the owner may let go of it.
  void end() noexcept;
  [[nodiscard]] std::chrono::steady_clock::time_point begun_at() const noexcept { return begun_at_; }

 private:
  void on_ready(int fd, std::uint32_t events) override;
  void on_time() override;
  Result<void> handle(Packet& packet);
  Result<void> describe(const Packet& packet);
  Result<void> show(const Packet& packet);
  Result<void> welcome(Packet& packet);
  Result<void> confirm(const Packet& packet);
  // What the server may call; empty: nothing.
  Result<rpc::MethodTable> methods_of_client(const Hello& hello, Packet& packet) const;

  ShmAcceptor& acceptor_;
  memory::Descriptor socket_;
  const std::chrono::steady_clock::time_point begun_at_ = std::chrono::steady_clock::now();
  // From the hello on.
  Peer peer_;
  std::shared_ptr<rpc::Seat> seat_;  // the dispatcher that the link is dealt to
  std::optional<WireParts> parts_;
  bool ended_ = false;
};

}  // namespace taut::shm
