#include "pipe_transport.h"

#include "handshake.h"

namespace pipe_transport {
namespace {

class PipeTransport final : public taut::rpc::Transport {
 public:
  explicit PipeTransport(const Options& options) : options_(options) {}
  [[nodiscard]] std::string_view scheme() const noexcept override { return "pipe"; }
  taut::Result<std::unique_ptr<taut::rpc::Acceptor>> listen(const taut::rpc::Url& url,
                                                            taut::rpc::ListenContext context) override {
    return PipeAcceptor::listen(url, std::move(context), options_);
  }
  taut::Result<std::unique_ptr<taut::rpc::Connector>> connect(const taut::rpc::Url& url,
                                                              taut::rpc::ConnectContext context) override {
    auto options = taut::rpc::read_options(url, context.options);
    if (!options) return options.error();
    context.options = *options;
    return std::unique_ptr<taut::rpc::Connector>(std::make_unique<PipeConnector>(url, std::move(context), options_));
  }

 private:
  const Options options_;
};

}  // namespace

std::unique_ptr<taut::rpc::Transport> make_transport(Options options) {
  return std::make_unique<PipeTransport>(options);
}

}  // namespace pipe_transport
