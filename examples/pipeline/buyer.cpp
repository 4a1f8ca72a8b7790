// Asks the shop for offers, until SIGINT.   shop_buyer [URL [WORD [TIMEOUT_MS]]]
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "shop.taut.h"
#include "taut/taut.h"

int main(int argc, char** argv) {
  const taut::Signals interrupted{SIGINT};
  const std::chrono::milliseconds timeout(argc > 3 ? std::strtol(argv[3], nullptr, 10) : 60'000);
  taut::Dispatcher loop;
  auto link = loop.connect<shop::Shop>(argc > 1 ? argv[1] : "shm://shop");
  if (!link) return taut::report(link.error());
  shop::Shop::Client shop{*link};

  bool over = false;
  taut::Status ended;
  auto offers = shop.Offers({.word = argc > 2 ? argv[2] : "lamp"}, {.timeout = timeout});
  offers.each([](const shop::Price& offer) {
    std::printf("%llu costs %u.%02u\n", static_cast<unsigned long long>(offer.article()), offer.cents() / 100,
                offer.cents() % 100);
    std::fflush(stdout);
  });
  offers.then([&](const taut::Status& status) {
    over = true;
    ended = status;
    loop.stop();
  });
  std::puts("asked");
  std::fflush(stdout);
  loop.run_until(interrupted);  // or until stop()
  if (!over) {
    offers.cancel();
    loop.run();
  }
  return ended.ok() ? 0 : taut::report(ended);
}
