// Sends a text, and prints what comes back and how long that took.   echo_client [URL [TEXT]]
#include <chrono>
#include <cstdio>
#include <string_view>

#include "echo.taut.h"
#include "taut/taut.h"

int main(int argc, char** argv) {
  auto link = taut::connect(argc > 1 ? argv[1] : "shm://echo");
  if (!link) return taut::report(link.error());
  echo::Echo::Client echo{*link};
  const std::string_view text = argc > 2 ? argv[2] : "Is anybody there?";

  // The first call of a link meets cold caches, on both sides. warm_up() goes over the same path and runs no handler.
  if (const auto warm = link->warm_up(); !warm) return taut::report(warm);
  const auto begin = std::chrono::steady_clock::now();
  auto reply = echo.Echo({.data = text}, taut::wait);
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
  if (!reply) return taut::report(reply.status());

  std::printf("%.*s\n", static_cast<int>(reply->data()->size()), reinterpret_cast<const char*>(reply->data()->data()));
  std::printf("there and back in %lld ns: the first call of a warm link\n", static_cast<long long>(took.count()));
}
