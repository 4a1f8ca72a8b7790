// Which thread may do what: the owner everything, any other what is meant for others, and the rest is refused by name.
#include <atomic>
#include <thread>

#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <class F>
void on_another_thread(F f) {
  std::thread(std::move(f)).join();
}

TEST(ThreadsTest, APostFromAnyThreadRunsOnTheDispatchers) {
  Pair pair;
  std::thread::id ran_on;
  on_another_thread([&] { EXPECT_TRUE(pair.server().post([&] { ran_on = std::this_thread::get_id(); })); });
  EXPECT_EQ(ran_on, std::thread::id()) << "and not before a turn";
  pair.server().poll();
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(ThreadsTest, APostTooManyIsRefusedAndRunsNever) {
  Pair pair;
  int ran = 0;
  int taken = 0;
  on_another_thread([&] {
    while (pair.server().post([&] { ++ran; })) ++taken;
  });
  EXPECT_EQ(taken, 1024) << "posts_max";
  pair.settle();
  EXPECT_EQ(ran, taken);
  EXPECT_TRUE(pair.server().post([] {})) << "there is room again";
}

TEST(ThreadsTest, AReplyIsCarriedHomeWithAPost) {
  Pair pair;
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    on_another_thread([&] {
      EXPECT_TRUE(pair.server().post(
          [reply = std::move(reply), text = std::string(request)]() mutable { answer(reply, text); }));
    });
  };
  const Outcome& outcome = pair.client().call(kSmall, "worked on elsewhere");
  pair.settle();
  EXPECT_ANSWERED(outcome, "worked on elsewhere");
}

TEST(ThreadsTest, AReplyInAPostTooManyIsAborted) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& outcome = pair.client().call(kSmall);
  pair.settle();
  while (pair.server().post([] {})) {
  }
  on_another_thread([&] {
    auto bring_home = [reply = held.take(0)]() mutable { answer(reply, "too late"); };
    EXPECT_FALSE(pair.server().post(std::move(bring_home)));
  });
  pair.settle_links();
  EXPECT_ENDED(outcome, Code::aborted, Ran::yes, Why::reply_dropped);
}

TEST(ThreadsTest, StopFromAnotherThreadEndsRun) {
  Pair pair;
  std::atomic<bool> running{false};
  std::thread other([&] {
    while (!running.load()) std::this_thread::yield();
    pair.server().stop();
  });
  ASSERT_TRUE(pair.server().post([&] { running.store(true); }));
  pair.server().run();
  other.join();
}

TEST(ThreadsTest, ACallOnAnotherThreadIsRefusedAndBothAreNamed) {
  Pair pair;
  pair.client().call(kSmall, "mine");
  pair.settle();
  on_another_thread([&] {
    const Outcome outcome = pair.client().wait(kSmall);
    EXPECT_ENDED(outcome, Code::failed_precondition, Ran::no, Why::wrong_thread);
    EXPECT_THAT(std::string(outcome.status.text()),
                AllOf(HasSubstr("called on thread"), HasSubstr("belongs to thread"), HasSubstr("post()")));
  });
  EXPECT_EQ(pair.service.received[kSmall], 1);
}

TEST(ThreadsTest, APollOnAnotherThreadDoesNothing) {
  Pair pair;
  const Outcome& outcome = pair.client().call(kSmall, "x");
  on_another_thread([&] { EXPECT_EQ(pair.server().poll(), 0); });
  EXPECT_EQ(pair.service.received[kSmall], 0);
  EXPECT_EQ(pair.log.count("poll() was called on thread"), 1);
  pair.settle();
  EXPECT_ANSWERED(outcome, "x");
}

TEST(ThreadsTest, AThreadThatAdoptsADispatcherMayPollAndTheFirstMayNoLonger) {
  Pair pair;
  const Outcome& outcome = pair.client().call(kSmall, "to the new owner");
  on_another_thread([&] {
    pair.server().adopt_thread();
    while (pair.service.received[kSmall] == 0) pair.server().poll();
    while (pair.server().poll() != 0) {
    }
  });
  EXPECT_EQ(pair.server().poll(), 0);
  EXPECT_EQ(pair.log.count("poll() was called on thread"), 1);
  pair.server().adopt_thread();
  pair.settle();
  EXPECT_ANSWERED(outcome, "to the new owner");
}

}  // namespace
}  // namespace taut::rpc::testing
