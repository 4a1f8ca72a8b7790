// A call and its answer find each other: waiting, with a callback, deferred, out of order, of any size.
#include <set>

#include "joined_pair.h"
#include "support/seed.h"

namespace taut::rpc::testing {
namespace {

TEST(CallTest, AWaitReturnsTheAnswer) {
  Pair pair;
  pair.server_turns_in_waits();
  for (const std::size_t bytes : {0, 1, 31, 32, 33, 48, 49, 239, 240, 241, 1000, 4080}) {
    const std::string text(bytes, 'x');
    EXPECT_ANSWERED(pair.client().wait(kEcho, text), text);
  }
}

TEST(CallTest, ACallbackRunsInALaterTurnAndNeverInsideThen) {
  Pair pair;
  const Outcome& outcome = pair.client().call(kEcho, "hello");
  EXPECT_FALSE(outcome.ended());
  pair.server().poll();
  EXPECT_FALSE(outcome.ended());
  pair.settle();
  EXPECT_ANSWERED(outcome, "hello");
}

TEST(CallTest, ACallMayBeSentWithoutAnybodyWhoListens) {
  Pair pair;
  (void)send_call(pair.client().filled(kEcho, "unheard"), 7, {});
  const Outcome& outcome = pair.client().call(kEcho, "heard");
  pair.settle();
  EXPECT_EQ(pair.service.received[kEcho], 2);
  EXPECT_ANSWERED(outcome, "heard");
}

TEST(CallTest, CallsMadeInsideACallbackAreAnsweredToo) {
  Pair pair;
  Outcome* second = nullptr;
  pair.client().call_then(kEcho, "first", {}, [&](const Outcome&) { second = &pair.client().call(kEcho, "second"); });
  pair.settle();
  ASSERT_NE(second, nullptr);
  EXPECT_ANSWERED(*second, "second");
}

TEST(CallTest, ADeferredReplyIsAnsweredWhenItsHolderLikes) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& outcome = pair.client().call(kSmall, "later");
  pair.settle();
  EXPECT_FALSE(outcome.ended());
  ASSERT_EQ(held.replies.size(), 1u);
  answer(held.replies[0], "now");
  EXPECT_FALSE(held.replies[0]) << "the duty ended";
  pair.settle();
  EXPECT_ANSWERED(outcome, "now");
}

TEST(CallTest, AnswersGivenOutOfOrderReachTheRightCalls) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  taut::testing::Random random;
  for (int i = 0; i != 60; ++i) pair.client().call(kSmall, std::to_string(i));
  pair.settle();
  ASSERT_EQ(held.replies.size(), 60u);
  while (!held.replies.empty()) {
    const std::size_t i = random.below(held.replies.size());
    const std::string text = "answer to " + held.requests[i];
    RawReply reply = held.take(i);
    answer(reply, text);
    if (random.one_in(3)) pair.settle();
  }
  pair.settle();
  for (std::size_t i = 0; i != 60; ++i) EXPECT_ANSWERED(pair.client().outcomes()[i], "answer to " + std::to_string(i));
}

TEST(CallTest, BothLanesCarryCallsAtOnce) {
  Pair pair;
  const Outcome& normal = pair.client().call(kSmall, "normal");
  const Outcome& urgent = pair.client().call(kUrgent, "urgent");
  pair.settle();
  EXPECT_ANSWERED(normal, "normal");
  EXPECT_ANSWERED(urgent, "urgent");
}

TEST(CallTest, UrgentCallsAreHandledBeforeNormalOnesThatCameEarlier) {
  JoinedPair pair;
  std::vector<std::string> order;
  const auto noting = [&](std::string_view request, RawReply reply) {
    order.emplace_back(request);
    answer(reply, request);
  };
  pair.service.on[kSmall] = pair.service.on[kUrgent] = noting;
  pair.client->call(kSmall, "normal 1");
  pair.client->call(kSmall, "normal 2");
  pair.client->call(kUrgent, "urgent");
  pair.settle();
  EXPECT_THAT(order, ::testing::ElementsAre("urgent", "normal 1", "normal 2"));
}

// A request of any size and its answer, changed so that neither is taken for the other.
std::string question(std::uint64_t number, std::size_t bytes) {
  std::string text = std::to_string(number) + ":";
  while (text.size() < bytes) text += static_cast<char>('a' + (number + text.size()) % 26);
  return text;
}
std::string answer_to(std::string_view question) {
  std::string text(question.rbegin(), question.rend());
  for (char& c : text) c = static_cast<char>(c ^ 0x20);
  return text;
}

class MixTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Check, MixTest, ::testing::Values("in_place", "copy"),
                         [](const auto& info) { return info.param; });

TEST_P(MixTest, AHundredThousandCallsOfAllKindsEachGetTheirOwnAnswer) {
  Pair pair("?check=" + std::string(GetParam()));
  pair.server_turns_in_waits();
  taut::testing::Random random;
  Held held;
  int refused_by_handler = 0;
  const auto any = [&](std::string_view request, RawReply reply) {
    switch (random.below(8)) {
      case 0:
        return held.handler()(request, std::move(reply));
      case 1:
        ++refused_by_handler;
        return reply.refuse(Code::not_found, Why::none, request.substr(0, 20));
      default:
        return answer(reply, answer_to(request));
    }
  };
  pair.service.on.fill(any);

  int open = 0, answered = 0, refused = 0, overload = 0;
  const auto judge = [&](const Status& status, std::string_view payload, const std::string& asked) {
    if (status.ok()) {
      ASSERT_EQ(payload, answer_to(asked));
      ++answered;
    } else if (status.code() == Code::not_found) {
      ASSERT_EQ(status.text(), asked.substr(0, 20));
      ASSERT_EQ(status.ran(), Ran::yes);
      ++refused;
    } else {
      ASSERT_EQ(status.code(), Code::resource_exhausted) << status;
      ASSERT_EQ(status.ran(), Ran::no) << status;
      ASSERT_TRUE(status.why() == Why::ring_full || status.why() == Why::calls_in_flight ||
                  status.why() == Why::reply_room)
          << status;
      ++overload;
    }
  };
  const auto answer_one = [&] {
    const std::size_t i = random.below(held.replies.size());
    const std::string text = answer_to(held.requests[i]);
    RawReply reply = held.take(i);
    answer(reply, text);
  };
  constexpr int kCalls = 100'000;
  for (int i = 0; i != kCalls && !HasFatalFailure(); ++i) {
    const auto method = static_cast<Method>(random.below(kMethodCount));
    const std::size_t most = method == kBig ? 16'000 : method == kEcho ? 4'000 : 48;
    const std::size_t bytes =
        random.one_in(8) ? random.below(most + 1) : random.below(std::min<std::size_t>(most, 300) + 1);
    auto asked =
        std::make_unique<std::string>(question(static_cast<std::uint64_t>(i), std::max<std::size_t>(bytes, 8)));
    if (random.one_in(4)) {
      // What a wait asks for is answered at once, or it would wait for this test.
      const auto before = std::exchange(pair.service.on[method], [&](std::string_view request, RawReply reply) {
        request == *asked ? answer(reply, answer_to(request)) : any(request, std::move(reply));
      });
      const Outcome outcome = pair.client().wait(method, *asked);
      judge(outcome.status, outcome.payload, *asked);
      pair.service.on[method] = before;
    } else {
      ++open;
      const std::string& text = *asked;
      send_call(pair.client().filled(method, text), static_cast<std::uint32_t>(text.size()), {.timeout = forever})
          .then([&open, &judge, asked = std::move(asked)](const RawAnswer& got) {
            --open;
            judge(got.status, as_text(got.payload), *asked);
          });
    }
    if (random.one_in(2)) pair.server().poll(static_cast<int>(random.below(20)));
    if (random.one_in(2)) pair.caller().poll(static_cast<int>(random.below(20)));
    if (!held.replies.empty() && random.one_in(4)) answer_one();
    if (random.one_in(64)) pair.settle();
  }
  pair.settle();
  while (!held.replies.empty()) {
    answer_one();
    pair.settle();  // may bring requests that are held in their turn
  }
  EXPECT_EQ(open, 0);
  EXPECT_EQ(answered + refused + overload, kCalls);
  EXPECT_EQ(refused, refused_by_handler);
  EXPECT_GT(answered, kCalls / 2);
}

TEST(CallIdTest, IsNeverUsedTwiceInsideALink) {
  JoinedPair pair;
  std::set<std::uint64_t> seen;
  const auto note = [&](std::string_view request, RawReply reply) {
    const auto call = pair.memory().lane(1, Lane::normal).own->taken.call.load();
    EXPECT_NE(call, 0u);
    EXPECT_TRUE(seen.insert(call).second) << call << " was used before";
    answer(reply, request);
  };
  pair.service.on[kSmall] = note;
  taut::testing::Random random;
  for (int i = 0; i != 20'000; ++i) {
    pair.client->call(kSmall, "x");
    if (random.one_in(20)) pair.settle();
    if (random.one_in(500)) {  // calls that time out free their rows too
      pair.pass(2s);
      pair.settle();
    }
  }
  pair.settle();
  EXPECT_GT(seen.size(), 10'000u);
}

class BigTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Check, BigTest, ::testing::Values("in_place", "copy"),
                         [](const auto& info) { return info.param; });

TEST_P(BigTest, RecordsFromTheCopyLimitToAQuarterOfTheRingArriveWhole) {
  Pair pair("?check=" + std::string(GetParam()));
  pair.server_turns_in_waits();
  pair.service.on[kBig] = [](std::string_view request, RawReply reply) { answer(reply, answer_to(request)); };
  const std::size_t most = 16 * 1024 - 32;  // a quarter of the ring, with the request's header
  for (const std::size_t bytes : {223ul, 224ul, 225ul, 240ul, 241ul, 257ul, 1024ul, 5000ul, most - 1, most}) {
    const std::string asked = question(bytes, bytes);
    EXPECT_ANSWERED(pair.client().wait(kBig, asked), answer_to(asked));
    const Outcome& outcome = pair.client().call(kBig, asked);
    pair.settle();
    EXPECT_ANSWERED(outcome, answer_to(asked));
  }
}

TEST_P(BigTest, TheHandlerSeesItsRequestUntilItReturns) {
  Pair pair("?check=" + std::string(GetParam()));
  // The answer is written while the request is read: not into the same memory.
  pair.service.on[kBig] = [](std::string_view request, RawReply reply) {
    std::byte* room = reply.claim(static_cast<std::uint32_t>(request.size()));
    ASSERT_NE(room, nullptr);
    std::memset(room, '-', request.size());
    EXPECT_EQ(request, question(7, 9000));
    std::memcpy(room, request.data(), request.size());
    reply.send(static_cast<std::uint32_t>(request.size()));
  };
  const Outcome& outcome = pair.client().call(kBig, question(7, 9000));
  pair.settle();
  EXPECT_ANSWERED(outcome, question(7, 9000));
}

}  // namespace
}  // namespace taut::rpc::testing
