// Typed calls from end to end, over the loopback: what users of generated stubs see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "calculator.taut.h"
#include "echo.taut.h"
#include "everything.taut.h"
#include "greeter.taut.h"
#include "orders.taut.h"
#include "taut/loopback/loopback.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct Desk final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    if (order.quantity() == 0) return reply.refuse(Code::invalid_argument, "an order needs a quantity");
    if (order.price() == 0) {
      waiting.push_back({keep(order), std::move(reply)});
      return;
    }
    reply.send({.id = order.id(), .desk_id = order.id() + 1000, .open = order.quantity()});
  }
  void Snapshot(const desk::Book& book, Reply<desk::BookAck> reply) override {
    last_note = book.note() != nullptr ? book.note()->str() : "(none)";
    reply.send({.seq = book.seq(), .levels = book.bids()->size(), .best_bid = book.bids()->Get(0)->price()});
  }
  struct Waiting {
    Message<desk::Order> order;
    Reply<desk::Ack> reply;
  };
  std::vector<Waiting> waiting;
  std::string last_note;
};

struct Kitchen final : everything::Kitchen::Service {
  void Cook(const everything::Everything& request, Reply<everything::Everything> reply) override {
    const everything::LeafInit leaves[] = {{.text = request.text()->c_str()}};
    reply.send({.text = request.text()->size() > 30 ? std::string(41, 'x') : std::string("cooked"), .leaves = leaves});
  }
};

struct Hello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, Reply<greeter::HelloReply> reply) override {
    reply.send({.text = "Hello, " + request.name()->str()});
  }
};

class Calls : public ::testing::Test {
 protected:
  Calls() {
    network.drive(server);
    listener.emplace(server.serve("loopback://all", desk, kitchen, hello));
    EXPECT_TRUE(*listener) << listener->error().what();
    link.emplace(client.connect("loopback://all"));
    EXPECT_TRUE(*link) << link->error().what();
  }
  static std::vector<std::unique_ptr<rpc::Transport>> transports(loopback::Network& network) {
    std::vector<std::unique_ptr<rpc::Transport>> list;
    list.push_back(network.transport());
    return list;
  }
  void turn() {
    for (int i = 0; i != 20; ++i) {
      client.poll();
      server.poll();
    }
  }

  loopback::Network network;
  Desk desk;
  Kitchen kitchen;
  Hello hello;
  rpc::Dispatcher server{transports(network), {}};
  rpc::Dispatcher client{transports(network), {}};
  std::optional<Result<Listener>> listener;
  std::optional<Result<Link>> link;
};

TEST_F(Calls, a_wait_returns_the_reply) {
  greeter::Greeter::Client greeter{**link};
  const auto reply = greeter.SayHello({.name = "World"}, wait);
  ASSERT_TRUE(reply) << reply.status().text();
  EXPECT_EQ(reply->text()->str(), "Hello, World");
  EXPECT_TRUE(reply.status().ok());
}

TEST_F(Calls, an_answer_that_was_waited_for_owns_its_bytes_and_moves) {
  greeter::Greeter::Client greeter{**link};
  const std::string name(1000, 'n');
  auto small = greeter.SayHello({.name = "small"}, wait(1s));
  auto large = greeter.SayHello({.name = name}, wait(1s));
  ASSERT_TRUE(small && large);
  const auto moved_small = std::move(small);
  const auto moved_large = std::move(large);
  EXPECT_EQ(moved_small->text()->str(), "Hello, small");
  EXPECT_EQ(moved_large->text()->str(), "Hello, " + name);
}

TEST_F(Calls, a_callback_sees_the_reply) {
  desk::Orders::Client orders{**link};
  std::uint64_t seen = 0;
  orders.Place({.id = 7, .price = 5, .quantity = 2, .side = desk::Side::sell}, {.timeout = 1s})
      .then([&](const Answer<desk::Ack>& ack) {
        ASSERT_TRUE(ack) << ack.status().text();
        seen = ack->desk_id();
      });
  turn();
  EXPECT_EQ(seen, 1007u);
}

TEST_F(Calls, a_refusal_brings_its_code_and_sentence) {
  desk::Orders::Client orders{**link};
  const auto ack = orders.Place({.id = 7}, wait);
  EXPECT_FALSE(ack);
  EXPECT_EQ(ack.status().code(), Code::invalid_argument);
  EXPECT_EQ(ack.status().ran(), Ran::yes);
  EXPECT_EQ(ack.status().text(), "an order needs a quantity");
}

TEST_F(Calls, a_handler_may_keep_the_request_and_answer_later) {
  desk::Orders::Client orders{**link};
  std::uint64_t seen = 0;
  orders.Place({.id = 9, .quantity = 3}).then([&](const auto& ack) { seen = ack ? ack->desk_id() : 1; });
  turn();
  ASSERT_EQ(desk.waiting.size(), 1u);
  EXPECT_EQ(seen, 0u);
  auto& waiting = desk.waiting.front();
  EXPECT_EQ(waiting.order->id(), 9u);
  EXPECT_GT(waiting.reply.left(), 0s);
  EXPECT_TRUE(waiting.reply);
  waiting.reply.send({.id = waiting.order->id(), .desk_id = 4711});
  EXPECT_FALSE(waiting.reply);
  turn();
  EXPECT_EQ(seen, 4711u);
}

TEST_F(Calls, vectors_go_from_a_braced_list_from_a_container_and_from_a_claim) {
  desk::Orders::Client orders{**link};
  auto reply = orders.Snapshot({.seq = 1, .bids = {{100, 5}, {99, 7}}, .note = "open"}, wait);
  ASSERT_TRUE(reply) << reply.status().text();
  EXPECT_EQ(reply->levels(), 2u);
  EXPECT_EQ(desk.last_note, "open");

  const std::vector<desk::Level> side(40, desk::Level(88, 1));
  auto second = orders.Snapshot({.seq = 2, .bids = side}, wait);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->best_bid(), 88);
  EXPECT_EQ(desk.last_note, "(none)");

  std::uint32_t levels = 0;
  if (auto book = orders.claim_Snapshot(400)) {
    book->seq(9);
    std::ranges::copy(side, book->bids(side.size()).begin());
    orders.send(std::move(book)).then([&](const auto& answer) { levels = answer ? answer->levels() : 0; });
  }
  turn();
  EXPECT_EQ(levels, 40u);
}

TEST_F(Calls, a_claim_that_ran_past_its_room_ends_with_too_big_and_nothing_is_sent) {
  desk::Orders::Client orders{**link};
  std::optional<Status> ended;
  auto book = orders.claim_Snapshot(64);
  ASSERT_TRUE(book);
  EXPECT_TRUE(book->bids(60).empty());
  orders.send(std::move(book)).then([&](const auto& answer) { ended = answer.status(); });
  turn();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->why(), Why::too_big);
  EXPECT_EQ(ended->ran(), Ran::no);
}

TEST_F(Calls, a_dropped_claim_is_handed_back) {
  desk::Orders::Client orders{**link};
  { auto book = orders.claim_Snapshot(200); }
  EXPECT_TRUE(orders.Place({.id = 1, .price = 1, .quantity = 1}, wait));
}

TEST_F(Calls, a_request_over_its_cap_ends_with_too_big_before_anything_is_sent) {
  desk::Orders::Client orders{**link};
  const std::vector<desk::Level> many(65);
  const auto answer = orders.Snapshot({.bids = many}, wait);
  EXPECT_FALSE(answer);
  EXPECT_EQ(answer.status().why(), Why::too_big);
  EXPECT_EQ(answer.status().ran(), Ran::no);
}

TEST_F(Calls, an_answer_over_its_cap_ends_with_too_big) {
  everything::Kitchen::Client kitchen_client{**link};
  const Wait patiently = wait(1s);  // the schema says 250us, which a sanitized build may take
  const everything::LeafInit leaves[] = {{}};
  auto good = kitchen_client.Cook({.text = "raw", .leaves = leaves}, patiently);
  ASSERT_TRUE(good) << good.status().text();
  EXPECT_EQ(good->text()->str(), "cooked");
  EXPECT_EQ(good->leaves()->Get(0)->text()->str(), "raw");
  const auto bad = kitchen_client.Cook({.text = "longer than thirty characters, but not than forty"}, patiently);
  EXPECT_EQ(bad.status().why(), Why::too_big);
  const auto reply = kitchen_client.Cook({.text = "longer than thirty characters, so"}, wait);
  EXPECT_FALSE(reply);
  EXPECT_EQ(reply.status().code(), Code::resource_exhausted);
  EXPECT_EQ(reply.status().why(), Why::too_big);
  EXPECT_EQ(reply.status().ran(), Ran::yes);
}

TEST_F(Calls, a_method_that_is_not_overridden_is_unimplemented) {
  desk::Orders::Client orders{**link};
  const auto answer = orders.Cancel({.id = 1}, wait);
  EXPECT_EQ(answer.status().code(), Code::unimplemented);
  EXPECT_EQ(answer.status().text(), "method 'Cancel' is not implemented");
}

TEST_F(Calls, a_bad_request_is_refused_with_its_reason_and_the_handler_does_not_run) {
  const auto wrong = static_cast<desk::Side>(7);
  desk::Orders::Client orders{**link};
  const auto answer = orders.Place({.id = 1, .side = wrong}, wait);
  EXPECT_EQ(answer.status().code(), Code::invalid_argument);
  EXPECT_EQ(answer.status().why(), Why::bad_message);
  EXPECT_EQ(answer.status().ran(), Ran::no);
  EXPECT_THAT(std::string(answer.status().text()), HasSubstr("enum 'side' holds 7"));
}

TEST_F(Calls, bytes_that_are_no_message_are_refused) {
  rpc::LinkState& state = (*link)->state();
  rpc::Binding& binding = rpc::bind(state, greeter::Greeter::description());
  rpc::CallClaim claim = rpc::claim_call(state, binding, 0, 32);
  ASSERT_TRUE(claim);
  std::memset(claim.payload(), 0, 32);
  rpc::AnswerBuffer buffer;
  const Status status = rpc::wait_call(std::move(claim), 32, wait, buffer);
  EXPECT_EQ(status.code(), Code::invalid_argument);
  EXPECT_EQ(status.why(), Why::bad_message);
}

TEST_F(Calls, the_description_says_what_the_schema_says) {
  const rpc::ServiceDescription& service = everything::Kitchen::description();
  EXPECT_EQ(service.name, "everything.Kitchen");
  ASSERT_EQ(service.methods.size(), 5u);
  EXPECT_EQ(service.methods[0].name, "Log");  // in order of id
  EXPECT_EQ(service.methods[0].kind, rpc::CallKind::oneway);
  EXPECT_EQ(service.methods[1].name, "Count");
  EXPECT_TRUE(service.methods[1].idempotent);
  EXPECT_TRUE(service.methods[1].urgent);
  EXPECT_NE(service.methods[1].request_bound, 0u);
  EXPECT_EQ(service.methods[2].name, "Cook");
  EXPECT_EQ(service.methods[2].id, 7);
  EXPECT_EQ(service.methods[2].timeout_ns, 250'000);
  EXPECT_EQ(service.methods[2].request_bound, 0u);
  EXPECT_EQ(service.methods[3].kind, rpc::CallKind::both_ways);
  EXPECT_EQ(service.methods[4].request, "everything.Tree");
  EXPECT_EQ(desk::Orders::description().methods[0].request_bound, 56u);
  EXPECT_EQ(desk::Orders::description().methods[0].reply_bound, 40u);
  EXPECT_FALSE(service.schema.empty());
}

}  // namespace
}  // namespace taut::testing
