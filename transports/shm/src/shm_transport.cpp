#include "setup/shm_acceptor.h"
#include "setup/shm_connector.h"
#include "taut/shm/transport.h"

namespace taut::shm {
namespace {

class ShmTransport final : public rpc::Transport {
 public:
  explicit ShmTransport(TransportOptions options) : options_(std::move(options)) {}
  [[nodiscard]] std::string_view scheme() const noexcept override { return "shm"; }
  Result<std::unique_ptr<rpc::Acceptor>> listen(const rpc::Url& url, rpc::ListenContext context) override {
    return ShmAcceptor::listen(url, std::move(context), options_);
  }
  Result<std::unique_ptr<rpc::Connector>> connect(const rpc::Url& url, rpc::ConnectContext context) override {
    return ShmConnector::make(url, std::move(context), options_);
  }

 private:
  const TransportOptions options_;
};

}  // namespace

std::unique_ptr<rpc::Transport> make_transport(TransportOptions options) {
  return std::make_unique<ShmTransport>(std::move(options));
}

}  // namespace taut::shm
