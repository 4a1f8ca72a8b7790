// What the handler of a one-way message may ask of it, and that it is asked in the words of a Reply.
#include "taut/rpc/told.h"

#include "joined_pair.h"
#include "taut/raw.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;

TraceContext some_trace() {
  return *TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
}

struct ToldTest : ::testing::Test {
  // What one message said of itself.
  struct Heard {
    std::string text, tenant, trace;
    Nanoseconds queued;
  };
  ToldTest() {
    pair.service.instead[kTell] = [this](ServedCall& call) {
      call.taken();
      const Told& told = call.told();
      heard.push_back({std::string(as_text(call.payload())), std::string(told.metadata().find("tenant").value_or("-")),
                       told.trace() != nullptr ? told.trace()->to_traceparent() : "-", told.queued()});
    };
    token.set_trace(some_trace());
  }
  Metadata token{{"tenant", "blue"}};
  std::vector<Heard> heard;
  JoinedPair pair;
};

TEST_F(ToldTest, SaysWhatCameBesideMessagesOfEverySize) {
  for (const std::size_t size : {0, 1, 16, 48, 100, 240, 241, 1000, 15'000}) {
    const std::string message(size, 'm');
    EXPECT_EQ(pair.client->tell(kTell, message, token), Sent::ok);
    EXPECT_EQ(pair.client->tell(kTell, "plain"), Sent::ok);
    pair.settle();
    ASSERT_EQ(heard.size(), 2u);
    EXPECT_EQ(heard[0].text, message);
    EXPECT_EQ(heard[0].tenant, "blue");
    EXPECT_EQ(heard[0].trace, some_trace().to_traceparent());
    EXPECT_EQ(heard[1].text + heard[1].tenant + heard[1].trace, "plain--") << "none of the one before it";
    heard.clear();
  }
}

TEST_F(ToldTest, SaysHowLongTheMessageWaited) {
  pair.client->tell(kTell, "beside", token);
  pair.pass(30us);
  pair.client->tell(kTell, "plain");
  pair.client->tell(kTell, std::string(1000, 'l'));
  pair.pass(20us);
  pair.server.poll(0);
  pair.settle();
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_EQ(heard[0].queued, 50us);
  EXPECT_EQ(heard[1].queued, 20us);
  EXPECT_EQ(heard[2].queued, 20us);
}

TEST_F(ToldTest, NeverSaysLessThanNothing) {
  pair.client->tell(kTell, "from the future");
  pair.ticks -= 1000;
  pair.server.poll(0);
  pair.settle();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].queued, 0us);
}

TEST_F(ToldTest, BringsTheClientThatSentIt) {
  ByteService events;
  Client client(pair.connect("", {.serve = {events}}));
  std::optional<Client> back;
  pair.service.instead[kTell] = [&](ServedCall& call) {
    call.taken();
    EXPECT_EQ(call.told().peer().pid, 4711) << "as these rings have it";
    back.emplace(call.told().caller());
  };
  EXPECT_EQ(client.tell(kTell, "call me"), Sent::ok);
  pair.settle();
  ASSERT_TRUE(back);
  const Outcome& pushed = back->call(kEcho, "news");
  pair.settle();
  EXPECT_ANSWERED(pushed, "news");
  EXPECT_EQ(events.received[kEcho], 1);
}

TEST_F(ToldTest, IsGivenToUntypedServicesToo) {
  struct Listening final : raw::Service {
    Listening() : Service("test.Bytes", {{.name = "Tell", .id = kTell + 1, .kind = CallKind::oneway}}) {}
    void call(std::uint16_t, raw::Bytes, raw::Reply) override {}
    void told(std::uint16_t, raw::Bytes message, const Told& told) override {
      heard.push_back(std::string(as_text(message)) + "/" + std::string(told.metadata().find("tenant").value_or("-")));
    }
    std::vector<std::string> heard;
  } service;
  auto listener = pair.server.serve("joined://raw", service);
  ASSERT_TRUE(listener) << listener.error();
  auto link = pair.caller.connect("joined://raw");
  ASSERT_TRUE(link) << link.error();
  raw::Client client{*link, "test.Bytes"};
  EXPECT_EQ(client.tell(kTell + 1, as_bytes("with"), token), Sent::ok);
  EXPECT_EQ(client.tell(kTell + 1, as_bytes("without")), Sent::ok);
  pair.settle();
  EXPECT_THAT(service.heard, ElementsAre("with/blue", "without/-"));
}

// A peer that sends a request where a one-way message is due has its answer owed, and what is told is of that call.
TEST_F(ToldTest, OfARequestInPlaceOfAMessageIsWhatItsReplyKnows) {
  const Outcome& honest = pair.client->call(kTell, "a request", {.metadata = token});
  pair.settle();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].text, "a request");
  EXPECT_EQ(heard[0].tenant, "blue");
  EXPECT_EQ(heard[0].trace, some_trace().to_traceparent());
  EXPECT_ENDED(honest, Code::aborted, Ran::yes, Why::reply_dropped);
}

}  // namespace
}  // namespace taut::rpc::testing
