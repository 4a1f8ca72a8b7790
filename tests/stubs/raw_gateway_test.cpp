// A gateway that does not know what passes through it, between a typed client and a typed server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "orders.taut.h"
#include "taut/loopback/loopback.h"
#include "taut/raw.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

struct Desk final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    left = reply.left();
    if (order.quantity() == 0) return reply.refuse(Code::invalid_argument, "an order needs a quantity");
    if (order.price() == 0) return held.push_back(std::move(reply));
    reply.send({.id = order.id(), .desk_id = order.id() + 1000, .open = order.quantity()});
  }
  Nanoseconds left{0};
  std::vector<Reply<desk::Ack>> held;
};

// The whole gateway: it stands for what it is connected to, and remembers the bytes for the test.
class Gateway final : public raw::Service {
 public:
  explicit Gateway(const raw::Client& upstream)
      : raw::Service(std::string(upstream.service()), upstream.methods(), {.fingerprint = upstream.fingerprint()}),
        upstream_(upstream) {}
  void call(std::uint16_t method, raw::Bytes request, raw::Reply reply) override {
    requests.emplace_back(request.begin(), request.end());
    raw::forward(upstream_, method, request, std::move(reply));
  }
  std::vector<std::vector<std::byte>> requests;

 private:
  raw::Client upstream_;
};

class ThroughAGateway : public ::testing::Test {
 protected:
  ThroughAGateway() {
    server.emplace(transports(network), options());
    server_listener.emplace(server->serve("loopback://desk", desk));
    upstream.emplace(middle.connect("loopback://desk"));
    gateway.emplace(raw::Client{**upstream, "desk.Orders"});
    middle_listener.emplace(middle.serve("loopback://gateway", *gateway));
    link.emplace(client.connect("loopback://gateway"));
    EXPECT_TRUE(*link) << link->error().what();
    turn();
  }
  DispatcherOptions options() {
    DispatcherOptions made;
    made.clock = Clock::manual(&ticks);
    return made;
  }
  static std::vector<std::unique_ptr<rpc::Transport>> transports(loopback::Network& network) {
    std::vector<std::unique_ptr<rpc::Transport>> list;
    list.push_back(network.transport());
    return list;
  }
  void turn() {
    for (int i = 0; i != 20; ++i) {
      client.poll();
      middle.poll();
      if (server) server->poll();
    }
  }
  // What became of an order.
  Status place(const desk::OrderInit& order, CallOptions how = {}) {
    std::optional<Status> ended;
    desk::Orders::Client{**link}.Place(order, how).then([&](const Answer<desk::Ack>& ack) {
      ended = ack.status();
      if (ack) acked = ack->desk_id();
    });
    turn();
    for (int i = 0; i != 2000 && !ended; ++i) ticks += 1'000'000, turn();
    EXPECT_TRUE(ended);
    return *ended;
  }

  Ticks ticks = 1'000'000;
  loopback::Network network;
  Desk desk;
  std::optional<rpc::Dispatcher> server;
  rpc::Dispatcher middle{transports(network), options()};
  rpc::Dispatcher client{transports(network), options()};
  std::optional<Result<Listener>> server_listener, middle_listener;
  std::optional<Result<Link>> upstream, link;
  std::optional<Gateway> gateway;
  std::uint64_t acked = 0;
};

TEST_F(ThroughAGateway, requests_and_answers_arrive_byte_by_byte) {
  const desk::OrderInit order{.id = 7, .price = 5, .quantity = 2, .side = desk::Side::sell};
  EXPECT_TRUE(place(order).ok());
  EXPECT_EQ(acked, 1007u);
  const Message<desk::Order> expected{order};
  ASSERT_EQ(gateway->requests.size(), 1u);
  EXPECT_THAT(gateway->requests[0], ::testing::ElementsAreArray(expected.bytes()));
}

TEST_F(ThroughAGateway, a_refusal_is_the_servers) {
  const Status status = place({.id = 7, .price = 5});
  EXPECT_EQ(status.code(), Code::invalid_argument);
  EXPECT_EQ(status.ran(), Ran::yes);
  EXPECT_EQ(status.text(), "an order needs a quantity");
}

TEST_F(ThroughAGateway, what_did_not_run_may_be_repeated_though_the_gateway_ran) {
  server.reset();
  turn();
  const Status status = place({.id = 7, .price = 5, .quantity = 2});
  EXPECT_EQ(status.code(), Code::unavailable);
  EXPECT_EQ(status.why(), Why::not_connected);
  EXPECT_TRUE(status.safe_to_retry());
}

TEST_F(ThroughAGateway, the_servers_handler_sees_what_is_left_of_the_deadline) {
  EXPECT_TRUE(place({.id = 1, .price = 5, .quantity = 1}, {.timeout = 5ms}).ok());
  EXPECT_LE(desk.left, 5ms);
  EXPECT_GT(desk.left, 4ms);
  EXPECT_TRUE(place({.id = 1, .price = 5, .quantity = 1}, {.timeout = forever}).ok());
  EXPECT_EQ(desk.left, Nanoseconds::max());
}

TEST_F(ThroughAGateway, a_caller_that_cancels_cancels_there_too) {
  raw::Client by_id{**link, "desk.Orders"};
  const Message<desk::Order> order{desk::OrderInit{.id = 1, .quantity = 1}};
  rpc::PendingCall call = by_id.call(1, order.bytes());
  CallRef ref = call.ref();
  std::optional<Status> ended;
  call.then([&](const rpc::RawAnswer& answer) { ended = answer.status; });
  turn();
  ASSERT_EQ(desk.held.size(), 1u);
  EXPECT_FALSE(desk.held[0].cancelled());
  ref.cancel();
  turn();
  EXPECT_EQ(ended->code(), Code::cancelled);
  EXPECT_TRUE(desk.held[0].cancelled());
}

TEST_F(ThroughAGateway, a_deadline_that_passes_ends_both_calls) {
  const Status status = place({.id = 1, .price = 0, .quantity = 1}, {.timeout = 5ms});
  EXPECT_EQ(status.code(), Code::deadline_exceeded);
  ASSERT_EQ(desk.held.size(), 1u);
  EXPECT_EQ(desk.held[0].left(), 0ns);
}

}  // namespace
}  // namespace taut::testing
