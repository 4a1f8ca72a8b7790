// A handler leaves the claim of its answer open: nothing else can be answered in that lane, so no request is taken
// until it was sent.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;

class OpenAnswerTest : public ::testing::Test {
 protected:
  OpenAnswerTest() {
    for (const Method method : {kEcho, kSmall, kUrgent}) {
      pair.service.on[method] = [this](std::string_view request, RawReply reply) {
        served.emplace_back(request);
        if (request != "open") return answer(reply, request);
        open = std::move(reply);
        room = open.claim(4);
        ASSERT_NE(room, nullptr);
      };
    }
  }
  void send_open() {
    std::memcpy(room, "sent", 4);
    open.send(4);
  }
  void expect_all_answered() {
    pair.settle_links();
    for (const Outcome& outcome : pair.client->outcomes()) EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(pair.service.received[kEcho] + pair.service.received[kSmall] + pair.service.received[kUrgent],
              static_cast<int>(pair.client->outcomes().size()));
  }

  JoinedPair pair;
  std::vector<std::string> served;
  RawReply open;
  std::byte* room = nullptr;
};

TEST_F(OpenAnswerTest, StopsTheTurnUntilItIsSent) {
  for (const char* text : {"a", "open", "b", "c"}) pair.client->call(kSmall, text);
  EXPECT_EQ(pair.server.poll(), 2);
  for (int i = 0; i != 5; ++i) EXPECT_EQ(pair.server.poll(), 0);
  EXPECT_THAT(served, ElementsAre("a", "open"));
  EXPECT_EQ(pair.log.count("poll() with an open claim"), 1);
  send_open();
  expect_all_answered();
  EXPECT_THAT(served, ElementsAre("a", "open", "b", "c"));
  EXPECT_ANSWERED(pair.client->outcomes()[1], "sent");
}

TEST_F(OpenAnswerTest, StopsTheOtherLaneToo) {
  pair.client->call(kUrgent, "open");
  pair.client->call(kSmall, "behind");
  EXPECT_EQ(pair.server.poll(), 1);
  EXPECT_EQ(pair.server.poll(), 0);
  send_open();
  expect_all_answered();
}

TEST_F(OpenAnswerTest, OfTheLaneThatWasNotServedStopsTheTurn) {
  // A handler of the urgent lane claims an answer of the normal one, which was held.
  Held held;
  pair.service.on[kEcho] = held.handler();
  pair.client->call(kEcho, "held");
  pair.settle();
  pair.service.on[kUrgent] = [&](std::string_view request, RawReply reply) {
    open = std::move(held.replies.front());
    room = open.claim(4);
    answer(reply, request);
  };
  pair.client->call(kUrgent, "urgent");
  pair.client->call(kSmall, "behind");
  EXPECT_EQ(pair.server.poll(), 1);
  EXPECT_THAT(served, ElementsAre());
  send_open();
  expect_all_answered();
}

TEST_F(OpenAnswerTest, StopsTheRecordsThatWereKeptToo) {
  for (const char* text : {"open", "open", "b", "open", "c"}) pair.client->call(kSmall, text);
  EXPECT_EQ(pair.server.poll(), 1);
  for (int i = 0; i != 3; ++i) EXPECT_EQ(pair.server.poll(), 0);  // each keeps one record
  send_open();
  EXPECT_EQ(pair.server.poll(), 1);
  EXPECT_THAT(served, ElementsAre("open", "open"));
  for (int i = 0; i != 3; ++i) EXPECT_EQ(pair.server.poll(), 0);
  send_open();
  EXPECT_EQ(pair.server.poll(), 2);
  EXPECT_THAT(served, ElementsAre("open", "open", "b", "open"));
  send_open();
  expect_all_answered();
  EXPECT_THAT(served, ElementsAre("open", "open", "b", "open", "c"));
}

TEST_F(OpenAnswerTest, ThatIsDroppedLetsTheTurnGoOn) {
  for (const char* text : {"open", "b", "c"}) pair.client->call(kSmall, text);
  EXPECT_EQ(pair.server.poll(), 1);
  EXPECT_EQ(pair.server.poll(), 0);
  open = {};
  pair.settle_links();
  EXPECT_ENDED(pair.client->outcomes()[0], Code::aborted, Ran::yes, Why::reply_dropped);
  EXPECT_ANSWERED(pair.client->outcomes()[1], "b");
  EXPECT_ANSWERED(pair.client->outcomes()[2], "c");
}

TEST_F(OpenAnswerTest, WhenTheLinkEndsIsOnlyCounted) {
  for (const char* text : {"open", "b"}) pair.client->call(kSmall, text);
  EXPECT_EQ(pair.server.poll(), 1);
  EXPECT_EQ(pair.server.poll(), 0);
  const std::shared_ptr<JoinedMemory> first = pair.joint.made().memory;
  pair.joint.made().end(Why::peer_died, "it died");
  pair.settle_links();
  send_open();
  EXPECT_EQ(first->counters(1).answers_lost.value(), 1u);
  const Outcome& next = pair.client->call(kSmall, "next");
  pair.settle_links();
  EXPECT_ANSWERED(next, "next");
}

}  // namespace
}  // namespace taut::rpc::testing
