// A service's listener: accepts connections and leads each through its handshake.
//
// Threads  the control plane's.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "description.h"
#include "service_name.h"
#include "spare_segments.h"
#include "taut/memory/control_page.h"
#include "taut/rpc/transport.h"
#include "taut/shm/transport.h"
#include "users.h"

namespace taut::shm {

class ServerHandshake;

// What all handshakes of a listener need of it.
struct ServiceParts {
  rpc::ListenContext context;
  TransportOptions options;
  std::string name;  // orders
  std::string url;   // shm://orders
  Users users;
  std::shared_ptr<memory::ControlPage> control_page;
  DescriptionFile description;
  std::shared_ptr<std::atomic<std::uint32_t>> links;  // that are up
};

class ShmAcceptor final : public rpc::Acceptor, private rpc::ControlPlane::Source {
 public:
  static Result<std::unique_ptr<rpc::Acceptor>> listen(const rpc::Url& url, rpc::ListenContext context,
                                                       const TransportOptions& options);
  ~ShmAcceptor() override;
  [[nodiscard]] const std::string& url() const noexcept override { return parts_.url; }
  [[nodiscard]] bool deals() const noexcept override { return true; }

  // For its handshakes.
  [[nodiscard]] ServiceParts& parts() noexcept { return parts_; }
  [[nodiscard]] SpareSegments& spares() noexcept { return *spares_; }
  void finished(ServerHandshake& handshake) noexcept;
  void log_refusal(const Error& error);

 private:
  ShmAcceptor(ServiceName name, ServiceParts parts, std::unique_ptr<SpareSegments> spares, memory::Descriptor reserve);
  void on_ready(int fd, std::uint32_t events) override;
  void on_time() override;
  // Drops the oldest handshake if it has had its time. False: the next one has to wait.
  bool has_room_for_a_handshake();
  void pause_until(std::chrono::steady_clock::time_point when);
  void begin_handshake(memory::Descriptor socket);
  // No descriptor is left for a connection. False: not even to refuse it.
  bool refuse_for_want_of_descriptors();

  ServiceParts parts_;
  ServiceName name_;
  std::unique_ptr<SpareSegments> spares_;
  // Given up to accept and refuse what could otherwise neither be accepted nor got rid of.
  memory::Descriptor reserve_;
  std::vector<ServerHandshake*> handshakes_;  // oldest first; the control plane owns them
  bool paused_ = false;                       // nothing is accepted until on_time()
  std::chrono::steady_clock::time_point log_window_{};
  unsigned log_lines_ = 0;
};

}  // namespace taut::shm
