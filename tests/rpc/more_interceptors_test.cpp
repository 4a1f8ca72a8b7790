// Interceptors where calls are not answered.
#include <stdexcept>

#include "joined_pair.h"
#include "taut/rpc/tracing.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;

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

}  // namespace
}  // namespace taut::rpc::testing
