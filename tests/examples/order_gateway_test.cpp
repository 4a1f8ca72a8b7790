// The order gateway in one thread: the book against its rules, and what happens to money and orders when the engine
// dies.
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "order_gateway/services.h"
#include "taut/testing.h"

namespace order_gateway {
namespace {

using namespace std::chrono_literals;
using taut::Code;
using taut::testing::Wire;
using Side = Book::Side;

TEST(Book, trades_at_the_best_price_first_and_then_with_who_came_first) {
  Book book;
  book.place({.id = 1, .price = 102, .quantity = 5, .side = Side::sell});
  book.place({.id = 2, .price = 101, .quantity = 5, .side = Side::sell});
  book.place({.id = 3, .price = 101, .quantity = 5, .side = Side::sell});
  const auto placed = book.place({.id = 4, .price = 101, .quantity = 7, .side = Side::buy});
  EXPECT_EQ(placed->filled, 7u);
  EXPECT_FALSE(book.cancel(2).has_value()) << "traded in full";
  EXPECT_EQ(book.cancel(3), 3u);
  EXPECT_EQ(book.cancel(1), 5u);
}

TEST(Book, an_order_never_trades_beyond_its_price_and_rests_with_what_is_left) {
  Book book;
  book.place({.id = 1, .price = 101, .quantity = 5, .side = Side::sell});
  EXPECT_EQ(book.place({.id = 2, .price = 100, .quantity = 3, .side = Side::buy})->filled, 0u);
  EXPECT_EQ(book.best_bid(), 100);
  EXPECT_EQ(book.best_ask(), 101);
  const auto placed = book.place({.id = 3, .price = 101, .quantity = 8, .side = Side::buy});
  EXPECT_EQ(placed->filled, 5u);
  EXPECT_EQ(placed->resting, 3u);
  EXPECT_EQ(book.best_bid(), 101);
  EXPECT_FALSE(book.best_ask().has_value());
  EXPECT_FALSE(book.place({.id = 3, .price = 1, .quantity = 1, .side = Side::buy}).has_value()) << "an id is used once";
}

TEST(Book, is_never_crossed_and_loses_nothing) {
  Book book;
  std::mt19937 random(7);
  for (std::uint64_t id = 1; id <= 20'000; ++id) {
    book.place({.id = id,
                .price = 100 + static_cast<std::int32_t>(random() % 21),
                .quantity = static_cast<std::uint32_t>(1 + random() % 9),
                .side = random() % 2 == 0 ? Side::buy : Side::sell});
    if (random() % 3 == 0) book.cancel(1 + random() % id);
    ASSERT_LT(book.best_bid().value_or(0), book.best_ask().value_or(1000));
    ASSERT_EQ(book.placed(), 2 * book.traded() + book.resting() + book.cancelled());
  }
}

struct OrderGateway : ::testing::Test {
  std::optional<Code> place(std::uint64_t id, std::uint32_t quantity) {
    std::optional<Code>& code = codes.emplace_back();
    gateway.Place({.id = id, .account = 1, .price = 100, .quantity = quantity, .side = trade::Side::buy})
        .then([&code](const taut::Answer<trade::Report>& report) { code = report.status().code(); });
    wire.settle();
    return code;
  }
  std::uint64_t reserved() { return risk_client.Sum({}, taut::wait)->quantity(); }

  Engine engine;
  Risk risk{10};
  Wire wire;
  taut::Link to_engine = wire.connect_inside(engine);
  taut::Link to_risk = wire.connect_inside(risk);
  Gateway service{to_risk, to_engine};
  taut::Link link = wire.connect(service);
  taut::Link risk_link = wire.connect(risk);
  trade::Gateway::Client gateway{link};
  trade::Risk::Client risk_client{risk_link};
  std::deque<std::optional<Code>> codes;
};

TEST_F(OrderGateway, an_order_is_reserved_and_placed) {
  EXPECT_EQ(place(1, 4), Code::ok);
  EXPECT_EQ(reserved(), 4u);
}

TEST_F(OrderGateway, an_account_at_its_limit_is_refused_and_the_engine_hears_nothing) {
  EXPECT_EQ(place(1, 4), Code::ok);
  EXPECT_EQ(place(2, 7), Code::resource_exhausted);
  EXPECT_EQ(place(3, 6), Code::ok);
  EXPECT_EQ(reserved(), 10u);
}

TEST_F(OrderGateway, what_the_engine_refuses_is_given_back) {
  EXPECT_EQ(place(1, 4), Code::ok);
  EXPECT_EQ(place(1, 4), Code::already_exists);
  EXPECT_EQ(reserved(), 4u);
}

TEST_F(OrderGateway, a_cancel_gives_back_what_was_in_the_book) {
  EXPECT_EQ(place(1, 4), Code::ok);
  std::uint32_t cancelled = 0;
  gateway.Cancel({.id = 1, .account = 1}).then([&cancelled](const taut::Answer<trade::Cancelled>& answer) {
    if (answer) cancelled = answer->quantity();
  });
  wire.settle();
  EXPECT_EQ(cancelled, 4u);
  EXPECT_EQ(reserved(), 0u);
}

// Takes orders and says nothing.
struct DeafEngine final : trade::Engine::Service {
  void Place(const trade::Order&, taut::Reply<trade::Report> reply) override { taken.push_back(std::move(reply)); }
  std::vector<taut::Reply<trade::Report>> taken;
};

TEST_F(OrderGateway, an_order_that_may_stand_in_the_book_of_a_dead_engine_keeps_its_reservation) {
  DeafEngine deaf;
  taut::Link to_deaf = wire.connect_inside(deaf);
  Gateway beside{to_risk, to_deaf};
  taut::Link beside_link = wire.connect(beside);
  trade::Gateway::Client client{beside_link};
  std::optional<Code> code;
  client.Place({.id = 1, .account = 1, .price = 100, .quantity = 4, .side = trade::Side::buy}, {.timeout = 1ms})
      .then([&code](const taut::Answer<trade::Report>& report) { code = report.status().code(); });
  wire.settle();
  EXPECT_EQ(deaf.taken.size(), 1u);
  EXPECT_EQ(reserved(), 4u);
  wire.cut();
  EXPECT_EQ(code, Code::unavailable);
  EXPECT_EQ(reserved(), 4u);
}

}  // namespace
}  // namespace order_gateway
