// Uses a compiled function, a header-only one and a schema of its own, so that a library, an include path or a program
// that is missing shows itself.
#include <cstdio>

#include "hello.taut.h"
#include "taut/base/result.h"
#include "taut/testing.h"

struct Hello final : hello::Greeter::Service {
  void SayHello(const hello::Request& request, taut::Reply<hello::Reply> reply) override {
    reply.send({.text = "Hello, " + request.name()->str()});
  }
};

int main() {
  taut::Result<int> refused =
      taut::make_error(taut::Code::not_found, 0, "start the server first", "no server called %s", "greeter");
  if (refused || refused.error().code() != taut::Code::not_found) return 1;
  std::printf("%.*s\n", static_cast<int>(refused.error().what().size()), refused.error().what().data());

  Hello service;
  taut::testing::Wire wire;
  taut::Link link = wire.connect(service);
  hello::Greeter::Client greeter{link};
  const auto reply = greeter.SayHello({.name = "World"}, taut::wait);
  if (!reply || reply->text()->str() != "Hello, World") return 1;

  const taut::Message<hello::Request> request({.name = "World"});
  if (!taut::stubs::check<hello::Request>(request.bytes()) || request->name()->str() != "World") return 1;
  return service.description().name == "hello.Greeter" ? 0 : 1;
}
