// Interceptors where calls are not answered, and where the client is the one that serves.
#include <stdexcept>

#include "joined_pair.h"
#include "taut/rpc/tracing.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Writes down what it meets, and does what it is told.
template <class Base, class Call>
struct Recording : Base {
  Recording(std::vector<std::string>& to, std::string with_name) : journal(to), name(std::move(with_name)) {}
  Status on_call(Call& call) override {
    journal.push_back(name + ">" + std::string(call.method().name));
    return act ? act(call) : Status();
  }
  void on_end(Call& call, const CallEnd& end) override {
    journal.push_back(name + "<" + std::string(call.method().name) + ":" + std::string(to_text(end.status.code())));
    last = end.status;
  }
  std::vector<std::string>& journal;
  std::string name;
  std::function<Status(Call&)> act;
  Status last;
};
using Server = Recording<ServerInterceptor, IncomingCall>;
using Caller = Recording<ClientInterceptor, OutgoingCall>;

Status not_today() { return {Code::permission_denied, Ran::no, Why::none, "not today"}; }

// --- one-way messages, at the client

struct OneWayInterceptors : ::testing::Test {
  OneWayInterceptors() {
    EXPECT_TRUE(pair.client->link().intercept(first));
    EXPECT_TRUE(pair.client->link().intercept(second));
    pair.service.instead[kTell] = [this](ServedCall& call) {
      call.taken();
      heard.push_back(std::string(as_text(call.payload())) + "/" +
                      std::string(call.told().metadata().find("token").value_or("-")));
    };
  }
  JoinedPair pair;
  std::vector<std::string> journal, heard;
  Caller first{journal, "1"}, second{journal, "2"};
};

TEST_F(OneWayInterceptors, SeeAMessageAndHearAtOnceThatItWasSent) {
  first.act = [](OutgoingCall& call) {
    EXPECT_EQ(call.service(), "test.Bytes");
    EXPECT_EQ(call.metadata().find("token"), "own");
    return Status();
  };
  EXPECT_EQ(pair.client->tell(kTell, "x", Metadata{{"token", "own"}}), Sent::ok);
  EXPECT_THAT(journal, ElementsAre("1>Tell", "2>Tell", "2<Tell:ok", "1<Tell:ok"));
  pair.settle();
  EXPECT_THAT(heard, ElementsAre("x/own"));
}

TEST_F(OneWayInterceptors, MayAddMetadata) {
  second.act = [](OutgoingCall& call) {
    EXPECT_TRUE(call.add_metadata("token", "added"));
    return Status();
  };
  EXPECT_EQ(pair.client->tell(kTell, "plain"), Sent::ok);
  pair.settle();
  EXPECT_THAT(heard, ElementsAre("plain/added"));
}

TEST_F(OneWayInterceptors, MayRefuseBeforeAnythingIsSent) {
  second.act = [](OutgoingCall&) { return not_today(); };
  EXPECT_EQ(pair.client->tell(kTell, "x"), Sent::refused);
  EXPECT_THAT(journal, ElementsAre("1>Tell", "2>Tell", "1<Tell:permission_denied"));
  second.act = [](OutgoingCall&) -> Status { throw std::runtime_error("no"); };
  EXPECT_EQ(pair.client->tell(kTell, "x"), Sent::refused);
  EXPECT_EQ(first.last.code(), Code::internal);
  second.act = nullptr;
  EXPECT_EQ(pair.client->tell(kTell, "the claims were given back"), Sent::ok);
  pair.settle();
  EXPECT_THAT(heard, ElementsAre("the claims were given back/-"));
  EXPECT_EQ(pair.client_counters().calls_refused.value(), 2u);
}

TEST_F(OneWayInterceptors, HearWhyAMessageWasNotSent) {
  Sent sent = Sent::ok;
  int told = 0;
  while ((sent = pair.client->tell(kTell, std::string(1000, 'f'))) == Sent::ok) ++told;
  EXPECT_EQ(sent, Sent::ring_full);
  EXPECT_EQ(first.last.code(), Code::resource_exhausted);
  EXPECT_EQ(first.last.why(), Why::ring_full);
  EXPECT_EQ(first.last.ran(), Ran::no);
  pair.settle();
  EXPECT_EQ(heard.size(), static_cast<std::size_t>(told));
  EXPECT_EQ(pair.client->tell(kTell, std::string(16 * 1024, 'b')), Sent::too_big);
  EXPECT_EQ(first.last.why(), Why::too_big);
  first.act = [](OutgoingCall& call) {
    EXPECT_FALSE(call.add_metadata("Not A Key", ""));
    return Status();
  };
  EXPECT_EQ(pair.client->tell(kTell, "x"), Sent::refused);
  EXPECT_EQ(first.last.why(), Why::bad_metadata);
  EXPECT_EQ(journal.size() % 4, 0u) << "each was asked and told";
}

struct Spans : SpanExporter {
  void ended(const Span& span) override {
    (span.kind == Span::Kind::client ? client : server).push_back(span.context);
    (span.kind == Span::Kind::client ? client_parent : server_parent).push_back(span.parent_id);
  }
  std::vector<TraceContext> client, server;
  std::vector<std::array<std::uint8_t, 8>> client_parent, server_parent;
};

TEST(OneWayTracing, TheSpanOfAMessageIsTheParentOfItsHandlers) {
  JoinedPair pair;
  Spans spans;
  Tracing tracing(spans);
  ASSERT_TRUE(pair.client->link().intercept(tracing.client()));
  ASSERT_TRUE(pair.listener().intercept(tracing.server()));
  EXPECT_EQ(pair.client->tell(kTell, "x"), Sent::ok);
  pair.settle();
  ASSERT_EQ(spans.client.size(), 1u);
  ASSERT_EQ(spans.server.size(), 1u);
  EXPECT_EQ(spans.server_parent[0], spans.client[0].span_id);
  EXPECT_EQ(spans.server[0].trace_id, spans.client[0].trace_id);
}

// --- services of a client

struct OfferedInterceptors : ::testing::Test {
  // The client offers `events` behind `first` and `second`; the server calls it by `back`.
  void meet() {
    client.emplace(pair.connect("", {.serve = {events}, .serve_interceptors = {first, second}}));
    pair.service.on[kSmall] = [this](std::string_view request, RawReply reply) {
      back.emplace(reply.caller());
      answer(reply, request);
    };
    client->call(kSmall, "who calls?");
    pair.settle();
    ASSERT_TRUE(back);
  }
  JoinedPair pair;
  ByteService events;
  std::vector<std::string> journal;
  Server first{journal, "1"}, second{journal, "2"};
  std::optional<Client> client, back;
};

TEST_F(OfferedInterceptors, StandBeforeWhatTheServerCalls) {
  meet();
  const Outcome& pushed = back->call(kEcho, "news");
  EXPECT_EQ(back->tell(kTell, "told"), Sent::ok);
  pair.settle();
  EXPECT_ANSWERED(pushed, "news");
  EXPECT_THAT(journal,
              ElementsAre("1>Echo", "2>Echo", "2<Echo:ok", "1<Echo:ok", "1>Tell", "2>Tell", "2<Tell:ok", "1<Tell:ok"));
  EXPECT_EQ(pair.service.received[kTell], 0);
}

TEST_F(OfferedInterceptors, MayRefuseTheServer) {
  meet();
  second.act = [](IncomingCall& call) { return call.metadata().find("token") == "good" ? Status() : not_today(); };
  const Outcome& stranger = back->call(kEcho, "x");
  const Outcome& known = back->call(kEcho, "x", {.metadata = Metadata{{"token", "good"}}});
  pair.settle();
  EXPECT_ENDED(stranger, Code::permission_denied, Ran::no, Why::intercepted);
  EXPECT_ANSWERED(known, "x");
  EXPECT_EQ(events.received[kEcho], 1);
}

TEST_F(OfferedInterceptors, OfTheDispatcherStandBeforeThem) {
  Server outer{journal, "0"};
  ASSERT_TRUE(pair.caller.intercept(outer));
  meet();
  back->call(kEcho, "news");
  pair.settle();
  EXPECT_THAT(journal, ElementsAre("0>Echo", "1>Echo", "2>Echo", "2<Echo:ok", "1<Echo:ok", "0<Echo:ok"));
}

TEST_F(OfferedInterceptors, AreOfTheNextLinkToo) {
  Pair restarted;
  Client offers(restarted.connect({.serve = {events}, .serve_interceptors = {first}}));
  restarted.settle();
  restarted.destroy_server();
  restarted.until([&] { return !offers.link().up(); });
  restarted.restart_server();
  restarted.until([&] { return offers.link().up(); });
  restarted.service.on[kSmall] = [this](std::string_view request, RawReply reply) {
    back.emplace(reply.caller());
    answer(reply, request);
  };
  offers.call(kSmall, "again");
  restarted.settle();
  ASSERT_TRUE(back);
  back->call(kEcho, "news");
  restarted.settle();
  EXPECT_THAT(journal, ElementsAre("1>Echo", "1<Echo:ok"));
  back.reset();
}

TEST_F(OfferedInterceptors, BeforeNothingAreAMistake) {
  const auto link = pair.caller.connect("joined://bytes", {.serve_interceptors = {first}});
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code(), Code::invalid_argument);
  EXPECT_THAT(std::string(link.error().what()), HasSubstr("a link that serves nothing"));
}

TEST_F(OfferedInterceptors, AreEightWithThoseOfTheDispatcher) {
  for (std::size_t i = 0; i != kInterceptorsMax - 1; ++i) ASSERT_TRUE(pair.caller.intercept(first));
  const auto link = pair.caller.connect("joined://bytes", {.serve = {events}, .serve_interceptors = {first, second}});
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code(), Code::resource_exhausted);
}

// A Tracing of a server's dispatcher sees what it calls at its clients too.
TEST_F(OfferedInterceptors, ClientInterceptorsOfTheServersDispatcherStandBeforeItsCallsToClients) {
  Caller outgoing{journal, "s"};
  ASSERT_TRUE(pair.server.intercept(outgoing));
  meet();
  back->call(kEcho, "news");
  pair.settle();
  EXPECT_THAT(journal, ElementsAre("s>Echo", "1>Echo", "2>Echo", "2<Echo:ok", "1<Echo:ok", "s<Echo:ok"));
}

}  // namespace
}  // namespace taut::rpc::testing
