// Streams that coroutines read and write: items, credit, the end, and who goes first.
#include "rpc/pair.h"
#include "taut/stubs/await_stream.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Sends the numbers below `count`, as fast as the other side takes them, and ends the call.
Task send_numbers(StreamEnd out, RawReply reply, int count, int* waited) {
  for (int i = 0; i != count; ++i) {
    while (send_item(out, std::to_string(i)) != Sent::ok) {
      ++*waited;
      if (!co_await taut::ready(out)) co_return;
    }
  }
  answer(reply, "");
}

// Reads all; ends the call when it goes before.
struct Cancelled {
  StreamEnd& stream;
  ~Cancelled() { stream.cancel(); }
};
Task read_all(StreamEnd in, std::vector<std::string>* items, bool* ended) {
  const Cancelled cancelled{in};
  while (const auto item = co_await taut::next(in)) items->emplace_back(as_text(*item));
  *ended = true;
}

class AwaitedStreams : public ::testing::Test {
 protected:
  void serve_numbers(int count) {
    pair.service.instead[kDown] = [this, count](ServedCall& call) {
      call.taken();
      StreamEnd stream = call.stream();
      stream.each([](std::span<const std::byte>) {});
      RawReply reply = call.reply();
      reply.on_cancel([this] { ++cancels; });
      sending.hold(send_numbers(std::move(stream), std::move(reply), count, &waited));
    };
  }
  void keep_replies() {
    pair.service.instead[kDown] = [this](ServedCall& call) {
      call.taken();
      out = call.stream();
      out.each([](std::span<const std::byte>) {});
      reply = call.reply();
      reply.on_cancel([this] { ++cancels; });
    };
  }
  Task open(StreamOptions options = {}) {
    StreamEnd stream = pair.client().stream(kDown, outcome, "open", options);
    EXPECT_TRUE(stream.pull());
    return read_all(std::move(stream), &items, &ended);
  }

  Outcome outcome;
  std::vector<std::string> items;
  bool ended = false;
  int waited = 0, cancels = 0;
  StreamEnd out;
  RawReply reply;
  Tasks sending;
  Pair pair;
};

TEST_F(AwaitedStreams, a_reader_gets_each_item_and_the_end) {
  keep_replies();
  open();
  pair.settle();
  EXPECT_EQ(send_item(out, "one"), Sent::ok);
  pair.settle();
  EXPECT_THAT(items, ElementsAre("one"));
  EXPECT_EQ(send_item(out, "two"), Sent::ok);
  EXPECT_EQ(send_item(out, "three"), Sent::ok);
  answer(reply, "");
  EXPECT_FALSE(ended);
  pair.settle();
  EXPECT_THAT(items, ElementsAre("one", "two", "three"));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome.ends, 1);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
}

TEST_F(AwaitedStreams, a_writer_waits_for_the_credit_of_a_reader) {
  serve_numbers(10000);
  open({.credit = 8, .credit_bytes = 1024});
  pair.settle();
  EXPECT_THAT(items, SizeIs(10000));
  EXPECT_EQ(items.back(), "9999");
  EXPECT_GT(waited, 500);
  EXPECT_TRUE(ended);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_TRUE(sending.empty());
}

TEST_F(AwaitedStreams, a_reader_that_is_destroyed_ends_the_call) {
  keep_replies();
  Tasks reading;
  reading.hold(open());
  pair.settle();
  EXPECT_EQ(send_item(out, "one"), Sent::ok);
  pair.settle();
  reading.clear();
  pair.settle();
  EXPECT_EQ(cancels, 1);
  EXPECT_EQ(outcome.status.code(), Code::cancelled);
  EXPECT_EQ(send_item(out, "two"), Sent::over);
  EXPECT_THAT(items, ElementsAre("one"));
  EXPECT_FALSE(ended);
}

TEST_F(AwaitedStreams, a_writer_that_waits_for_credit_hears_that_nobody_reads_on) {
  serve_numbers(10000);
  StreamEnd stream = pair.client().stream(kDown, outcome, "open", {.credit = 4});
  EXPECT_TRUE(stream.pull());
  pair.settle();
  EXPECT_FALSE(sending.empty());
  stream.cancel();
  pair.settle();
  EXPECT_TRUE(sending.empty());
  EXPECT_EQ(cancels, 1);
}

TEST_F(AwaitedStreams, a_writer_that_is_destroyed_while_it_waits_is_forgotten) {
  serve_numbers(10000);
  StreamEnd stream = pair.client().stream(kDown, outcome, "open", {.credit = 4});
  EXPECT_TRUE(stream.pull());
  pair.settle();
  sending.clear();
  pair.settle();
  EXPECT_EQ(outcome.status.why(), Why::reply_dropped);
}

TEST_F(AwaitedStreams, a_reader_is_resumed_when_its_server_dies) {
  keep_replies();
  open();
  pair.settle();
  reply = {};
  out = {};
  pair.destroy_server();
  pair.until([&] { return ended; });
  EXPECT_EQ(outcome.ends, 1);
}

TEST_F(AwaitedStreams, a_reader_goes_with_its_dispatcher) {
  keep_replies();
  open();
  pair.settle();
  pair.client().close();
  pair.destroy_caller();
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace taut::rpc::testing
