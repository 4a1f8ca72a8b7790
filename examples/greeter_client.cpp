// Says hello and prints the answer.   greeter_client [URL [NAME]]
#include <iostream>

#include "greeter.taut.h"
#include "taut/taut.h"

int main(int argc, char** argv) {
  auto link = taut::connect(argc > 1 ? argv[1] : "shm://greeter");  // waits up to 1 s for a server that is starting
  if (!link) return taut::report(link.error());
  // So that the first call is as quick as those behind it. Leave it out where microseconds do not count.
  if (const auto warm = link->warm_up(); !warm) return taut::report(warm);
  greeter::Greeter::Client greeter{*link};
  auto reply = greeter.SayHello({.name = argc > 2 ? argv[2] : "World"}, taut::wait);
  if (!reply) return taut::report(reply.status());
  std::cout << reply->text()->string_view() << '\n';
}
