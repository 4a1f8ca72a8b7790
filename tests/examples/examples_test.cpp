// The services of the examples, each a page with a main() of its own, taken as they are and called over a Wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <span>
#include <string>
#include <unordered_map>

#include "calculator.taut.h"
#include "echo.taut.h"
#include "greeter.taut.h"
#include "orders.taut.h"
#include "taut/health.h"
#include "taut/taut.h"
#include "taut/testing.h"

// What they include is there already, so that only their own lines land in these namespaces. Their main() is not run,
// and under another name it would have to return something.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type"
#define main unused_main
namespace calculator_example {
#include "calculator_server.cpp"
}
namespace echo_example {
#include "echo_server.cpp"
}
namespace greeter_example {
#include "greeter_server.cpp"
}
namespace orders_example {
#include "orders_server.cpp"
}
#undef main
#pragma GCC diagnostic pop

namespace taut::testing {
namespace {

TEST(Examples, the_calculator_calculates_and_refuses_to_divide_by_0) {
  calculator_example::Arithmetic arithmetic;
  Wire wire;
  Link link = wire.connect(arithmetic);
  calculator::Calculator::Client client{link};
  EXPECT_EQ(client.Add({.a = 6, .b = 7}, wait)->value(), 13);
  EXPECT_EQ(client.Subtract({.a = 6, .b = 7}, wait)->value(), -1);
  EXPECT_EQ(client.Multiply({.a = 6, .b = 7}, wait)->value(), 42);
  EXPECT_EQ(client.Divide({.a = 6, .b = 4}, wait)->value(), 1.5);
  const auto refused = client.Divide({.a = 6, .b = 0}, wait);
  EXPECT_EQ(refused.status().code(), Code::invalid_argument);
  EXPECT_EQ(refused.status().ran(), Ran::yes) << "the handler itself said no";
}

TEST(Examples, the_mirror_gives_back_what_it_is_sent) {
  echo_example::Mirror mirror;
  Wire wire;
  Link link = wire.connect(mirror);
  echo::Echo::Client client{link};
  const auto reply = client.Echo({.data = std::string_view("over there")}, wait);
  ASSERT_TRUE(reply) << reply.status();
  EXPECT_EQ(std::string(reply->data()->begin(), reply->data()->end()), "over there");
}

TEST(Examples, the_greeter_greets) {
  greeter_example::Hello hello;
  Wire wire;
  Link link = wire.connect(hello);
  greeter::Greeter::Client client{link};
  EXPECT_EQ(client.SayHello({.name = "Ada"}, wait)->text()->str(), "Hello, Ada");
}

TEST(Examples, the_desk_knows_its_orders) {
  orders_example::Desk desk;
  Wire wire;
  Link link = wire.connect(desk);
  desk::Orders::Client client{link};
  const desk::OrderInit order{
      .id = 7, .price = 10150, .quantity = 100, .side = desk::Side::sell, .party = {text("AAPL"), text("ACME")}};
  EXPECT_EQ(client.Place(order, wait)->open(), 100u);
  EXPECT_EQ(client.Place(order, wait).status().code(), Code::already_exists);
  EXPECT_EQ(client.Cancel({.id = 7}, wait)->open(), 0u);
  EXPECT_EQ(client.Cancel({.id = 7}, wait).status().code(), Code::not_found);
  const auto book = client.Snapshot({.seq = 1, .bids = {{10140, 5}, {10130, 7}}}, wait);
  ASSERT_TRUE(book) << book.status();
  EXPECT_EQ(book->levels(), 2u);
  EXPECT_EQ(book->best_bid(), 10140);
}

TEST(Examples, an_order_that_the_desk_did_not_take_before_it_died_may_be_placed_again) {
  orders_example::Desk desk;
  Wire wire;
  Link link = wire.connect(desk);
  desk::Orders::Client client{link};
  std::vector<Status> ends;
  const auto place = [&](std::uint64_t id) {
    client.Place({.id = id, .price = 1, .quantity = 1, .party = {text("AAPL"), text("ACME")}})
        .then([&ends](const Answer<desk::Ack>& ack) { ends.push_back(ack.status()); });
  };
  place(1);
  wire.settle();
  wire.hold();
  place(2);
  wire.cut();
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_TRUE(ends[0].ok());
  EXPECT_TRUE(ends[1].safe_to_retry()) << ends[1];
}

}  // namespace
}  // namespace taut::testing
