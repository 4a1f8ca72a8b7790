// Watches a symbol up to a tick, and says what it missed.
//   market_watch [URL [SYMBOL [LAST [newest|send_away [CREDIT]]]]]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "market.taut.h"
#include "taut/taut.h"

namespace {

class Watcher {
 public:
  explicit Watcher(std::uint64_t last) : last_(last) {}

  void take(const market::Tick& tick) {
    if (ticks_ == 0) {
      std::printf("watching from %llu\n", static_cast<unsigned long long>(tick.seq()));
      std::fflush(stdout);
    } else if (tick.seq() <= seq_) {
      in_order_ = false;
    } else if (tick.seq() != seq_ + 1) {
      ++gaps_;
      missed_ += tick.seq() - seq_ - 1;
    }
    ++ticks_;
    seq_ = tick.seq();
    if (seq_ >= last_) call.cancel();
  }
  [[nodiscard]] bool done() const { return seq_ >= last_; }
  [[nodiscard]] bool in_order() const { return in_order_; }
  void print() const {
    std::printf("{\"ticks\": %llu, \"last\": %llu, \"gaps\": %llu, \"missed\": %llu}\n", ticks_,
                static_cast<unsigned long long>(seq_), gaps_, missed_);
  }

  taut::CallRef call;

 private:
  const std::uint64_t last_;
  std::uint64_t seq_ = 0;
  unsigned long long ticks_ = 0, gaps_ = 0, missed_ = 0;
  bool in_order_ = true;
};

}  // namespace

int main(int argc, char** argv) {
  Watcher watcher(argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 10'000);
  const bool newest = argc <= 4 || std::string_view(argv[4]) == "newest";
  const auto credit = static_cast<std::uint32_t>(argc > 5 ? std::strtoul(argv[5], nullptr, 10) : 1024);
  taut::Dispatcher loop;
  auto link = loop.connect<market::Feed>(argc > 1 ? argv[1] : "shm://market");
  if (!link) return taut::report(link.error());
  market::Feed::Client feed{*link};

  taut::Status ended;
  constexpr std::uint32_t kTickBytes = 64;  // of ring
  watcher.call = feed.Watch({.symbol = argc > 2 ? argv[2] : "AAPL",
                             .when_slow = newest ? market::WhenSlow::newest : market::WhenSlow::send_away},
                            {.credit = credit, .credit_bytes = credit * kTickBytes})
                     .each([&watcher](const market::Tick& tick) { watcher.take(tick); })
                     .then([&](const taut::Status& status) {
                       ended = status;
                       loop.stop();
                     });
  loop.run();
  watcher.print();
  if (!watcher.in_order()) return 1;
  return watcher.done() || ended.ok() ? 0 : taut::report(ended);
}
