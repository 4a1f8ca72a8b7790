// Greets whoever calls.   greeter_server [URL]
#include <csignal>
#include <cstdio>
#include <string>

#include "greeter.taut.h"
#include "taut/taut.h"

struct Hello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, taut::Reply<greeter::HelloReply> reply) override {
    reply.send({.text = "Hello, " + request.name()->str()});
  }
};

int main(int argc, char** argv) {
  Hello hello;
  const taut::Signals stop{SIGINT, SIGTERM};  // from here on they end the loop, not the process
  taut::Dispatcher loop;
  auto listener = loop.serve(argc > 1 ? argv[1] : "shm://greeter", hello);
  if (!listener) return taut::report(listener.error());
  std::printf("ready %s\n", listener->url());
  std::fflush(stdout);
  loop.run_until(stop);
  listener->drain();  // answers what it took; new calls go to its successor
}
