// Interceptors on both sides: what they see, what they may do, in which order, and that each hears of every end once.
#include "joined_pair.h"
#include "taut/rpc/interceptor.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Writes down what it meets, and does what it is told.
template <class Base, class Call>
class Recording : public Base {
 public:
  explicit Recording(std::vector<std::string>& journal, std::string name = "")
      : journal_(journal), name_(std::move(name)) {}
  Status on_call(Call& call) override {
    journal_.push_back(name_ + ">" + std::string(call.method().name));
    call.note() = ++notes_;
    if (act) return act(call);
    return {};
  }
  void on_end(Call& call, const CallEnd& end) override {
    journal_.push_back(name_ + "<" + std::string(call.method().name) + ":" + std::string(to_text(end.status.code())));
    noted.push_back(call.note());
    last = end.status;
    took = end.took;
    if (throws_at_end) throw std::runtime_error("the interceptor fell over");
  }
  std::function<Status(Call&)> act;
  std::vector<std::uint64_t> noted;
  Status last;
  Nanoseconds took{-1};
  bool throws_at_end = false;

 private:
  std::vector<std::string>& journal_;
  std::string name_;
  std::uint64_t notes_ = 0;
};
using Server = Recording<ServerInterceptor, IncomingCall>;
using Caller = Recording<ClientInterceptor, OutgoingCall>;

class ServerInterceptors : public ::testing::Test {
 protected:
  Pair pair;
  std::vector<std::string> journal;
  Server first{journal, "1"}, second{journal, "2"};
  void set() {
    ASSERT_TRUE(pair.listener().intercept(first));
    ASSERT_TRUE(pair.listener().intercept(second));
  }
};

TEST_F(ServerInterceptors, AreAskedInOrderAndHearOfTheEndInReverse) {
  set();
  const Outcome& outcome = pair.client().call(kSmall, "x");
  pair.settle();
  EXPECT_ANSWERED(outcome, "x");
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "2<Small:ok", "1<Small:ok"));
}

TEST_F(ServerInterceptors, SeeServicePeerMetadataAndTime) {
  set();
  first.act = [&](IncomingCall& call) {
    EXPECT_EQ(call.service(), "test.Bytes");
    EXPECT_EQ(call.metadata().find("tenant"), "blue");
    EXPECT_EQ(call.queued(), 50us);
    EXPECT_EQ(call.left(), 110us);
    EXPECT_EQ(call.peer().pid, 0) << "loopback knows no process";
    EXPECT_FALSE(call.peer().uid);
    return Status();
  };
  const Metadata metadata{{"tenant", "blue"}};
  pair.client().call(kSmall, {}, {.timeout = 160us, .metadata = metadata});
  pair.pass(50us);
  pair.server().poll(0);
  pair.settle();
  EXPECT_EQ(first.last.code(), Code::ok);
}

TEST_F(ServerInterceptors, MayRefuseBeforeTheHandlerRuns) {
  set();
  second.act = [](IncomingCall& call) {
    return call.metadata().find("token") == "good" ? Status()
                                                   : Status(Code::unauthenticated, Ran::no, Why::none, "no token");
  };
  const Outcome& stranger = pair.client().call(kSmall, "x");
  pair.settle();
  EXPECT_ENDED(stranger, Code::unauthenticated, Ran::no, Why::intercepted);
  EXPECT_EQ(stranger.status.text(), "no token");
  EXPECT_EQ(pair.service.received[kSmall], 0);
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "1<Small:unauthenticated"));
  const Metadata token{{"token", "good"}};
  const Outcome& friendly = pair.client().call(kSmall, "x", {.metadata = token});
  pair.settle();
  EXPECT_ANSWERED(friendly, "x");
}

TEST_F(ServerInterceptors, HearOfEachEndOnceHoweverItComes) {
  set();
  std::optional<RawReply> kept;
  const auto run = [&](ByteService::Handler handler) {
    journal.clear();
    pair.service.on[kSmall] = std::move(handler);
    pair.client().call(kSmall, "x");
    pair.settle();
  };
  const auto ended = [&](const char* code) {
    const std::string end = std::string("<Small:") + code;
    EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "2" + end, "1" + end));
  };
  run([](std::string_view, RawReply reply) { reply.refuse(Code::not_found, Why::none, "nothing there"); });
  ended("not_found");
  EXPECT_EQ(first.last.text(), "nothing there");
  run([](std::string_view, RawReply) {});
  ended("aborted");
  run([](std::string_view, RawReply) { throw std::runtime_error("no"); });
  ended("internal");
  run([&](std::string_view, RawReply reply) { kept.emplace(std::move(reply)); });
  EXPECT_EQ(journal.size(), 2u) << "not over yet";
  pair.pass(30us);
  answer(*kept, "later");
  ended("ok");
  EXPECT_EQ(first.took, 30us);
  run([&](std::string_view, RawReply reply) { kept.emplace(std::move(reply)); });
  pair.client().close();
  pair.settle_links();
  answer(*kept, "to nobody");
  ended("unavailable");
}

TEST_F(ServerInterceptors, KeepAWordForEachCall) {
  set();
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != 3; ++i) pair.client().call(kSmall);
  pair.settle();
  while (!held.replies.empty()) {
    answer(held.replies.back(), "last first");
    held.replies.pop_back();
  }
  EXPECT_THAT(first.noted, ElementsAre(3, 2, 1));
  EXPECT_THAT(second.noted, ElementsAre(3, 2, 1));
}

TEST_F(ServerInterceptors, StandBeforeMessagesInPiecesToo) {
  set();
  const Metadata metadata{{"tenant", "blue"}};
  second.act = [](IncomingCall& call) {
    EXPECT_EQ(call.metadata().find("tenant"), "blue");
    return Status();
  };
  const Outcome& outcome = pair.client().call(kEcho, std::string(100'000, 'p'), {.timeout = 10s, .metadata = metadata});
  pair.settle();
  EXPECT_ANSWERED(outcome, std::string(100'000, 'p'));
  EXPECT_THAT(journal, ElementsAre("1>Echo", "2>Echo", "2<Echo:ok", "1<Echo:ok"));
}

TEST_F(ServerInterceptors, StandBeforeOneWayMessages) {
  set();
  pair.client().tell(kTell, "let in");
  pair.settle();
  EXPECT_EQ(pair.service.received[kTell], 1);
  EXPECT_THAT(journal, ElementsAre("1>Tell", "2>Tell", "2<Tell:ok", "1<Tell:ok"));
  journal.clear();
  second.act = [](IncomingCall&) { return Status(Code::permission_denied, Ran::no, Why::none, "nobody may"); };
  pair.client().tell(kTell, "refused");
  pair.settle();
  EXPECT_EQ(pair.service.received[kTell], 1);
  EXPECT_THAT(journal, ElementsAre("1>Tell", "2>Tell", "1<Tell:permission_denied"));
}

TEST_F(ServerInterceptors, SeeTheMetadataOfOneWayMessages) {
  set();
  std::string request_was;
  pair.service.on[kTell] = [&](std::string_view request, RawReply) { request_was = request; };
  int seen = 0;
  second.act = [&](IncomingCall& call) {
    EXPECT_EQ(call.metadata().find("token"), "good");
    EXPECT_NE(call.trace(), nullptr);
    ++seen;
    return Status();
  };
  Metadata token{{"token", "good"}};
  token.set_trace(*TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  for (const std::size_t size : {0, 1, 16, 48, 100, 1000, 15'000}) {
    const std::string message(size, 'm');
    EXPECT_EQ(pair.client().tell(kTell, message, token), Sent::ok);
    pair.settle();
    EXPECT_EQ(request_was, message);
  }
  EXPECT_EQ(seen, 7);
  EXPECT_EQ(pair.client().tell(kTell, std::string(16 * 1024 - 16, 'm'), token), Sent::too_big);
  Metadata wrong;
  EXPECT_FALSE(wrong.add("Not A Key", ""));
  EXPECT_EQ(pair.client().tell(kTell, "x", wrong), Sent::refused);
  EXPECT_EQ(pair.client().tell(kTell, "x", token), Sent::ok) << "the claims of the others were given back";
}

TEST_F(ServerInterceptors, StandAroundAWholeStream) {
  set();
  std::optional<RawReply> reply;
  StreamEnd stream;
  pair.service.instead[kDown] = [&](ServedCall& call) {
    call.taken();
    EXPECT_EQ(call.metadata().find("tenant"), "blue");
    EXPECT_EQ(send_item(stream = call.stream(), "first"), Sent::ok);
    reply.emplace(call.reply());
  };
  const Metadata metadata{{"tenant", "blue"}};
  std::vector<std::string> items;
  Outcome outcome;
  StreamEnd opened = pair.client().stream(kDown, outcome, "", {.metadata = metadata});
  opened.each([&](std::span<const std::byte> item) { items.emplace_back(as_text(item)); });
  pair.settle();
  EXPECT_THAT(items, ElementsAre("first"));
  EXPECT_THAT(journal, ElementsAre("1>Down", "2>Down")) << "it goes on";
  reply->refuse(Code::not_found, Why::none, "no more");
  pair.settle();
  EXPECT_ENDED(outcome, Code::not_found, Ran::yes, Why::none);
  EXPECT_THAT(journal, ElementsAre("1>Down", "2>Down", "2<Down:not_found", "1<Down:not_found"));
}

TEST_F(ServerInterceptors, ThatThrowRefuseTheirCallAndTheServerLives) {
  set();
  first.act = [](IncomingCall&) -> Status { throw std::runtime_error("no"); };
  const Outcome& outcome = pair.client().call(kSmall, "x");
  pair.settle();
  EXPECT_ENDED(outcome, Code::internal, Ran::no, Why::intercepted);
  EXPECT_EQ(pair.log.count("an interceptor threw: no"), 1);
  first.act = nullptr;
  first.throws_at_end = true;
  const Outcome& next = pair.client().call(kSmall, "y");
  pair.settle();
  EXPECT_ANSWERED(next, "y");
  EXPECT_EQ(journal.back(), "1<Small:ok");
}

TEST_F(ServerInterceptors, OfTheDispatcherStandBeforeThoseOfItsLaterListeners) {
  Service& service = pair.service;
  ASSERT_TRUE(pair.server().intercept(first));
  auto later = pair.server().serve("loopback://later", service);
  ASSERT_TRUE(later);
  ASSERT_TRUE(later->intercept(second));
  Client client(std::move(*pair.caller().connect("loopback://later")));
  pair.settle();
  client.call(kSmall);
  pair.client().call(kSmall, "of the listener that was there before");
  pair.settle();
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "2<Small:ok", "1<Small:ok"));
}

TEST_F(ServerInterceptors, AreEightAtMost) {
  for (std::size_t i = 0; i != kInterceptorsMax; ++i) ASSERT_TRUE(pair.listener().intercept(first));
  const auto refused = pair.listener().intercept(second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::resource_exhausted);
  const Outcome& outcome = pair.client().call(kSmall, "x");
  pair.settle();
  EXPECT_ANSWERED(outcome, "x");
  EXPECT_EQ(journal.size(), 16u);
}

class ClientInterceptors : public ::testing::Test {
 protected:
  Pair pair;
  std::vector<std::string> journal;
  Caller first{journal, "1"}, second{journal, "2"};
  std::string seen;
  Nanoseconds left{-1};
  void SetUp() override {
    ASSERT_TRUE(pair.client().link().intercept(first));
    ASSERT_TRUE(pair.client().link().intercept(second));
    pair.service.on[kSmall] = [this](std::string_view request, RawReply reply) {
      seen.clear();
      for (const auto [key, value] : reply.metadata()) seen += std::string(key) + "=" + std::string(value) + ";";
      left = reply.left();
      answer(reply, request);
    };
  }
};

TEST_F(ClientInterceptors, AreAskedInOrderAndHearOfTheEndBeforeTheCallback) {
  pair.client().call_then(kSmall, "x", {}, [&](const Outcome&) { journal.push_back("callback"); });
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small"));
  pair.pass(20us);
  pair.settle();
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "2<Small:ok", "1<Small:ok", "callback"));
  EXPECT_EQ(first.took, 20us);
  EXPECT_ANSWERED(pair.client().outcomes().front(), "x");
}

TEST_F(ClientInterceptors, MayAddMetadataAndSetTheTimeout) {
  first.act = [](OutgoingCall& call) {
    EXPECT_EQ(call.timeout(), 5ms);
    EXPECT_TRUE(call.add_metadata("token", "secret"));
    call.set_timeout(48us);
    return Status();
  };
  second.act = [](OutgoingCall& call) {
    EXPECT_EQ(call.service(), "test.Bytes");
    EXPECT_EQ(call.metadata().find("token"), "secret");
    return Status();
  };
  const Metadata own{{"tenant", "blue"}};
  const Outcome& outcome = pair.client().call(kSmall, "x", {.timeout = 5ms, .metadata = own});
  pair.settle();
  EXPECT_ANSWERED(outcome, "x");
  EXPECT_EQ(seen, "tenant=blue;token=secret;");
  EXPECT_EQ(left, 48us);
  EXPECT_EQ(own.view().size(), 1u) << "the caller's own is not touched";
}

TEST_F(ClientInterceptors, MayRefuseBeforeAnythingIsSent) {
  second.act = [](OutgoingCall&) { return Status(Code::permission_denied, Ran::no, Why::none, "not today"); };
  const Outcome& outcome = pair.client().call(kSmall, "x");
  pair.settle();
  EXPECT_ENDED(outcome, Code::permission_denied, Ran::no, Why::intercepted);
  EXPECT_EQ(outcome.status.text(), "not today");
  EXPECT_EQ(pair.service.received[kSmall], 0);
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "1<Small:permission_denied"));
  second.act = nullptr;
  const Outcome& next = pair.client().call(kSmall, "its claim was given back");
  pair.settle();
  EXPECT_TRUE(next.status.ok());
}

TEST_F(ClientInterceptors, HearOfWaits) {
  pair.server_turns_in_waits();
  EXPECT_ANSWERED(pair.client().wait(kSmall, "x"), "x");
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "2<Small:ok", "1<Small:ok"));
  journal.clear();
  second.act = [](OutgoingCall&) { return Status(Code::permission_denied, Ran::no, Why::none, "not today"); };
  EXPECT_ENDED(pair.client().wait(kSmall, "x"), Code::permission_denied, Ran::no, Why::intercepted);
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "1<Small:permission_denied"));
}

TEST_F(ClientInterceptors, HearOfCallsThatWereRefusedTimedOutAndEndedWithTheirLink) {
  Held held;
  pair.service.on[kSmall] = held.handler();
  const auto ended = [&](Code code) {
    ASSERT_EQ(journal.size(), 4u);
    EXPECT_EQ(journal.back(), "1<Small:" + std::string(to_text(code)));
    journal.clear();
  };
  const Outcome& timed_out = pair.client().call(kSmall, "x", {.timeout = 1ms});
  pair.settle();
  pair.pass(1ms);
  pair.settle();
  EXPECT_ENDED(timed_out, Code::deadline_exceeded, Ran::maybe, Why::timeout);
  ended(Code::deadline_exceeded);
  const Outcome& past = pair.client().call(kSmall, "x", {.timeout = -1ns});
  pair.settle();
  EXPECT_ENDED(past, Code::deadline_exceeded, Ran::no, Why::deadline_passed);
  ended(Code::deadline_exceeded);
  pair.client().call(kSmall, "x", {.timeout = 10s});
  pair.settle();
  pair.client().close();
  pair.settle_links();
  ended(Code::cancelled);  // behind the end of the link that they were set on
}

TEST_F(ClientInterceptors, HearOfCallsWithoutACallback) {
  (void)send_call(pair.client().filled(kSmall, "x"), 1, {});
  pair.settle();
  EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "2<Small:ok", "1<Small:ok"));
}

TEST_F(ClientInterceptors, DoNotStandBeforePings) {
  pair.server_turns_in_waits();
  EXPECT_TRUE(pair.client().link().warm_up(10).ok());
  EXPECT_TRUE(journal.empty());
}

TEST_F(ClientInterceptors, StandAroundAWholeStream) {
  std::optional<RawReply> reply;
  pair.service.instead[kDown] = [&](ServedCall& call) {
    call.taken();
    EXPECT_EQ(call.metadata().find("token"), "secret");
    (void)call.stream();
    reply.emplace(call.reply());
  };
  first.act = [](OutgoingCall& call) { return call.add_metadata("token", "secret") ? Status() : Status(); };
  Outcome outcome;
  const StreamEnd opened = pair.client().stream(kDown, outcome);
  pair.settle();
  ASSERT_TRUE(reply);
  EXPECT_THAT(journal, ElementsAre("1>Down", "2>Down")) << "it goes on";
  answer(*reply, "");
  pair.settle();
  EXPECT_ANSWERED(outcome, "");
  EXPECT_THAT(journal, ElementsAre("1>Down", "2>Down", "2<Down:ok", "1<Down:ok"));
  journal.clear();
  second.act = [](OutgoingCall&) { return Status(Code::permission_denied, Ran::no, Why::none, "not today"); };
  Outcome refused;
  EXPECT_TRUE(pair.client().stream(kDown, refused).over());
  pair.settle();
  EXPECT_ENDED(refused, Code::permission_denied, Ran::no, Why::intercepted);
  EXPECT_THAT(journal, ElementsAre("1>Down", "2>Down", "1<Down:permission_denied"));
}

TEST_F(ClientInterceptors, HearOfCallsThatAreCancelledOrForgotten) {
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (const bool forgotten : {false, true}) {
    journal.clear();
    bool called = false;
    PendingCall call = send_call(pair.client().filled(kSmall, "x"), 1, {});
    CallRef ref = call.ref();
    call.then([&](const RawAnswer& answer) {
      called = true;
      EXPECT_EQ(answer.status.code(), Code::cancelled);
    });
    pair.settle();
    forgotten ? ref.forget() : ref.cancel();
    pair.settle();
    EXPECT_EQ(called, !forgotten);
    EXPECT_THAT(journal, ElementsAre("1>Small", "2>Small", "2<Small:cancelled", "1<Small:cancelled"));
  }
}

TEST_F(ClientInterceptors, ThatThrowRefuseTheirCall) {
  first.act = [](OutgoingCall&) -> Status { throw std::runtime_error("no"); };
  const Outcome& outcome = pair.client().call(kSmall, "x");
  pair.settle();
  EXPECT_ENDED(outcome, Code::internal, Ran::no, Why::intercepted);
  EXPECT_EQ(pair.log.count("an interceptor threw: no"), 1);
}

TEST_F(ClientInterceptors, KeepNothingOfAThousandCalls) {
  for (int i = 0; i != 1000; ++i) {
    pair.client().call(kSmall, "x");
    pair.settle();
  }
  EXPECT_EQ(first.noted.size(), 1000u);
  EXPECT_EQ(first.noted.back(), 1000u);
}

}  // namespace
}  // namespace taut::rpc::testing
