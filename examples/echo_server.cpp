// Gives back the bytes it is sent.   echo_server [URL]
#include <csignal>
#include <cstdio>
#include <span>

#include "echo.taut.h"
#include "taut/taut.h"

struct Mirror final : echo::Echo::Service {
  void Echo(const echo::Bytes& request, taut::Reply<echo::Bytes> reply) override {
    // A view of the request's own bytes, read before send() returns: the only copy is from ring to ring.
    reply.send({.data = std::span(request.data()->data(), request.data()->size())});
  }
};

int main(int argc, char** argv) {
  Mirror mirror;
  const taut::Signals stop{SIGINT, SIGTERM};  // from here on they end the loop, not the process
  taut::Dispatcher loop;
  auto listener = loop.serve(argc > 1 ? argv[1] : "shm://echo", mirror);
  if (!listener) return taut::report(listener.error());
  std::printf("ready %s\n", listener->url());
  std::fflush(stdout);
  loop.run_until(stop);
}
