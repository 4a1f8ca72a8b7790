// The test that docs/testing.md shows.
#include <gtest/gtest.h>

#include "greeter.taut.h"
#include "taut/testing.h"

using namespace std::chrono_literals;

struct SlowHello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest&, taut::Reply<greeter::HelloReply> reply) override {
    asked.push_back(std::move(reply));
  }
  std::vector<taut::Reply<greeter::HelloReply>> asked;
};

TEST(Greeter, is_given_up_after_its_timeout_and_may_have_run) {
  SlowHello hello;
  taut::testing::Wire wire;
  taut::Link link = wire.connect(hello);
  greeter::Greeter::Client greeter{link};

  taut::Status seen;
  greeter.SayHello({.name = "World"}, {.timeout = 50us}).then([&seen](const taut::Answer<greeter::HelloReply>& answer) {
    seen = answer.status();
  });
  wire.advance(51us);

  EXPECT_EQ(seen.code(), taut::Code::deadline_exceeded);
  EXPECT_EQ(seen.ran(), taut::Ran::maybe);
  EXPECT_EQ(hello.asked.size(), 1u);
}

TEST(Greeter, did_not_run_when_the_ring_was_full) {
  SlowHello hello;
  taut::testing::Wire wire{{.link = "timeout=1ms"}};
  taut::Link link = wire.connect(hello);
  greeter::Greeter::Client greeter{link};

  wire.fill(link);
  EXPECT_TRUE(greeter.SayHello({.name = "World"}, taut::wait).status().safe_to_retry());

  wire.release();
  EXPECT_FALSE(greeter.SayHello({.name = "World"}, taut::wait).status().safe_to_retry()) << "taken, and not answered";
}
