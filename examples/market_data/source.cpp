// Uploads quotes of one symbol.   market_source [URL [SYMBOL [QUOTES [PER_SECOND]]]]
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "market.taut.h"
#include "taut/taut.h"

int main(int argc, char** argv) {
  const char* const symbol = argc > 2 ? argv[2] : "AAPL";
  const std::uint64_t quotes = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 10'000;
  const std::uint64_t per_second = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 1000;
  if (per_second == 0) return 2;
  taut::Dispatcher loop;
  auto link = loop.connect<market::Feed>(argc > 1 ? argv[1] : "shm://market");
  if (!link) return taut::report(link.error());
  market::Feed::Client feed{*link};

  auto upload = feed.Upload();
  int code = 0;
  bool ended = false;
  upload.then([&](const taut::Answer<market::Uploaded>& uploaded) {
    ended = true;
    loop.stop();
    code = uploaded ? 0 : taut::report(uploaded.status());
  });

  const auto start = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i != quotes && !ended; ++i) {
    loop.poll_until(start + std::chrono::nanoseconds(1'000'000'000 * i / per_second));
    const auto bid = static_cast<std::int32_t>(10'000 + i % 50);
    // Sources wait for the feed, which never waits for its watchers.
    while (!ended && !upload.send({.symbol = symbol, .bid = bid, .ask = bid + 2})) {
      upload.on_ready([&loop] { loop.stop(); });
      loop.run();
    }
  }
  upload.close();
  while (!ended) loop.run();
  if (code == 0) std::printf("%llu quotes\n", static_cast<unsigned long long>(quotes));
  return code;
}
