// <taut/testing.h> as its users meet it, and what it promises them: time, faults, and the same run for the same seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "greeter.taut.h"
#include "orders.taut.h"
#include "taut/testing.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

struct Hello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, Reply<greeter::HelloReply> reply) override {
    names.push_back(request.name()->str());
    if (holds) return held.push_back(std::move(reply));
    reply.send({.text = "Hello, " + names.back()});
  }
  bool holds = false;
  std::vector<std::string> names;
  std::vector<Reply<greeter::HelloReply>> held;
};

// Greets through another service: its answer waits for the inner one.
struct Relay final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, Reply<greeter::HelloReply> reply) override {
    next->SayHello({.name = request.name()->string_view()}, {.timeout = reply.left()})
        .then([kept = std::move(reply)](const Answer<greeter::HelloReply>& answer) mutable {
          if (!answer) return kept.refuse(answer.status().code(), "the inner service failed");
          kept.send({.text = answer->text()->string_view()});
        });
  }
  std::optional<greeter::Greeter::Client> next;
};

struct WireTest : ::testing::Test {
  void SetUp() override { make({}); }
  void make(const WireOptions& options) {
    client.reset();
    link.reset();
    wire.emplace(options);
    link.emplace(wire->connect(hello));
    client.emplace(*link);
  }
  // What becomes of a call, once it has ended.
  std::optional<Status>& greet(const std::string& name, CallOptions options = {}) {
    std::optional<Status>& end = ends.emplace_back();
    client->SayHello({.name = name}, options).then([&end](const Answer<greeter::HelloReply>& answer) {
      ASSERT_FALSE(end.has_value()) << "a call ended twice";
      end = answer.status();
    });
    return end;
  }
  Hello hello;
  std::deque<std::optional<Status>> ends;
  std::optional<Wire> wire;
  std::optional<Link> link;
  std::optional<greeter::Greeter::Client> client;
};

#define EXPECT_STATUS(end, a_code, a_ran, a_why)  \
  do {                                            \
    ASSERT_TRUE(end.has_value()) << "not ended";  \
    EXPECT_EQ(end->code(), Code::a_code) << *end; \
    EXPECT_EQ(end->ran(), Ran::a_ran) << *end;    \
    EXPECT_EQ(end->why(), Why::a_why) << *end;    \
  } while (false)

TEST_F(WireTest, a_wait_turns_the_server_too_and_takes_no_time_for_an_answer_that_comes) {
  const auto before = wire->now();
  auto reply = client->SayHello({.name = "World"}, taut::wait);
  ASSERT_TRUE(reply) << reply.status();
  EXPECT_EQ(reply->text()->str(), "Hello, World");
  EXPECT_EQ(wire->now(), before);
}

TEST_F(WireTest, a_wait_for_an_answer_that_never_comes_ends_at_its_timeout) {
  hello.holds = true;
  const auto before = wire->now();
  auto reply = client->SayHello({.name = "World"}, taut::wait(50us));
  EXPECT_EQ(reply.status().code(), Code::deadline_exceeded) << reply.status();
  EXPECT_GE(wire->now() - before, 50us);
  EXPECT_LE(wire->now() - before, 70us) << "time passes in steps of 10 us";
}

TEST_F(WireTest, time_stands_still_until_it_is_advanced) {
  hello.holds = true;
  auto& end = greet("World", {.timeout = 50us});
  for (int i = 0; i < 100; ++i) wire->settle();
  wire->advance(49us);
  EXPECT_FALSE(end.has_value());
  EXPECT_EQ(hello.names.size(), 1u);
  wire->advance(2us);
  EXPECT_STATUS(end, deadline_exceeded, maybe, timeout);
}

TEST_F(WireTest, a_poll_that_finds_nothing_lets_time_pass_so_that_a_loop_of_them_ends) {
  hello.holds = true;
  auto& end = greet("World", {.timeout = 1ms});
  while (!end) link->poll();
  EXPECT_STATUS(end, deadline_exceeded, maybe, timeout);
}

TEST_F(WireTest, a_cut_ends_calls_with_what_the_marks_prove_and_the_link_comes_back) {
  hello.holds = true;
  auto& ran = greet("ran");
  auto& last = greet("last");
  wire->settle();
  wire->hold();
  auto& unseen = greet("unseen");
  wire->cut();
  EXPECT_STATUS(ran, unavailable, yes, peer_died);
  EXPECT_STATUS(last, unavailable, maybe, peer_died);
  EXPECT_STATUS(unseen, unavailable, no, peer_died);
  EXPECT_THAT(hello.names, ElementsAre("ran", "last"));
  hello.held.clear();
  hello.holds = false;
  wire->release();
  wire->advance(2ms);
  EXPECT_TRUE(link->up());
  EXPECT_TRUE(client->SayHello({.name = "again"}, taut::wait));
}

TEST_F(WireTest, while_nobody_serves_calls_end_at_once_and_afterwards_they_are_answered) {
  wire->stop_serving();
  wire->advance(1s);
  EXPECT_FALSE(link->up());
  auto& end = greet("World");
  wire->settle();
  EXPECT_STATUS(end, unavailable, no, not_connected);
  wire->serve_again();
  EXPECT_TRUE(link->up());
  EXPECT_TRUE(client->SayHello({.name = "again"}, taut::wait));
}

TEST_F(WireTest, a_filled_ring_refuses_and_a_released_one_takes_calls_again) {
  wire->fill(*link);
  auto& refused = greet("refused");
  wire->settle();
  EXPECT_STATUS(refused, resource_exhausted, no, ring_full);
  EXPECT_TRUE(refused->safe_to_retry());
  EXPECT_THAT(hello.names, ElementsAre());
  wire->release();
  auto& taken = greet("taken");
  wire->settle();
  EXPECT_STATUS(taken, ok, yes, none);
  EXPECT_THAT(wire->log(), ElementsAre()) << "the server stepped over what filled the ring";
}

TEST_F(WireTest, a_held_wire_delivers_when_it_is_released) {
  wire->hold();
  auto& end = greet("World");
  wire->advance(1ms);
  EXPECT_FALSE(end.has_value());
  wire->release();
  EXPECT_STATUS(end, ok, yes, none);
}

TEST_F(WireTest, link_options_are_those_of_a_url) {
  make({.link = "inflight=4"});
  hello.holds = true;
  for (int i = 0; i < 4; ++i) greet("taken");
  auto& fifth = greet("fifth");
  wire->settle();
  EXPECT_STATUS(fifth, resource_exhausted, no, calls_in_flight);
}

TEST_F(WireTest, the_same_seed_loses_the_same_records) {
  std::vector<std::string> runs;
  for (const std::uint64_t seed : {7, 7, 8}) {
    ends.clear();
    make({.seed = seed, .drop = 0.3});
    std::string run;
    for (int i = 0; i < 32; ++i) {
      run += client->SayHello({.name = "World"}, taut::wait(100us)) ? '+' : '-';
    }
    runs.push_back(run);
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
  EXPECT_NE(runs[0].find('-'), std::string::npos);
  EXPECT_NE(runs[0].find('+'), std::string::npos);
}

TEST_F(WireTest, chances_and_seed_can_change_on_the_way) {
  EXPECT_TRUE(client->SayHello({.name = "World"}, taut::wait));
  wire->set_faults({.drop = 1});
  EXPECT_FALSE(client->SayHello({.name = "World"}, taut::wait(100us)));
  wire->set_faults({.late = 1, .delay = 5ms});
  const auto before = wire->now();
  EXPECT_TRUE(client->SayHello({.name = "World"}, taut::wait));
  EXPECT_GE(wire->now() - before, 10ms) << "5 ms there and 5 ms back";
  wire->seed(3);
}

TEST_F(WireTest, a_service_calls_another_one_while_the_test_waits) {
  Relay relay;
  Link outer = wire->connect(relay);
  Link inner = wire->connect_inside(hello);
  relay.next.emplace(inner);
  greeter::Greeter::Client through(outer);
  auto reply = through.SayHello({.name = "World"}, taut::wait);
  ASSERT_TRUE(reply) << reply.status();
  EXPECT_EQ(reply->text()->str(), "Hello, World");
}

TEST_F(WireTest, a_callback_that_calls_for_ever_does_not_keep_the_test) {
  static constexpr int kLast = 50'000;
  struct Again {
    greeter::Greeter::Client& client;
    int& rounds;
    void operator()(const Answer<greeter::HelloReply>&) const {
      if (++rounds != kLast) client.SayHello({.name = "again"}).then(*this);
    }
  };
  int rounds = 0;
  client->SayHello({.name = "first"}).then(Again{*client, rounds});
  wire->settle();
  EXPECT_LT(rounds, kLast);
  while (rounds != kLast) wire->settle();
}

using WireDeathTest = WireTest;
TEST_F(WireDeathTest, a_mistake_in_the_options_says_what_is_wrong) { EXPECT_DEATH(make({.link = "rings=1"}), "rings"); }

// Says hello to whoever says hello, and answers when it was answered.
struct Polite final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, Reply<greeter::HelloReply> reply) override {
    callers.push_back(std::make_unique<Link>(reply.caller()));
    greeter::Greeter::Client(*callers.back())
        .SayHello({.name = "you"})
        .then(
            [kept = std::move(reply), name = request.name()->str()](const Answer<greeter::HelloReply>& answer) mutable {
              if (!answer) return kept.refuse(answer.status().code(), answer.status().text());
              kept.send({.text = name + ", who said: " + answer->text()->str()});
            });
  }
  std::vector<std::unique_ptr<Link>> callers;
};

TEST(WireServe, OffersTheServicesOfATestToTheServiceUnderTest) {
  Hello ours;
  Polite polite;
  Wire wire({.serve = {ours}});
  Link link = wire.connect(polite);
  std::string heard;
  greeter::Greeter::Client(link).SayHello({.name = "Ann"}).then([&](const Answer<greeter::HelloReply>& answer) {
    heard = answer ? answer->text()->str() : std::string(answer.status().text());
  });
  wire.settle();
  EXPECT_EQ(heard, "Ann, who said: Hello, you");
}

}  // namespace
}  // namespace taut::testing
