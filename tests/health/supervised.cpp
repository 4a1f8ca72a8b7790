// A server as supervisors meet it: SIGUSR1 has it say that it does not serve, SIGUSR2 that it does again, SIGTERM begins
// a drain. It greets nobody before SIGUSR2, so a greeting keeps the drain up until then.   supervised
#include <csignal>
#include <cstdio>
#include <vector>

#include "greeter.taut.h"
#include "taut/health.h"
#include "taut/taut.h"

struct Hello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest&, taut::Reply<greeter::HelloReply> reply) override {
    held.push_back(std::move(reply));
  }
  void greet() {
    for (auto& reply : held) reply.send({.text = "Hello"});
    held.clear();
  }
  std::vector<taut::Reply<greeter::HelloReply>> held;
};

int main() {
  const taut::Signals down{SIGUSR1}, up{SIGUSR2}, stop{SIGTERM};
  Hello hello;
  taut::Dispatcher loop;
  taut::Health health;
  auto listener = loop.serve("shm://greeter", hello, health);
  if (!listener) return taut::report(listener.error());
  taut::Health outside(health);
  const auto beside = loop.serve("shm://greeter.health", outside);
  if (!beside) return taut::report(beside.error());
  std::puts("ready");
  std::fflush(stdout);
  while (!listener->drained()) {
    loop.poll();
    if (down.came()) (void)health.set("Greeter", taut::Health::State::not_serving);
    if (up.came()) {
      (void)health.set("Greeter", taut::Health::State::serving);
      hello.greet();
    }
    if (stop.came()) listener->begin_drain();
  }
}
