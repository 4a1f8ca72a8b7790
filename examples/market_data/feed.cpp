// Serves a feed until SIGTERM.   market_feed [URL [SYMBOL...]]
#include "feed.h"

#include <csignal>
#include <cstdio>

int main(int argc, char** argv) {
  const taut::Signals stop{SIGINT, SIGTERM};
  const char* const usual[] = {"AAPL", "MSFT"};
  const std::span<const char* const> asked(argv + 2, argc > 2 ? static_cast<std::size_t>(argc) - 2 : 0);
  market_data::Feed feed(asked.empty() ? std::span<const char* const>(usual) : asked);
  taut::Dispatcher loop;
  auto listener = loop.serve(argc > 1 ? argv[1] : "shm://market?ring=1MiB", feed);
  if (!listener) return taut::report(listener.error());
  std::printf("ready %s\n", listener->url());
  std::fflush(stdout);
  loop.run_until(stop);
  feed.close();
  return listener->drain() ? 0 : 1;
}
