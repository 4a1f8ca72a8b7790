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

  taut::Ticker ticker{loop, std::chrono::nanoseconds(1'000'000'000 / game_server::World::kTicksPerSecond)};
  bool told = false;
  while (!told || !listener->drained()) {
    if (!told && stop.came()) {
      told = true;
      listener->begin_drain();  // the ticks go on: they are what the last inputs wait for
    }
    // A world that was held up does not hurry afterwards: ticks that were missed are counted, not made up for.
    ticker.next();
    world.step();
  }
  const taut::TickCounters& ticks = ticker.counters();
  std::printf("{\"ticks\": %llu, \"late\": %llu, \"skipped\": %llu, \"worst_us\": %lld, \"inputs\": %llu}\n",
              static_cast<unsigned long long>(ticks.ticks), static_cast<unsigned long long>(ticks.late),
              static_cast<unsigned long long>(ticks.skipped), static_cast<long long>(ticks.worst.count() / 1000),
              static_cast<unsigned long long>(world.inputs()));
}
