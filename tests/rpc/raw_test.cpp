// Clients and services that know their methods at run time only.
#include "taut/raw.h"

#include <sys/mman.h>

#include "pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint16_t id_of(Method method) { return static_cast<std::uint16_t>(method + 1); }

// Answers what it was asked, with the method in front.
class Named final : public raw::Service {
 public:
  using raw::Service::Service;
  void call(std::uint16_t method, raw::Bytes request, raw::Reply reply) override {
    testing::answer(reply, std::to_string(method) + ":" + std::string(as_text(request)));
  }
};

// A network of its own: the server may be replaced by one with another service.
struct Served {
  Served() : client_side(dispatcher()) {}
  DispatcherOptions options() {
    DispatcherOptions options;
    options.log = log.callback();
    options.clock = Clock::manual(&ticks);
    return options;
  }
  std::unique_ptr<Dispatcher> dispatcher() {
    return std::make_unique<Dispatcher>(transports(network.transport()), options());
  }
  void serve(std::unique_ptr<taut::Service> with) {
    stop();
    service = std::move(with);
    server = dispatcher();
    auto served = server->serve("loopback://named", *service);
    ASSERT_TRUE(served) << served.error();
    listener.emplace(*std::move(served));
  }
  void stop() {
    listener.reset();
    server.reset();
  }
  template <class F>
  void until(F over) {
    while (!over()) {
      ticks += 1'000'000;
      if (server) server->poll();
      client_side->poll();
    }
  }
  Outcome ask(raw::Client& client, std::uint16_t method, std::string_view text, CallOptions options = {}) {
    Outcome outcome;
    client.call(method, as_bytes(text), options).then([&outcome](const RawAnswer& answer) {
      ++outcome.ends;
      outcome.status = answer.status;
      outcome.payload = as_text(answer.payload);
    });
    until([&] { return outcome.ended(); });
    return outcome;
  }

  Ticks ticks = 1'000'000;
  Logs log;
  loopback::Network network;
  std::unique_ptr<taut::Service> service;
  std::unique_ptr<Dispatcher> server, client_side;
  std::optional<Listener> listener;
};

TEST(RawClientTest, CallsByIdWhateverTheServersTableLists) {
  Pair pair;
  pair.server_turns_in_waits();
  raw::Client client{pair.client().link(), "test.Bytes"};
  for (const std::size_t bytes : {0, 1, 48, 49, 1000, 4000}) {
    const std::string text(bytes, 'x');
    const raw::Answer answer = client.wait(id_of(kEcho), as_bytes(text));
    ASSERT_TRUE(answer) << answer.status();
    EXPECT_EQ(as_text(answer.bytes()), text);
  }
  EXPECT_EQ(client.service(), "test.Bytes");
  EXPECT_EQ(client.fingerprint(), 0x5eedu);
  const auto methods = client.methods();
  ASSERT_EQ(methods.size(), std::size_t{kMethodCount});
  EXPECT_EQ(methods[kBig], (raw::Method{.name = "Big", .id = id_of(kBig)}));
  EXPECT_EQ(methods[kTalk], (raw::Method{.name = "Talk", .id = id_of(kTalk), .kind = CallKind::both_ways}));
}

TEST(RawClientTest, ARequestMayBeWrittenInPlace) {
  Pair pair;
  pair.server_turns_in_waits();
  raw::Client client{pair.client().link(), "test.Bytes"};
  raw::Claim claim = client.claim(id_of(kEcho), 100);
  ASSERT_TRUE(claim);
  std::memcpy(claim.payload(), "in place", 8);
  EXPECT_EQ(as_text(client.wait(std::move(claim), 8).bytes()), "in place");

  raw::Claim over = client.claim(id_of(kEcho), 10);
  const raw::Answer refused = client.wait(std::move(over), 4000);
  EXPECT_EQ(refused.status().why(), Why::too_big) << refused.status();
  EXPECT_TRUE(refused.bytes().empty());
}

TEST(RawClientTest, MoreBytesThanAnyLinkTakesAreRefused) {
  Pair pair;
  raw::Client client{pair.client().link(), "test.Bytes"};
  constexpr std::size_t kBytes = std::size_t{1} << 33;  // addresses only: nothing may be read
  void* const nothing = mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(nothing, MAP_FAILED);
  const raw::Bytes huge(static_cast<const std::byte*>(nothing), kBytes);
  EXPECT_EQ(client.wait(id_of(kEcho), huge).status().why(), Why::too_big);
  munmap(nothing, kBytes);
}

TEST(RawClientTest, AMethodThatTheServerLacksIsNotCalled) {
  Pair pair;
  raw::Client client{pair.client().link(), "test.Bytes"};
  raw::Client nobody{pair.client().link(), "test.Nobody"};
  for (const std::uint16_t id : {0, 99, 0xffff}) {
    const raw::Answer answer = client.wait(id, {});
    EXPECT_EQ(answer.status().code(), Code::unimplemented);
    EXPECT_EQ(answer.status().ran(), Ran::no);
    EXPECT_EQ(answer.status().why(), Why::unknown_method);
    EXPECT_THAT(std::string(answer.status().text()), HasSubstr("lacks id " + std::to_string(id) + " of test.Bytes"));
  }
  EXPECT_THAT(std::string(nobody.wait(1, {}).status().text()), HasSubstr("lacks test.Nobody"));
  pair.settle();
  EXPECT_EQ(pair.service.received[kEcho], 0);
}

TEST(RawClientTest, GivenMethodsHaveLanesAndTimeOutsOfTheirOwn) {
  Pair pair;
  raw::Client client{pair.client().link(),
                     "test.Bytes",
                     {{.id = id_of(kEcho), .timeout = 3ms}, {.id = id_of(kUrgent), .urgent = true}}};
  {
    const raw::Claim normal = client.claim(id_of(kEcho), 8);
    EXPECT_TRUE(normal);
    EXPECT_TRUE(client.claim(id_of(kUrgent), 8)) << "a claim a lane";
    EXPECT_FALSE(client.claim(id_of(kEcho), 8));
  }
  EXPECT_EQ(client.wait(id_of(kSmall), {}).status().why(), Why::unknown_method) << "it was not given";
  Held held;
  pair.service.on[kEcho] = held.handler();
  Outcome outcome;
  client.call(id_of(kEcho), {}).then([&](const RawAnswer& answer) {
    ++outcome.ends;
    outcome.status = answer.status;
  });
  pair.pass(2ms);
  pair.settle();
  EXPECT_FALSE(outcome.ended());
  pair.pass(2ms);
  pair.settle();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
}

TEST(RawClientTest, AServerThatComesBackWithMoreMethodsHasMore) {
  Served served;
  served.serve(std::make_unique<Named>("acme.Raw", std::vector<raw::Method>{{.name = "One", .id = 1}}));
  Link link = *served.client_side->connect("loopback://named");
  raw::Client client{link, "acme.Raw"};
  EXPECT_ANSWERED(served.ask(client, 1, "a"), "1:a");
  EXPECT_EQ(served.ask(client, 700, "b").status.why(), Why::unknown_method);
  served.stop();
  served.until([&] { return !link.up(); });
  EXPECT_EQ(served.ask(client, 1, "c").status.why(), Why::not_connected);

  served.serve(std::make_unique<Named>(
      "acme.Raw", std::vector<raw::Method>{{.name = "More", .id = 700}, {.name = "One", .id = 1}}));
  served.until([&] { return link.up(); });
  EXPECT_ANSWERED(served.ask(client, 700, "d"), "700:d");
  EXPECT_ANSWERED(served.ask(client, 1, "e"), "1:e");

  served.serve(std::make_unique<Named>("acme.Raw", std::vector<raw::Method>{{.name = "More", .id = 700}}));
  served.until([&] { return client.methods().size() == 1; });
  EXPECT_EQ(served.ask(client, 1, "f").status.why(), Why::unknown_method);
  EXPECT_ANSWERED(served.ask(client, 700, "g"), "700:g");
}

TEST(RawClientTest, AnIdThatHasAnotherNameThereIsNotCalled) {
  Served served;
  served.serve(std::make_unique<Named>("acme.Raw", std::vector<raw::Method>{{.name = "One", .id = 1}}));
  Link link = *served.client_side->connect("loopback://named");
  raw::Client learned{link, "acme.Raw"};
  raw::Client given{link, "acme.Raw", {{.name = "Eins", .id = 1}}};
  EXPECT_ANSWERED(served.ask(learned, 1, "a"), "1:a");
  const Outcome misfit = served.ask(given, 1, "a");
  EXPECT_ENDED(misfit, Code::failed_precondition, Ran::no, Why::schema_mismatch);
  EXPECT_THAT(std::string(misfit.status.text()), HasSubstr("'Eins'"));
  served.serve(std::make_unique<Named>("acme.Raw", std::vector<raw::Method>{{.name = "Eins", .id = 1}}));
  served.until([&] { return served.log.count("no call is sent to") == 2; });
  EXPECT_EQ(served.ask(learned, 1, "b").status.why(), Why::schema_mismatch);
  EXPECT_ANSWERED(served.ask(given, 1, "b"), "1:b");
}

TEST(RawServiceTest, KeepsItsOwnNamesAndSaysWhichMethodIsCalled) {
  Served served;
  {
    const std::string name = "acme.Service.with.a.name.that.no.string.keeps.inside";
    const std::vector<std::byte> schema(3, std::byte{7});
    std::vector<raw::Method> methods;
    for (std::uint16_t id = 3; id < 40; id = static_cast<std::uint16_t>(id + 3))
      methods.push_back({.name = "MethodWithANameThatNoStringKeepsInside" + std::to_string(id), .id = id});
    served.serve(std::make_unique<Named>(name, methods, raw::ServiceOptions{.fingerprint = 9, .schema = schema}));
  }
  const ServiceDescription& description = served.service->description();
  EXPECT_EQ(description.name, "acme.Service.with.a.name.that.no.string.keeps.inside");
  EXPECT_EQ(description.fingerprint, 9u);
  EXPECT_THAT(description.schema, ElementsAre(std::byte{7}, std::byte{7}, std::byte{7}));
  Link link = *served.client_side->connect("loopback://named");
  raw::Client client{link, description.name};
  for (std::uint16_t id = 3; id < 40; id = static_cast<std::uint16_t>(id + 3))
    EXPECT_ANSWERED(served.ask(client, id, "x"), std::to_string(id) + ":x");
}

TEST(RawServiceTest, OneIdTwiceIsRefused) {
  Served served;
  Named twice("acme.Raw", {{.name = "One", .id = 1}, {.name = "Two", .id = 1}});
  served.server = served.dispatcher();
  const auto refused = served.server->serve("loopback://named", twice);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what(), HasSubstr("one id means two methods"));
}

// Hears, and echoes on streams until they are closed.
class Talker final : public raw::Service {
 public:
  using raw::Service::Service;
  void call(std::uint16_t, raw::Bytes, raw::Reply) override {}
  void told(std::uint16_t method, raw::Bytes message, const Told&) override {
    heard.push_back(std::to_string(method) + ":" + std::string(as_text(message)));
  }
  void opened(std::uint16_t method, raw::Bytes request, StreamEnd with, raw::Reply reply_to) override {
    heard.push_back(std::to_string(method) + ":" + std::string(as_text(request)));
    stream = std::move(with);
    reply = std::move(reply_to);
    stream.each([this](std::span<const std::byte> item) { EXPECT_EQ(send_item(stream, as_text(item)), Sent::ok); });
    stream.on_close([this](bool) { reply.answer(as_bytes("bye")); });
  }
  std::vector<std::string> heard;
  StreamEnd stream;
  raw::Reply reply;
};

const std::vector<raw::Method> kTalkerMethods = {{.name = "Tell", .id = 1, .kind = CallKind::oneway},
                                                 {.name = "Talk", .id = 2, .kind = CallKind::both_ways}};

TEST(RawKindsTest, OneWayMessagesArrive) {
  Served served;
  auto talker = std::make_unique<Talker>("acme.Raw", kTalkerMethods);
  const auto& heard = talker->heard;
  served.serve(std::move(talker));
  Link link = *served.client_side->connect("loopback://named");
  raw::Client client{link, "acme.Raw"};
  const std::string large(1000, 'x');
  EXPECT_EQ(client.tell(1, as_bytes("hello")), Sent::ok);
  EXPECT_EQ(client.tell(1, {}), Sent::ok);
  EXPECT_EQ(client.tell(1, as_bytes(large)), Sent::ok);
  EXPECT_EQ(client.tell(9, as_bytes("nobody")), Sent::over);
  served.until([&] { return heard.size() == 3; });
  EXPECT_THAT(heard, ElementsAre("1:hello", "1:", "1:" + large));
}

TEST(RawKindsTest, StreamsMoveBytesBothWaysAndEndWithAnAnswer) {
  Served served;
  served.serve(std::make_unique<Talker>("acme.Raw", kTalkerMethods));
  Link link = *served.client_side->connect("loopback://named");
  raw::Client client{link, "acme.Raw"};
  StreamCall talk = client.open(2, as_bytes("open"));
  std::vector<std::string> items;
  Outcome end;
  talk.stream.each([&](std::span<const std::byte> item) { items.emplace_back(as_text(item)); });
  talk.call.then([&](const RawAnswer& answer) {
    ++end.ends;
    end.status = answer.status;
    end.payload = as_text(answer.payload);
  });
  EXPECT_EQ(send_item(talk.stream, "one"), Sent::ok);
  EXPECT_EQ(send_item(talk.stream, "two"), Sent::ok);
  served.until([&] { return items.size() == 2; });
  EXPECT_EQ(talk.stream.close(), Sent::ok);
  served.until([&] { return end.ended(); });
  EXPECT_ANSWERED(end, "bye");
  EXPECT_THAT(items, ElementsAre("one", "two"));
}

TEST(RawKindsTest, AServiceWithoutHandlersForThemRefusesStreams) {
  Served served;
  served.serve(std::make_unique<Named>("acme.Raw", kTalkerMethods));
  Link link = *served.client_side->connect("loopback://named");
  raw::Client client{link, "acme.Raw"};
  Outcome end;
  StreamCall talk = client.open(2, {});
  talk.call.then([&](const RawAnswer& answer) {
    ++end.ends;
    end.status = answer.status;
  });
  served.until([&] { return end.ended(); });
  EXPECT_EQ(end.status.code(), Code::unimplemented);
}

TEST(RawKindsTest, AMethodThatIsOfAnotherKindThereIsNotCalled) {
  Served served;
  served.serve(std::make_unique<Talker>("acme.Raw", kTalkerMethods));
  Link link = *served.client_side->connect("loopback://named");
  raw::Client client{link, "acme.Raw", {{.id = 2}}};
  const Outcome refused = served.ask(client, 2, "a");
  EXPECT_ENDED(refused, Code::failed_precondition, Ran::no, Why::schema_mismatch);
}

// Passes everything on.
class Gateway final : public raw::Service {
 public:
  explicit Gateway(raw::Client to) : Service(std::string(to.service()), to.methods()), to_(to) {}
  void call(std::uint16_t method, raw::Bytes request, raw::Reply reply) override {
    raw::forward(to_, method, request, std::move(reply));
  }
  void told(std::uint16_t method, raw::Bytes message, const Told&) override {
    EXPECT_EQ(to_.tell(method, message), Sent::ok);
  }
  void opened(std::uint16_t method, raw::Bytes request, StreamEnd stream, raw::Reply reply) override {
    raw::forward_stream(to_, method, request, std::move(stream), std::move(reply));
  }

 private:
  raw::Client to_;
};

// A client, a gateway, and a pair's server behind it.
struct RawGatewayTest : ::testing::Test {
  RawGatewayTest() {
    listener.emplace(*middle.serve("loopback://gateway", gateway));
    outer.emplace(*caller.connect("loopback://gateway"));
    settle();
    client.emplace(*outer, "test.Bytes");
  }
  DispatcherOptions options() {
    DispatcherOptions options;
    options.log = pair.log.callback();
    options.clock = Clock::manual(&pair.ticks);
    return options;
  }
  void settle() {
    for (int i = 0; i != 30; ++i) caller.poll(), middle.poll(), pair.server().poll();
  }
  // The server keeps what it is given.
  void keep(Method method) {
    pair.service.instead[method] = [this](ServedCall& call) {
      call.taken();
      stream = call.stream({});
      stream.each([this](std::span<const std::byte> item) { came.emplace_back(as_text(item)); });
      stream.on_close([this](bool all) { closed = all; });
      reply = call.reply();
    };
  }
  StreamCall open(Method method, const StreamOptions& how = {}) {
    StreamCall made = client->open(id_of(method), as_bytes("open"), how);
    made.call.then([this](const RawAnswer& answer) {
      ++end.ends;
      end.status = answer.status;
      end.payload = as_text(answer.payload);
    });
    return made;
  }

  std::vector<std::string> came, items;
  std::optional<bool> closed;
  StreamEnd stream;
  RawReply reply;
  Outcome end;
  Pair pair;
  Dispatcher middle{transports(pair.network.transport()), options()};
  Dispatcher caller{transports(pair.network.transport()), options()};
  Link inner = *middle.connect(pair.url);
  bool up = (settle(), true);
  Gateway gateway{raw::Client{inner, "test.Bytes"}};
  std::optional<Listener> listener;
  std::optional<Link> outer;
  std::optional<raw::Client> client;
};

TEST_F(RawGatewayTest, OneWayMessagesPass) {
  std::string told;
  pair.service.on[kTell] = [&](std::string_view message, RawReply) { told = message; };
  EXPECT_EQ(client->tell(id_of(kTell), as_bytes("hello")), Sent::ok);
  settle();
  EXPECT_EQ(told, "hello");
}

TEST_F(RawGatewayTest, AServersItemsPassInOrderAsFastAsTheCallerTakesThem) {
  keep(kDown);
  StreamCall down = open(kDown, {.credit = 8, .credit_bytes = 8 * 64});
  ASSERT_TRUE(down.stream.pull());
  settle();
  ASSERT_TRUE(stream);
  int sent = 0;
  Sent last = Sent::ok;
  const auto fill = [&] {
    while (sent < 1000 && (last = send_item(stream, std::to_string(sent))) == Sent::ok) ++sent;
    settle();
  };
  for (int before = -1; sent != before;) {
    before = sent;
    fill();
  }
  EXPECT_EQ(last, Sent::no_credit) << "nobody takes items";
  EXPECT_LT(sent, 1000);
  for (int stalled = 0; items.size() < 1000;) {
    const std::size_t before = items.size();
    while (const auto item = down.stream.next()) items.emplace_back(as_text(*item));
    fill();
    if (sent == 1000 && reply) answer(reply, "all");  // while the last ones still wait for credit
    stalled = items.size() == before ? stalled + 1 : 0;
    ASSERT_LT(stalled, 10) << "nothing moves";
  }
  settle();
  for (int i = 0; i != 1000; ++i) ASSERT_EQ(items[static_cast<std::size_t>(i)], std::to_string(i));
  EXPECT_ANSWERED(end, "all");
}

TEST_F(RawGatewayTest, ACallersItemsPassAndItsCloseBehindThem) {
  keep(kUp);
  StreamCall up_stream = open(kUp);
  for (int i = 0; i != 20; ++i) EXPECT_EQ(send_item(up_stream.stream, std::to_string(i)), Sent::ok);
  EXPECT_EQ(up_stream.stream.close(), Sent::ok);
  settle();
  ASSERT_EQ(came.size(), 20u);
  EXPECT_EQ(came.back(), "19");
  EXPECT_EQ(closed, true);
  answer(reply, "sum");
  settle();
  EXPECT_ANSWERED(end, "sum");
}

TEST_F(RawGatewayTest, ACallerThatCancelsItsStreamCancelsItThereToo) {
  keep(kTalk);
  StreamCall talk = open(kTalk);
  settle();
  ASSERT_TRUE(reply);
  EXPECT_FALSE(reply.cancelled());
  talk.stream.cancel();
  settle();
  EXPECT_TRUE(reply.cancelled());
  EXPECT_EQ(end.status.code(), Code::cancelled);
}

TEST_F(RawGatewayTest, ARefusedStreamEndsWithItsReason) {
  pair.service.instead[kTalk] = [](ServedCall& call) {
    call.taken();
    call.reply().refuse(Code::permission_denied, Why::none, "not you");
  };
  StreamCall talk = open(kTalk);
  settle();
  EXPECT_EQ(end.status.code(), Code::permission_denied);
  EXPECT_EQ(end.status.text(), "not you");
}

TEST(RawReplyTest, AStatusIsHandedOnAsItIs) {
  Pair pair;
  for (const Ran ran : {Ran::no, Ran::maybe, Ran::yes}) {
    pair.service.on[kEcho] = [&](std::string_view, RawReply reply) {
      reply.refuse(Status(Code::data_loss, ran, Why::peer_died, "elsewhere"));
      EXPECT_FALSE(reply);
    };
    const Outcome& outcome = pair.client().call(kEcho);
    pair.settle();
    EXPECT_ENDED(outcome, Code::data_loss, ran, Why::peer_died);
    EXPECT_EQ(outcome.status.text(), "elsewhere");
  }
}

TEST(RawReplyTest, AnAnswerLargerThanItsRoomIsRefused) {
  Pair pair("?reply_max=64&message_max=4KiB");
  const std::string large(100'000, 'x');
  pair.service.on[kEcho] = [&](std::string_view, RawReply reply) { reply.answer(as_bytes(large)); };
  const Outcome& outcome = pair.client().call(kEcho);
  pair.settle();
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::yes, Why::too_big);
}

}  // namespace
}  // namespace taut::rpc::testing
