// A world at 60 ticks a second.   game_server [URL]
#include <chrono>
#include <csignal>
#include <cstdio>

#include "world.h"

int main(int argc, char** argv) {
  const taut::Signals stop{SIGINT, SIGTERM};
  game_server::World world;
  taut::Dispatcher loop;
  auto listener = loop.serve(argc > 1 ? argv[1] : "shm://game", world);
  if (!listener) return taut::report(listener.error());
  std::printf("ready %s\n", listener->url());
  std::fflush(stdout);

  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::nanoseconds kTick{1'000'000'000 / game_server::World::kTicksPerSecond};
  unsigned long long late = 0;
  bool told = false;
  auto next = Clock::now();
  while (!told || !listener->drained()) {
    if (!told && stop.came()) {
      told = true;
      listener->begin_drain();  // the ticks go on: they are what the last inputs wait for
    }
    next += kTick;
    loop.poll_until(next);
    world.step();
    // Never more ticks at once than one: a world that was held up is late, and does not hurry.
    if (Clock::now() > next + kTick) {
      ++late;
      next = Clock::now();
    }
  }
  std::printf("{\"ticks\": %llu, \"late\": %llu, \"inputs\": %llu}\n", static_cast<unsigned long long>(world.tick()),
              late, static_cast<unsigned long long>(world.inputs()));
}
