// What a listener tells its services: that they are served, and that a drain begins, before anybody else can know.
#include <thread>

#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

struct ServingTest : ::testing::Test {
  // What clients can read at the moment in which the name is given back: nothing turns the server in between.
  void look_when_the_name_goes() {
    pair.joint.name_goes = [this] {
      while (pair.caller.poll() != 0) {
      }
      name_is_gone = true;
    };
  }
  JoinedPair pair;
  Held held;
  bool name_is_gone = false;
};

TEST_F(ServingTest, what_a_service_sends_when_its_drain_begins_is_read_before_the_name_goes) {
  pair.service.on[kSmall] = held.handler();
  const Outcome& open = pair.client->call(kSmall, "open");
  pair.settle();
  look_when_the_name_goes();
  pair.service.when_drain_begins = [this] { answer(held.replies.front(), "the drain begins"); };
  pair.listener().begin_drain();
  ASSERT_TRUE(name_is_gone);
  EXPECT_ANSWERED(open, "the drain begins");
}

// Answers of a busy turn are shown together, at its end, which is behind the drain that one of its handlers begins.
TEST_F(ServingTest, that_holds_in_a_turn_whose_answers_are_held_back) {
  pair.service.on[kSmall] = held.handler();
  const Outcome& open = pair.client->call(kSmall, "open");
  pair.settle();
  pair.service.when_drain_begins = [this] { answer(held.replies.front(), "the drain begins"); };
  const auto several = [this] {
    for (int i = 0; i != 4; ++i) pair.client->call(kEcho, "fills the turn");
  };
  several();
  ASSERT_EQ(pair.server.poll(), 4);  // the next turn expects several too, and commits their answers together
  several();
  pair.service.on[kUrgent] = [this](std::string_view, RawReply reply) {
    look_when_the_name_goes();
    pair.listener().begin_drain();
    answer(reply, "begun");
  };
  pair.client->call(kUrgent, "drain");
  pair.server.poll();
  ASSERT_TRUE(name_is_gone);
  EXPECT_ANSWERED(open, "the drain begins");
}

TEST_F(ServingTest, a_service_is_told_once) {
  int told = 0;
  pair.service.when_drain_begins = [&] { ++told; };
  pair.listener().begin_drain();
  pair.listener().begin_drain();
  EXPECT_TRUE(pair.listener().drain());
  EXPECT_EQ(told, 1);
}

TEST_F(ServingTest, a_service_that_throws_when_it_is_told_does_not_hold_up_the_drain) {
  pair.service.when_drain_begins = [] { throw std::runtime_error("not now"); };
  EXPECT_TRUE(pair.listener().drain());
  EXPECT_EQ(pair.log.count("drain_begins() of test.Bytes threw: not now"), 1);
}

TEST_F(ServingTest, a_wait_is_refused_in_a_service_that_is_told) {
  auto elsewhere = pair.server.connect("joined://bytes");
  ASSERT_TRUE(elsewhere) << elsewhere.error();
  Client caller(*std::move(elsewhere));
  Status status;
  pair.service.when_drain_begins = [&] { status = caller.wait(kEcho, "x").status; };
  EXPECT_TRUE(pair.listener().drain());
  EXPECT_EQ(status.why(), Why::inside_handler) << status;
}

TEST_F(ServingTest, a_service_hears_which_others_are_served_with_it) {
  ByteService other;
  std::vector<Service*> beside;
  other.when_served = [&](const Serving& serving) { beside.assign(serving.services.begin(), serving.services.end()); };
  auto refused = pair.server.serve("nowhere://x", other);
  EXPECT_FALSE(refused);
  EXPECT_TRUE(beside.empty()) << "it was told of a listener that is not there";
  auto listener = pair.server.serve("joined://other", other);
  ASSERT_TRUE(listener) << listener.error();
  EXPECT_EQ(beside, std::vector<Service*>{&other});
}

TEST_F(ServingTest, a_post_of_a_service_is_run_although_no_other_post_is_taken) {
  TurnPost post;
  ByteService other;
  other.when_served = [&](const Serving& serving) { post = serving.post; };
  auto listener = pair.server.serve("joined://other", other);
  ASSERT_TRUE(listener) << listener.error();
  int posts = 0, ran = 0;
  while (pair.server.post([] {})) ++posts;
  EXPECT_EQ(posts, 1024);
  std::thread([&] { EXPECT_TRUE(post([&ran] { ++ran; })); }).join();
  pair.settle();
  EXPECT_EQ(ran, 1);
}

TEST_F(ServingTest, a_post_to_a_dispatcher_that_is_gone_says_so) {
  TurnPost post;
  EXPECT_FALSE(post([] {})) << "of no dispatcher";
  ByteService other;
  other.when_served = [&](const Serving& serving) { post = serving.post; };
  {
    Dispatcher loop(transports(pair.joint.transport()), {});
    auto listener = loop.serve("joined://other", other);
    ASSERT_TRUE(listener) << listener.error();
    EXPECT_TRUE(post([] {}));
  }
  EXPECT_FALSE(post([] {}));
}

}  // namespace
}  // namespace taut::rpc::testing
