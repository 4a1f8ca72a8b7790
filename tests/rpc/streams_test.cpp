// Streams in bytes: order, credit, half-close, the status at the end, and what ends them early.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;

// What a handler of a streaming method was given.
struct ServedStream {
  RawReply reply;
  StreamEnd stream;
  std::vector<std::string> items;
  std::vector<bool> closes;
  int cancels = 0;
};

class StreamsTest : public ::testing::Test {
 protected:
  // The handlers keep what they are given in `served`.
  void keep_served(Method method, StreamOptions options = {}) {
    pair.service.instead[method] = [this, options](ServedCall& call) {
      call.taken();
      ServedStream& one = served.emplace_back();
      one.stream = call.stream(options);
      one.stream.each([&one](std::span<const std::byte> item) { one.items.emplace_back(as_text(item)); });
      one.stream.on_close([&one](bool complete) { one.closes.push_back(complete); });
      one.reply = call.reply();
      one.reply.on_cancel([&one] { ++one.cancels; });
    };
  }
  StreamEnd open(Method method, StreamOptions options = {}) {
    StreamEnd stream = pair.client().stream(method, outcome, "open", options);
    stream.each([this](std::span<const std::byte> item) { items.emplace_back(as_text(item)); });
    pair.settle();
    return stream;
  }
  static int send_until_refused(StreamEnd& stream, Sent why, int most = 100'000) {
    int sent = 0;
    Sent last = Sent::ok;
    while (sent < most && (last = send_item(stream, std::to_string(sent))) == Sent::ok) ++sent;
    EXPECT_EQ(last, why) << to_text(last);
    return sent;
  }

  // Before the pair, whose callbacks write to them.
  std::deque<ServedStream> served;
  std::vector<std::string> items;
  Outcome outcome;
  std::deque<Outcome> outcomes;
  std::deque<std::vector<std::string>> got;
  Pair pair;
};

TEST_F(StreamsTest, of_a_server_arrives_in_order_and_ends_with_its_status) {
  keep_served(kDown);
  const StreamEnd stream = open(kDown);
  ASSERT_EQ(served.size(), 1u);
  for (const char* text : {"one", "two", "three"}) EXPECT_EQ(send_item(served[0].stream, text), Sent::ok);
  answer(served[0].reply, "");
  pair.settle();
  EXPECT_THAT(items, ElementsAre("one", "two", "three"));
  EXPECT_EQ(outcome.ends, 1);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_TRUE(stream.over());
  EXPECT_EQ(send_item(served[0].stream, "late"), Sent::over);
}

TEST_F(StreamsTest, of_a_client_is_closed_by_it_and_answered_once) {
  keep_served(kUp);
  StreamEnd stream = open(kUp);
  EXPECT_EQ(send_item(stream, "a"), Sent::ok);
  EXPECT_EQ(send_item(stream, "b"), Sent::ok);
  pair.settle();
  EXPECT_THAT(served[0].items, ElementsAre("a", "b"));
  EXPECT_TRUE(served[0].closes.empty());
  EXPECT_EQ(stream.close(), Sent::ok);
  EXPECT_EQ(stream.close(), Sent::over);          // a second time
  EXPECT_EQ(send_item(stream, "c"), Sent::over);  // behind the end
  pair.settle();
  EXPECT_THAT(served[0].closes, ElementsAre(true));
  answer(served[0].reply, "2 items");
  pair.settle();
  EXPECT_EQ(outcome.payload, "2 items");
  EXPECT_THAT(served[0].closes, ElementsAre(true));  // once
}

TEST_F(StreamsTest, both_ways_go_on_after_one_is_closed) {
  keep_served(kTalk);
  StreamEnd stream = open(kTalk);
  EXPECT_EQ(send_item(stream, "question"), Sent::ok);
  EXPECT_EQ(stream.close(), Sent::ok);
  pair.settle();
  EXPECT_THAT(served[0].closes, ElementsAre(true));
  EXPECT_EQ(send_item(served[0].stream, "answer"), Sent::ok);
  EXPECT_EQ(send_item(served[0].stream, "more"), Sent::ok);
  served[0].reply.refuse(Code::aborted, Why::none, "enough");
  pair.settle();
  EXPECT_THAT(items, ElementsAre("answer", "more"));
  EXPECT_EQ(outcome.status.code(), Code::aborted);
  EXPECT_EQ(outcome.status.text(), "enough");
}

TEST_F(StreamsTest, stops_at_its_credit_until_the_receiver_took_some) {
  keep_served(kDown);
  StreamEnd stream = open(kDown, {.credit = 4});
  EXPECT_EQ(send_until_refused(served[0].stream, Sent::no_credit), 4);
  int ready = 0;
  served[0].stream.on_ready([&] { ++ready; });
  pair.server().poll();
  EXPECT_EQ(ready, 0);  // nothing was taken yet
  pair.settle();
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(items.size(), 4u);
  EXPECT_EQ(send_until_refused(served[0].stream, Sent::no_credit), 4);
}

TEST_F(StreamsTest, stops_at_its_credit_in_bytes) {
  keep_served(kDown);
  StreamEnd stream = open(kDown, {.credit = 1000, .credit_bytes = 1024});
  const std::string item(100, 'x');  // takes 128 bytes of ring
  int sent = 0;
  while (send_item(served[0].stream, item) == Sent::ok) ++sent;
  EXPECT_EQ(sent, 8);
  EXPECT_EQ(send_item(served[0].stream, std::string(2000, 'x')), Sent::too_big);  // it never could
}

TEST_F(StreamsTest, credit_that_is_no_power_of_two_is_given_in_the_end) {
  keep_served(kDown);
  StreamEnd stream = open(kDown, {.credit = 5});
  int sent = send_until_refused(served[0].stream, Sent::no_credit);
  EXPECT_EQ(sent, 4);  // what the request could say
  for (int round = 0; round != 10; ++round) {
    pair.settle();
    const int more = send_until_refused(served[0].stream, Sent::no_credit);
    EXPECT_GE(more, 3);  // half of it comes back at once
    EXPECT_LE(more, 5);
    sent += more;
  }
  pair.settle();
  EXPECT_EQ(items.size(), static_cast<std::size_t>(sent));
}

TEST_F(StreamsTest, a_full_ring_is_told_and_room_too) {
  keep_served(kDown);
  StreamEnd stream = open(kDown, {.credit = 1'000'000, .credit_bytes = 1u << 30});
  const int sent = send_until_refused(served[0].stream, Sent::ring_full);
  EXPECT_GT(sent, 500);
  int ready = 0;
  served[0].stream.on_ready([&] { ++ready; });
  EXPECT_EQ(ready, 0);
  pair.settle();
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(items.size(), static_cast<std::size_t>(sent));
  EXPECT_EQ(items.back(), std::to_string(sent - 1));
}

TEST_F(StreamsTest, has_the_room_back_that_large_answers_were_promised) {
  keep_served(kDown);
  std::vector<int> sent;
  for (const std::size_t i : {0u, 1u}) {
    StreamEnd stream = open(kDown, {.credit = 1'000'000, .credit_bytes = 1u << 30});
    sent.push_back(send_until_refused(served[i].stream, Sent::ring_full));
    answer(served[i].reply, "");
    pair.settle();
    for (int k = 0; k != 3; ++k) pair.client().call(kBig, "with a long bound");
    pair.settle();
  }
  EXPECT_EQ(pair.service.received[kBig], 6);
  EXPECT_EQ(sent[0], sent[1]);
}

TEST(StreamsOfOneRing, credit_that_comes_while_the_ring_is_full_is_not_forgotten) {
  Outcome outcome;
  RawReply reply;
  StreamEnd served;
  JoinedPair pair;
  pair.service.instead[kTalk] = [&](ServedCall& call) {
    call.taken();
    served = call.stream({.credit = 32, .credit_bytes = 8192});
    served.each([](std::span<const std::byte>) {});
    reply = call.reply();
  };
  pair.service.instead[kTell] = [](ServedCall& call) { call.taken(); };
  StreamEnd stream = pair.client->stream(kTalk, outcome);
  pair.settle();
  while (send_item(stream, "x") == Sent::ok) {
  }
  ASSERT_EQ(send_item(stream, "x"), Sent::no_credit);
  int ready = 0;
  stream.on_ready([&] { ++ready; });
  while (pair.client->tell(kTell, "fills the ring") == Sent::ok) {
  }
  served.credit(1000, 1u << 20);
  for (int i = 0; i != 3; ++i) pair.caller.poll();  // the server reads nothing meanwhile
  EXPECT_EQ(ready, 0);
  pair.settle();
  EXPECT_EQ(ready, 1);
}

TEST_F(StreamsTest, is_closed_even_when_the_ring_is_full) {
  keep_served(kTalk, {.credit = 100'000, .credit_bytes = 1u << 30});
  StreamEnd stream = open(kTalk);
  const int sent = send_until_refused(stream, Sent::ring_full);
  EXPECT_EQ(stream.close(), Sent::ok);
  pair.settle();
  EXPECT_EQ(served[0].items.size(), static_cast<std::size_t>(sent));
  EXPECT_THAT(served[0].closes, ElementsAre(true));
}

TEST_F(StreamsTest, who_let_go_of_its_handle_is_not_told_any_more) {
  keep_served(kDown);
  StreamEnd stream = open(kDown, {.credit = 4});
  send_until_refused(served[0].stream, Sent::no_credit);
  served[0].stream.on_ready([] { FAIL() << "nobody is there to send"; });
  served[0].stream = {};
  pair.settle();
  EXPECT_EQ(items.size(), 4u);
}

TEST_F(StreamsTest, items_can_be_pulled) {
  keep_served(kDown);
  StreamEnd stream = pair.client().stream(kDown, outcome, {}, {.credit = 8});
  ASSERT_TRUE(stream.pull());
  pair.settle();
  EXPECT_FALSE(stream.next());
  int changes = 0;
  stream.on_change([&] { ++changes; });
  EXPECT_EQ(send_until_refused(served[0].stream, Sent::no_credit), 8);
  pair.settle();
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(send_item(served[0].stream, "no credit"), Sent::no_credit);  // nothing was taken
  for (int i = 0; i != 8; ++i) {
    const auto item = stream.next();
    ASSERT_TRUE(item);
    EXPECT_EQ(as_text(*item), std::to_string(i));
  }
  EXPECT_FALSE(stream.next());
  pair.settle();
  EXPECT_EQ(send_item(served[0].stream, "last"), Sent::ok);
  answer(served[0].reply, "");
  pair.settle();
  EXPECT_EQ(outcome.ends, 1);
  EXPECT_FALSE(stream.closed());  // one is kept
  EXPECT_EQ(as_text(*stream.next()), "last");
  EXPECT_FALSE(stream.next());
  EXPECT_TRUE(stream.closed());
}

TEST_F(StreamsTest, pulled_items_go_round_their_buffer) {
  keep_served(kDown);
  StreamEnd stream = pair.client().stream(kDown, outcome, {}, {.credit = 64, .credit_bytes = 4096});
  ASSERT_TRUE(stream.pull());
  pair.settle();
  int next_sent = 0, next_taken = 0;
  while (next_taken < 5000) {
    while (send_item(served[0].stream, std::string(static_cast<std::size_t>(next_sent % 900), 'a' + next_sent % 26)) ==
           Sent::ok) {
      ++next_sent;
    }
    pair.settle();
    for (int i = next_taken % 7; i >= 0; --i) {
      const auto item = stream.next();
      if (!item) break;
      ASSERT_EQ(as_text(*item), std::string(static_cast<std::size_t>(next_taken % 900), 'a' + next_taken % 26));
      ++next_taken;
    }
  }
}

TEST_F(StreamsTest, cancelled_by_its_caller_is_seen_by_the_handler_and_ends_once) {
  keep_served(kTalk);
  StreamEnd stream = open(kTalk);
  stream.cancel();
  EXPECT_EQ(outcome.ends, 0);  // in the next turn
  pair.settle();
  EXPECT_ENDED(outcome, Code::cancelled, Ran::maybe, Why::cancelled);
  EXPECT_EQ(served[0].cancels, 1);
  EXPECT_THAT(served[0].closes, ElementsAre(false));
  EXPECT_TRUE(served[0].reply.cancelled());
  EXPECT_EQ(send_item(served[0].stream, "nobody reads"), Sent::over);
  answer(served[0].reply, "");
  pair.settle();
  EXPECT_EQ(outcome.ends, 1);
}

TEST_F(StreamsTest, a_link_that_ends_ends_its_streams_on_both_sides) {
  keep_served(kTalk);
  StreamEnd stream = open(kTalk);
  pair.destroy_server();
  pair.settle_links();
  EXPECT_EQ(outcome.ends, 1);
  EXPECT_EQ(outcome.status.code(), Code::unavailable);
  EXPECT_TRUE(stream.over());
  EXPECT_EQ(served[0].cancels, 1);
  EXPECT_THAT(served[0].closes, ElementsAre(false));
  EXPECT_TRUE(served[0].stream.over());
}

TEST_F(StreamsTest, many_at_once_keep_apart) {
  keep_served(kTalk);
  constexpr std::size_t kStreams = 20;
  outcomes.resize(kStreams);
  got.resize(kStreams);
  std::vector<StreamEnd> streams;
  for (std::size_t i = 0; i != kStreams; ++i) {
    streams.push_back(pair.client().stream(kTalk, outcomes[i]));
    streams[i].each([&, i](std::span<const std::byte> item) { got[i].emplace_back(as_text(item)); });
  }
  pair.settle();
  ASSERT_EQ(served.size(), kStreams);
  for (int round = 0; round != 50; ++round) {
    for (std::size_t i = 0; i != kStreams; ++i) {
      const std::string text = std::to_string(i) + "/" + std::to_string(round);
      ASSERT_EQ(send_item(streams[i], text), Sent::ok);
      ASSERT_EQ(send_item(served[i].stream, text), Sent::ok);
    }
    pair.settle();
  }
  for (std::size_t i = 0; i != kStreams; ++i) {
    EXPECT_EQ(got[i].size(), 50u);
    EXPECT_EQ(got[i], served[i].items);
    EXPECT_EQ(got[i].back(), std::to_string(i) + "/49");
  }
}

TEST_F(StreamsTest, a_handler_of_items_that_throws_ends_its_stream_alone) {
  pair.service.instead[kUp] = [this](ServedCall& call) {
    call.taken();
    ServedStream& one = served.emplace_back();
    one.stream = call.stream();
    one.stream.each([](std::span<const std::byte>) { throw std::runtime_error("bad item"); });
    one.reply = call.reply();
    one.reply.on_cancel([&one] { ++one.cancels; });
  };
  StreamEnd stream = open(kUp);
  Outcome& other = pair.client().call(kEcho, "other");
  EXPECT_EQ(send_item(stream, "a"), Sent::ok);
  pair.settle();
  EXPECT_EQ(served[0].cancels, 1);
  EXPECT_EQ(pair.log.count("bad item"), 1);
  EXPECT_EQ(other.payload, "other");
  answer(served[0].reply, "as if nothing had been");
  pair.settle();
  EXPECT_ENDED(outcome, Code::internal, Ran::yes, Why::handler_threw);
}

TEST_F(StreamsTest, of_a_refused_call_are_over_at_once) {
  pair.destroy_server();
  pair.settle_links();
  StreamEnd stream = pair.client().stream(kTalk, outcome);
  EXPECT_TRUE(stream.over());
  EXPECT_EQ(send_item(stream, "a"), Sent::over);
  pair.settle();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::not_connected);
}

// --- one-way messages

TEST_F(StreamsTest, one_way_messages_arrive_in_order_and_take_no_grant) {
  std::vector<std::string> told;
  pair.service.instead[kTell] = [&](ServedCall& call) {
    call.taken();
    told.emplace_back(as_text(call.payload()));
  };
  for (int i = 0; i != 500; ++i) ASSERT_EQ(pair.client().tell(kTell, std::to_string(i)), Sent::ok);
  pair.settle();
  ASSERT_EQ(told.size(), 500u);
  for (int i = 0; i != 500; ++i) EXPECT_EQ(told[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_F(StreamsTest, one_way_messages_into_a_full_ring_are_refused) {
  int told = 0;
  pair.service.instead[kTell] = [&](ServedCall& call) {
    call.taken();
    ++told;
  };
  int sent = 0;
  while (pair.client().tell(kTell, "x") == Sent::ok) ++sent;
  EXPECT_EQ(pair.client().tell(kTell, "x"), Sent::ring_full);
  pair.settle();
  EXPECT_EQ(told, sent);
  EXPECT_EQ(pair.client().tell(kTell, std::string(100'000, 'x')), Sent::too_big);
}

}  // namespace
}  // namespace taut::rpc::testing
