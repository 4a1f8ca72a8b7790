#include "taut/taut.h"

#include <iostream>

#include "taut/loopback/loopback.h"
#include "taut/shm/transport.h"

namespace taut {
namespace {

std::vector<std::unique_ptr<rpc::Transport>> all_transports(std::unique_ptr<rpc::Transport> more = nullptr) {
  std::vector<std::unique_ptr<rpc::Transport>> transports;
  transports.push_back(shm::make_transport());
  transports.push_back(loopback::Network().transport());
  if (more) transports.push_back(std::move(more));
  return transports;
}

}  // namespace

Dispatcher::Dispatcher(DispatcherOptions options) : rpc::Dispatcher(all_transports(), std::move(options)) {}

Dispatcher::Dispatcher(DispatcherOptions options, std::unique_ptr<rpc::Transport> more)
    : rpc::Dispatcher(all_transports(std::move(more)), std::move(options)) {}

Result<Link> connect(std::string_view url, LinkOptions options) {
  return rpc::connect_alone(std::make_unique<Dispatcher>(), url, options);
}

Result<Link> connect(std::string_view url, LinkOptions options, std::unique_ptr<rpc::Transport> more) {
  return rpc::connect_alone(std::make_unique<Dispatcher>(DispatcherOptions{}, std::move(more)), url, options);
}

int report(const Error& error) {
  std::cerr << "error: " << error << '\n';
  switch (error.code()) {
    case Code::not_found:
      return 3;
    case Code::deadline_exceeded:
      return 4;
    case Code::unavailable:
      return 5;
    case Code::permission_denied:
      return 7;
    default:
      return 1;
  }
}

int report(const Status& status) {
  std::cerr << "error: " << status << '\n';
  return 64 + static_cast<int>(status.code());
}

}  // namespace taut
