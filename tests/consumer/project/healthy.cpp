// A server with the health service that comes with taut, and what a probe hears from it.
#include "hello.taut.h"
#include "taut/health.h"
#include "taut/taut.h"

struct Hello final : hello::Greeter::Service {
  void SayHello(const hello::Request& request, taut::Reply<hello::Reply> reply) override {
    reply.send({.text = request.name()->string_view()});
  }
};

int main() {
  Hello hello;
  taut::Health health;
  taut::Dispatcher loop;
  auto listener = loop.serve("loopback://hello", hello, health);
  if (!listener) return taut::report(listener.error());
  auto link = loop.connect("loopback://hello");
  if (!link) return taut::report(link.error());
  taut::health::Health::Client probe{*link};

  int answers = 0;
  const auto expect = [&](taut::Code code) {
    probe.Ready({.service = "Greeter"}).then([&answers, code](const taut::Answer<taut::health::Report>& answer) {
      if (answer.status().code() == code) ++answers;
    });
    while (loop.poll() != 0) {
    }
  };
  expect(taut::Code::ok);
  if (!health.set("hello.Greeter", taut::Health::State::not_serving)) return 1;
  expect(taut::Code::unavailable);
  return answers == 2 && listener->drain() ? 0 : 1;
}
