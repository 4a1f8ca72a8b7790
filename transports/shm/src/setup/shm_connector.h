// The client's end of one handshake at a time, from attempt() to the link or to one sentence that says what is wrong.
//
// Threads  the control plane's.
#pragma once

#include <optional>
#include <string>

#include "../running/shm_wire.h"
#include "description.h"
#include "message_socket.h"
#include "taut/rpc/transport.h"
#include "taut/shm/transport.h"
#include "users.h"

namespace taut::shm {

class ShmConnector final : public rpc::Connector, private rpc::ControlPlane::Source {
 public:
  static Result<std::unique_ptr<rpc::Connector>> make(const rpc::Url& url, rpc::ConnectContext context,
                                                      const TransportOptions& options);
  ~ShmConnector() override;
  // While an attempt runs, another one is not begun.
  void attempt() override;

 private:
  ShmConnector(std::string service, rpc::ConnectContext context, const TransportOptions& options, Users users,
               DescriptionFile description);
  void on_ready(int fd, std::uint32_t events) override;
  void on_time() override;
  Result<void> begin();
  Result<void> handle(Packet& packet);
  [[nodiscard]] Result<void> check(const Packet& packet) const;
  Result<void> read_welcome(Packet& packet);
  Result<void> read_ready(const Packet& packet);
  Result<void> link_up();
  [[nodiscard]] Error refusal_in(const Packet& packet) const;
  [[nodiscard]] Error why_unheard(int os_errno) const;
  void stop() noexcept;
  void fail(const Error& error);

  const std::string service_;
  const std::string server_;  // "the server of shm://orders", for sentences
  rpc::ConnectContext context_;
  const TransportOptions options_;
  const Users users_;
  const DescriptionFile description_;  // of what the server may call; no bytes: nothing

  // Of the attempt that runs.
  memory::Descriptor socket_;
  std::optional<LinkSegment> own_;
  Stamps hello_stamps_{};
  Peer peer_;
  std::optional<WireParts> parts_;  // from the welcome on
};

}  // namespace taut::shm
