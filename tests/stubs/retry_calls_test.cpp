// Typed calls under a policy, as users write them.
#include <gtest/gtest.h>

#include "greeter.taut.h"
#include "taut/testing.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

struct Hello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, Reply<greeter::HelloReply> reply) override {
    ++calls;
    reply.send({.text = "Hello, " + request.name()->str()});
  }
  int calls = 0;
};

struct RetryCallsTest : ::testing::Test {
  Hello hello, far_hello;
  Wire wire;
  Link link = wire.connect(hello);
  greeter::Greeter::Client greeter{link};
};

TEST_F(RetryCallsTest, ACallThatFoundNoRoomIsMadeAgain) {
  Retry retry{link, {.attempts = 20, .backoff = 1ms, .burst = 20}};
  std::string text;
  wire.fill(link);
  const std::string name(300, 'n');
  greeter.SayHello({.name = name}, retry, {.timeout = 1s}).then([&](const Answer<greeter::HelloReply>& reply) {
    text = reply ? reply->text()->str() : std::string(reply.status().text());
  });
  wire.advance(2ms);
  EXPECT_EQ(text, "");
  wire.release();
  wire.advance(50ms);
  EXPECT_EQ(text, "Hello, " + name);
  EXPECT_EQ(hello.calls, 1);
  EXPECT_GT(retry.counters().attempts, 0u);
}

TEST_F(RetryCallsTest, AWaitPausesAndMakesTheCallAgain) {
  Retry retry{link, {.attempts = 3, .attempt_timeout = 1ms, .backoff = 100us}};
  wire.set_faults({.drop = 1});
  const auto lost = greeter.SayHello({.name = "World"}, retry, taut::wait(50ms));
  EXPECT_EQ(lost.status().code(), Code::deadline_exceeded);
  EXPECT_NE(lost.status().text().find("(attempt 3 of 3)"), std::string_view::npos) << lost.status();
  EXPECT_EQ(retry.counters().attempts, 2u);
  wire.set_faults({});
  const auto reply = greeter.SayHello({.name = "World"}, retry, taut::wait(50ms));
  ASSERT_TRUE(reply) << reply.status();
  EXPECT_EQ(reply->text()->str(), "Hello, World");
}

TEST_F(RetryCallsTest, ALateFirstServerIsOvertakenByTheSecond) {
  Link far = wire.connect(far_hello);
  Hedge hedge{link, far, {.after = 200us}};
  wire.fill(link);  // nothing moves: neither server sees a call
  std::string text;
  greeter.SayHello({.name = "World"}, hedge, {.timeout = 5ms}).then([&](const Answer<greeter::HelloReply>& reply) {
    text = reply ? reply->text()->str() : std::string(reply.status().text());
  });
  wire.release();
  wire.advance(1ms);
  EXPECT_EQ(text, "Hello, World");
  EXPECT_EQ(hello.calls + far_hello.calls, 1);
  EXPECT_EQ(hedge.counters().won, 1u);
}

}  // namespace
}  // namespace taut::testing
