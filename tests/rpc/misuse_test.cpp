// What a program does wrong, or at a bad moment: it costs the call at hand, never the memory, the link or its
// neighbours.
#include <sys/mman.h>

#include <thread>

#include "joined_pair.h"
#include "support/process.h"

namespace taut::rpc::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// As the segments of a real link are: not there in a child.
void keep_from_children(JoinedMemory& memory) {
  for (const int side : {0, 1}) {
    for (const auto& [lane, bytes] :
         {std::pair{Lane::normal, LinkOptions{}.ring_bytes}, {Lane::urgent, LinkOptions{}.urgent_ring_bytes}}) {
      EXPECT_EQ(madvise(memory.lane(side, lane).out_ring, bytes, MADV_DONTFORK), 0);
    }
  }
}

// --- a Reply is not used as it should be

// Sizes of answers: beside the ring, and in it.
class ReplyMisuseTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void expect_next_answered() {
    for (const Method method : {kEcho, kUrgent}) {
      const Outcome& next = pair.client->call(method, "next");
      pair.settle_links();
      EXPECT_ANSWERED(next, "next");
    }
    EXPECT_TRUE(pair.client->link().up());
  }
  // A call whose Reply is held, with a claim of the parameter's size.
  const Outcome& call_and_claim(Held& held) {
    pair.service.on[kBig] = held.handler();
    const Outcome& outcome = pair.client->call(kBig);
    pair.settle();
    EXPECT_NE(held.replies.front().claim(GetParam()), nullptr);
    return outcome;
  }
  JoinedPair pair;
};

TEST_P(ReplyMisuseTest, SendingMoreThanWasClaimedBecomesAnError) {
  pair.service.on[kBig] = [](std::string_view, RawReply reply) {
    ASSERT_NE(reply.claim(GetParam()), nullptr);
    reply.send(GetParam() + 1);
    EXPECT_FALSE(reply);
  };
  const Outcome& outcome = pair.client->call(kBig);
  pair.settle();
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::yes, Why::too_big);
  EXPECT_THAT(std::string(outcome.status.text()), HasSubstr(std::to_string(GetParam() + 1)));
  expect_next_answered();
}

TEST_P(ReplyMisuseTest, SendingAllThatWasClaimedIsNoMisuse) {
  pair.service.on[kBig] = [](std::string_view, RawReply reply) {
    std::byte* room = reply.claim(GetParam());
    ASSERT_NE(room, nullptr);
    std::memset(room, 'a', GetParam());
    reply.send(GetParam());
  };
  const Outcome& outcome = pair.client->call(kBig);
  pair.settle();
  EXPECT_ANSWERED(outcome, std::string(GetParam(), 'a'));
}

TEST_P(ReplyMisuseTest, SendingWithoutAClaimBecomesAnError) {
  pair.service.on[kBig] = [](std::string_view, RawReply reply) { reply.send(GetParam()); };
  const Outcome& outcome = pair.client->call(kBig);
  pair.settle();
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::yes, Why::too_big);
  expect_next_answered();
}

TEST_P(ReplyMisuseTest, SendingWithoutAClaimWhatAnEarlierCallHadClaimedBecomesAnError) {
  const std::string before(GetParam(), 'b');
  for (const std::uint32_t bytes : {GetParam(), 0u}) {
    pair.service.on[kBig] = [&](std::string_view, RawReply reply) { answer(reply, before); };
    const Outcome& earlier = pair.client->call(kBig);  // its row is used again
    pair.settle();
    EXPECT_ANSWERED(earlier, before);
    pair.service.on[kBig] = [bytes](std::string_view, RawReply reply) { reply.send(bytes); };
    const Outcome& outcome = pair.client->call(kBig);
    pair.settle();
    EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::yes, Why::too_big);
  }
  expect_next_answered();
}

TEST_P(ReplyMisuseTest, SendingWhatAnotherClaimedBecomesAnErrorAndTheClaimStands) {
  Held other_held, held;
  pair.service.on[kEcho] = other_held.handler();
  const Outcome& other = pair.client->call(kEcho);
  pair.settle();
  const Outcome& claimed = call_and_claim(held);
  other_held.replies.front().send(GetParam());
  held.replies.front().send(0);
  pair.settle_links();
  EXPECT_ENDED(other, Code::resource_exhausted, Ran::yes, Why::too_big);
  EXPECT_ANSWERED(claimed, "");
  pair.service.on[kEcho] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  expect_next_answered();
}

TEST_P(ReplyMisuseTest, SendingTwiceDoesNothing) {
  pair.service.on[kBig] = [](std::string_view, RawReply reply) {
    answer(reply, "once");
    reply.send(4);
    EXPECT_EQ(reply.claim(4), nullptr);
  };
  const Outcome& outcome = pair.client->call(kBig);
  pair.settle();
  EXPECT_ANSWERED(outcome, "once");
  expect_next_answered();
}

TEST_P(ReplyMisuseTest, SendingWhenTheDispatcherIsGoneHarmsNothing) {
  Held held;
  const Outcome& outcome = call_and_claim(held);
  { const Dispatcher gone = std::move(pair.server); }
  held.replies.front().send(GetParam());
  EXPECT_FALSE(held.replies.front());
  pair.pass(1ms);
  pair.caller.poll();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::maybe, Why::peer_closed);
}

TEST_P(ReplyMisuseTest, SendingWhenTheLinkIsOverIsOnlyCounted) {
  Held held;
  const Outcome& outcome = call_and_claim(held);
  const std::shared_ptr<JoinedMemory> first = pair.joint.made().memory;
  pair.joint.made().end(Why::peer_died, "it died");
  pair.settle_links();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::maybe, Why::peer_died);
  held.replies.front().send(GetParam());
  EXPECT_EQ(first->counters(1).answers_lost.value(), 1u);
  EXPECT_EQ(first->counters(1).answers_sent.value(), 0u);
  expect_next_answered();
}

TEST_P(ReplyMisuseTest, AClaimDroppedOnAnotherThreadIsAborted) {
  Held held;
  const Outcome& outcome = call_and_claim(held);
  std::thread([reply = held.take(0)] {}).join();
  pair.settle_links();
  EXPECT_ENDED(outcome, Code::aborted, Ran::yes, Why::reply_dropped);
  expect_next_answered();
}

TEST_P(ReplyMisuseTest, AClaimSentOnAnotherThreadIsAborted) {
  Held held;
  const Outcome& outcome = call_and_claim(held);
  std::thread([reply = held.take(0)]() mutable {
    reply.send(GetParam());
    EXPECT_FALSE(reply);
  }).join();
  pair.settle_links();
  EXPECT_ENDED(outcome, Code::aborted, Ran::yes, Why::wrong_thread);
  EXPECT_EQ(pair.log.count("a Reply was answered on thread"), 1);
  expect_next_answered();
}

INSTANTIATE_TEST_SUITE_P(Of, ReplyMisuseTest, ::testing::Values(40u, 4000u),
                         [](const auto& info) { return std::to_string(info.param) + "Bytes"; });

// --- run() where it cannot run

struct RunnableLoop {
  int logged = 0;
  std::string last;
  Ticks ticks = 1'000'000;
  Joint joint;
  ByteService service;
  DispatcherOptions options() {
    DispatcherOptions made;
    made.clock = Clock::manual(&ticks);
    made.log = [this](Severity, std::string_view text) {
      ++logged;
      last = text;
      ticks += 1'000'000;  // a loop that only logs grows idle, and rests
      if (logged == 1000) _exit(99);
    };
    return made;
  }
};

TEST(ReplyTest, InAChildOfForkAnswersNothing) {
  JoinedPair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& outcome = pair.client->call(kSmall);
  pair.settle();
  keep_from_children(pair.memory());
  for (const bool dropped : {true, false}) {
    taut::testing::Child child([&](taut::testing::Talk&) {
      RawReply reply = held.take(0);
      if (!dropped) {
        if (reply.claim(10) != nullptr) return 1;
        reply.refuse(Code::internal, Why::none, "from the child");
      }
      return 0;
    });
    EXPECT_EQ(child.wait(), 0);
  }
  answer(held.replies[0], "from the parent");
  pair.settle();
  EXPECT_ANSWERED(outcome, "from the parent");
}

TEST(RunTest, InAChildOfForkEndsAndSaysWhy) {
  RunnableLoop on;
  Dispatcher server{transports(on.joint.transport()), on.options()};
  Dispatcher caller{transports(on.joint.transport()), on.options()};
  auto listener = server.serve("joined://bytes", on.service);
  ASSERT_TRUE(listener);
  auto link = caller.connect("joined://bytes");
  ASSERT_TRUE(link);
  Client client(std::move(*link));
  for (int i = 0; i != 6; ++i) (i % 2 == 0 ? server : caller).poll();
  keep_from_children(*on.joint.made().memory);
  for (Dispatcher* loop : {&server, &caller}) {
    taut::testing::Child child([&](taut::testing::Talk&) {
      alarm(30);
      loop->run();
      return on.logged == 1 && on.last.find("in a child of fork()") != std::string::npos ? 0 : 1;
    });
    EXPECT_EQ(child.wait(), 0);
  }
  const Outcome& outcome = client.call(kSmall, "parent");
  for (int i = 0; i != 6; ++i) (i % 2 == 0 ? server : caller).poll();
  EXPECT_ANSWERED(outcome, "parent");
}

TEST(RunTest, OnAnotherThreadEndsAndSaysWhy) {
  RunnableLoop on;
  Dispatcher loop{transports(on.joint.transport()), on.options()};
  loop.poll();
  std::thread([&] { loop.run(); }).join();
  EXPECT_EQ(on.logged, 1);
  EXPECT_THAT(on.last, AllOf(HasSubstr("poll() was called on thread"), HasSubstr("belongs to thread")));
}

TEST(RunTest, InsideAHandlerEndsAndSaysWhy) {
  JoinedPair pair;
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    pair.server.run();
    answer(reply, request);
  };
  const Outcome& outcome = pair.client->call(kSmall, "answered");
  pair.settle();
  EXPECT_ANSWERED(outcome, "answered");
  EXPECT_EQ(pair.log.count("poll() inside a handler"), 1);
}

}  // namespace
}  // namespace taut::rpc::testing
