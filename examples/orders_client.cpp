// Places an order, sends a book, cancels the order.   orders_client [URL [ID]]
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "orders.taut.h"
#include "taut/taut.h"

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  const std::uint64_t id = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 7;
  auto link = taut::connect(argc > 1 ? argv[1] : "shm://orders");
  if (!link) return taut::report(link.error());
  desk::Orders::Client orders{*link};

  auto placed = orders.Place({.id = id,
                              .price = 10150,
                              .quantity = 100,
                              .side = desk::Side::sell,
                              .party = {taut::text("AAPL"), taut::text("ACME")}},
                             taut::wait(500ms));
  if (!placed) return taut::report(placed.status());
  std::printf("order %" PRIu64 " is number %" PRIu64 " at the desk, %u open\n", placed->id(), placed->desk_id(),
              placed->open());

  auto book = orders.Snapshot({.seq = 1, .bids = {{10140, 5}, {10130, 7}}, .asks = {{10150, 100}}, .note = "open"},
                              taut::wait(500ms));
  if (!book) return taut::report(book.status());
  std::printf("book %" PRIu64 " has %u levels, %d to %d\n", book->seq(), book->levels(), book->best_bid(),
              book->best_ask());

  auto cancelled = orders.Cancel({.id = id}, taut::wait(500ms));
  if (!cancelled) return taut::report(cancelled.status());
  std::printf("order %" PRIu64 " is cancelled, %u open\n", cancelled->id(), cancelled->open());
}
