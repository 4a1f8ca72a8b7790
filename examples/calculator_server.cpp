// Adds, subtracts, multiplies and divides.   calculator_server [URL]
#include <csignal>
#include <cstdio>

#include "calculator.taut.h"
#include "taut/taut.h"

using calculator::Operands;
using Reply = taut::Reply<calculator::Result>;

struct Arithmetic final : calculator::Calculator::Service {
  void Add(const Operands& request, Reply reply) override { reply.send({.value = request.a() + request.b()}); }
  void Subtract(const Operands& request, Reply reply) override { reply.send({.value = request.a() - request.b()}); }
  void Multiply(const Operands& request, Reply reply) override { reply.send({.value = request.a() * request.b()}); }
  void Divide(const Operands& request, Reply reply) override {
    if (request.b() == 0) return reply.refuse(taut::Code::invalid_argument, "cannot divide by 0");
    reply.send({.value = request.a() / request.b()});
  }
};

int main(int argc, char** argv) {
  Arithmetic arithmetic;
  const taut::Signals stop{SIGINT, SIGTERM};  // from here on they end the loop, not the process
  taut::Dispatcher loop;
  auto listener = loop.serve(argc > 1 ? argv[1] : "shm://calculator", arithmetic);
  if (!listener) return taut::report(listener.error());
  std::printf("ready %s\n", listener->url());
  std::fflush(stdout);
  loop.run_until(stop);
}
