// Places orders around a price, and cancels some of what rests.   order_trader [URL [ACCOUNT [ORDERS]]]
//
// Keeps a few orders under way, repeats what certainly did not run (a gateway that is being restarted), and prints what
// became of all of them as one line of JSON. An order has one outcome: accepted, refused, or unknown.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "taut/taut.h"
#include "trade.taut.h"

namespace {

class Trader {
 public:
  Trader(taut::Dispatcher& loop, taut::Link& link, std::uint32_t account, std::uint64_t orders)
      : loop_(loop), gateway_(link), account_(account), orders_(orders), random_(account) {}

  // Each order that has ended makes room for the next one: the program sleeps in between.
  void run() {
    constexpr unsigned kUnderWay = 16;
    for (unsigned i = 0; i < kUnderWay; ++i) place_next();
    if (under_way_ != 0) loop_.run();
  }
  void print() const {
    std::printf(
        "{\"accepted\": %llu, \"refused\": %llu, \"unknown\": %llu, \"repeated\": %llu, \"placed\": %llu, "
        "\"filled\": %llu, \"cancelled\": %llu}\n",
        accepted_, refused_, unknown_, repeated_, placed_, filled_, cancelled_);
  }

 private:
  using Count = unsigned long long;

  void place_next() {
    if (last_ == orders_) return;
    ++last_;
    ++under_way_;
    if (last_ % (orders_ / 4 + 1) == 0) {
      std::printf("%llu of %llu orders\n", static_cast<Count>(last_), static_cast<Count>(orders_));
      std::fflush(stdout);
    }
    const bool buys = random_() % 2 == 0;
    place({.id = std::uint64_t{account_} << 32 | last_,
           .account = account_,
           .price = 10'000 + static_cast<std::int32_t>(random_() % 21) - 10,
           .quantity = static_cast<std::uint32_t>(1 + random_() % 9),
           .side = buys ? trade::Side::buy : trade::Side::sell});
  }
  void place(const trade::OrderInit& order) {
    gateway_.Place(order).then([this, order](const taut::Answer<trade::Report>& report) {
      if (report) {
        ++accepted_;
        placed_ += order.quantity;
        filled_ += report->filled();
        if (report->resting() != 0 && order.id % 4 == 0) return cancel(order.id);
      } else if (report.status().safe_to_retry()) {
        ++repeated_;
        return place(order);
      } else if (report.status().code() == taut::Code::resource_exhausted) {
        ++refused_;
      } else {
        ++unknown_;
        std::fprintf(stderr, "order %llu: %.*s\n", static_cast<Count>(order.id),
                     static_cast<int>(report.status().text().size()), report.status().text().data());
      }
      ended();
    });
  }
  void cancel(std::uint64_t id) {
    gateway_.Cancel({.id = id, .account = account_}).then([this, id](const taut::Answer<trade::Cancelled>& cancelled) {
      if (!cancelled && cancelled.status().safe_to_retry()) return cancel(id);
      if (cancelled) cancelled_ += cancelled->quantity();  // else it traded meanwhile
      ended();
    });
  }
  void ended() {
    --under_way_;
    place_next();
    if (under_way_ == 0) loop_.stop();
  }

  taut::Dispatcher& loop_;
  trade::Gateway::Client gateway_;
  const std::uint32_t account_;
  const std::uint64_t orders_;
  std::mt19937 random_;
  std::uint64_t last_ = 0;
  unsigned under_way_ = 0;
  Count accepted_ = 0, refused_ = 0, unknown_ = 0, repeated_ = 0, placed_ = 0, filled_ = 0, cancelled_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto account = static_cast<std::uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1);
  const std::uint64_t orders = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1000;
  taut::Dispatcher loop;
  auto link = loop.connect(argc > 1 ? argv[1] : "shm://order-gateway?timeout=30s");
  if (!link) return taut::report(link.error());
  Trader trader(loop, *link, account, orders);
  trader.run();
  trader.print();
}
