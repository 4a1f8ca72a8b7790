// Serves, calls and reads the answer, all in here: both ends on one thread.
#include "call.h"

#include <memory>
#include <vector>

#include "hello.taut.h"
#include "taut/loopback/loopback.h"
#include "taut/taut.h"

namespace {

struct Hello final : hello::Greeter::Service {
  void SayHello(const hello::Request& request, taut::Reply<hello::Reply> reply) override {
    reply.send({.text = "Hello, " + request.name()->str()});
  }
};

std::vector<std::unique_ptr<taut::rpc::Transport>> transports(taut::loopback::Network& network) {
  std::vector<std::unique_ptr<taut::rpc::Transport>> list;
  list.push_back(network.transport());
  return list;
}

}  // namespace

int call() {
  taut::loopback::Network network;
  Hello hello;
  taut::rpc::Dispatcher server(transports(network), {}), client(transports(network), {});
  network.drive(server);
  auto listener = server.serve("loopback://hello", hello);
  if (!listener) return taut::report(listener.error());
  auto link = client.connect("loopback://hello?timeout=60s");
  if (!link) return taut::report(link.error());
  hello::Greeter::Client greeter{*link};
  auto reply = greeter.SayHello({.name = "World"}, taut::wait);
  if (!reply) return taut::report(reply.status());
  return reply->text()->str() == "Hello, World" ? 0 : 1;
}
