// How two processes come to share two pipes: the listener's end and the client's.
//
// Threads  the one that polls the control plane.
// Trust    a Hello or Welcome is input; what it names is made of numbers, never of bytes that the peer wrote.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipe_transport.h"
#include "protocol.h"
#include "taut/memory/descriptor.h"

namespace pipe_transport {

// The door of a service, and whoever knocks.
class PipeAcceptor final : public taut::rpc::Acceptor, taut::rpc::ControlPlane::Source {
 public:
  static taut::Result<std::unique_ptr<taut::rpc::Acceptor>> listen(const taut::rpc::Url& url,
                                                                   taut::rpc::ListenContext context,
                                                                   const Options& options);
  ~PipeAcceptor() override;
  [[nodiscard]] const std::string& url() const noexcept override { return url_; }

 private:
  PipeAcceptor(const taut::rpc::Url& url, taut::rpc::ListenContext context, const Options& options,
               taut::memory::Descriptor door);
  void on_ready(int fd, std::uint32_t events) override;
  taut::Result<void> welcome(const Hello& hello);

  std::string path_, url_;
  taut::rpc::ListenContext context_;
  Options options_;
  taut::memory::Descriptor door_;
  std::shared_ptr<void> places_;  // one reference more for each link
};

// The two pipes of one attempt; their names are gone when it is.
class OwnPipes {
 public:
  static taut::Result<OwnPipes> make(const std::string& door, std::uint32_t serial, std::size_t pipe_bytes);
  OwnPipes(OwnPipes&&) noexcept = default;
  OwnPipes& operator=(OwnPipes&&) = delete;
  ~OwnPipes();
  // The end that only writes: opened when the server reads, so that its death shows.
  [[nodiscard]] taut::Result<taut::memory::Descriptor> open_to_write() const;

  taut::memory::Descriptor down;     // read by the client
  taut::memory::Descriptor held_up;  // keeps the other one from looking closed until the client writes to it

 private:
  OwnPipes() = default;
  std::string up_path_, down_path_;  // empty: not made, or moved from
};

class PipeConnector final : public taut::rpc::Connector, taut::rpc::ControlPlane::Source {
 public:
  PipeConnector(const taut::rpc::Url& url, taut::rpc::ConnectContext context, const Options& options);
  ~PipeConnector() override { stop(); }
  void attempt() override;

 private:
  void on_ready(int fd, std::uint32_t events) override;
  void on_time() override;
  taut::Result<void> begin();
  taut::Result<void> read_welcome();
  taut::Result<void> check(const Welcome& welcome) const;
  taut::Result<void> link_up(const Welcome& welcome);
  void stop() noexcept;
  void fail(const taut::Error& error);

  std::string path_;
  taut::rpc::ConnectContext context_;
  Options options_;
  std::unique_ptr<OwnPipes> pipes_;  // while an attempt is under way
  std::vector<std::byte> heard_;
};

}  // namespace pipe_transport
