// Peers that write their rings by hand: what they say costs their own link, whatever it is, and nobody else's.
#include "hand.h"
#include "support/seed.h"

namespace taut::rpc::testing {
namespace {

constexpr auto kSkippable = static_cast<Kind>(ring::kKindMayBeSkipped | 1);

struct Lie {
  const char* name;
  Head head;
  ring::u16 extensions;
  int times;
  const char* said;
};
class HostileRecordTest : public ::testing::TestWithParam<Lie> {};
INSTANTIATE_TEST_SUITE_P(
    Of, HostileRecordTest,
    ::testing::Values(
        Lie{"AMethodThatIsNotThere", Head::make(32, Kind::request, 0, kMethodCount), 0, 1,
            "a request for method 8 of 8"},
        Lie{"ALargeMethodThatIsNotThere", Head::make(4000, Kind::request, 0, 0xffff), 0, 1,
            "a request for method 65535 of 8"},
        Lie{"Pieces", Head::make(32, Kind::request, ring::flag::more_pieces), 0, 1, "a request with flags 1"},
        Lie{"Extensions", Head::make(32, Kind::request), 32, 1, "a request with flags 0 and extensions 32"},
        Lie{"HalfAHeader", Head::make(16, Kind::request), 0, 1, "a request that is shorter than its header"},
        Lie{"AnAnswer", Head::make(16, Kind::reply, ring::flag::your_id), 0, 1, "an answer to a call that nobody made"},
        Lie{"AKindOfLaterVersions", Head::make(64, Kind::ping), 0, 1, "a record of kind 9, which was not agreed"},
        Lie{"ACallMoreThanGranted", Head::make(32, Kind::request, 0, kSmall), 0, 65,
            "more unanswered calls than were granted"}),
    [](const auto& info) { return info.param.name; });

TEST_P(HostileRecordTest, EndsItsLinkWithASentenceAndNoOther) {
  const Lie& lie = GetParam();
  JoinedPair pair;
  const auto& made = pair.joint.connect_by_hand("bytes");
  pair.server.poll();
  Hand hostile(*made.memory, 0);
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != lie.times; ++i) hostile.send(Lane::normal, lie.head, lie.extensions, "");
  pair.settle();
  EXPECT_TRUE(made.memory->ended);
  EXPECT_EQ(pair.log.count(lie.said), 1) << ::testing::PrintToString(pair.log.lines());
  EXPECT_EQ(made.memory->counters(1).violations.value(), 1u);
  const Outcome& honest = pair.client->call(kEcho, "honest");
  pair.settle();
  EXPECT_ANSWERED(honest, "honest");
}

// The peer rewrites its record as soon as the handler runs, which is behind the check.
TEST(HostileClientTest, RewritingARecordThatIsBeingReadChangesNothingThatWasCopied) {
  for (const Check check : {Check::in_place, Check::copy}) {
    for (const std::size_t size : {8, 224, 225, 4000}) {
      JoinedPair pair;
      const auto& made = pair.joint.connect_by_hand("bytes", {.check = check});
      pair.server.poll();
      Hand hostile(*made.memory, 0);
      const std::string sent(size, 's');
      bool unchanged = false;
      pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
        hostile.rewrite(Lane::normal);
        unchanged = request == sent;
        answer(reply, "");
      };
      hostile.send_request(Lane::normal, kSmall, sent);
      pair.settle();
      const bool copied = check == Check::copy || size + sizeof(ring::RequestHeader) <= 256;
      EXPECT_EQ(unchanged, copied) << size << " bytes, check " << static_cast<int>(check);
    }
  }
}

// The first piece of a message, and of which: an id of 0 would be taken for none, and its duty never ended.
TEST(HostileClientTest, APieceOfNoCallEndsItsLink) {
  JoinedPair pair;
  const auto& made = pair.joint.connect_by_hand("bytes");
  pair.server.poll();
  const ring::PieceBlock block{.total = 1000, .offset = 0};
  const Head head = Head::make(ring::kPieceHeader + 100, Kind::request, ring::flag::more_pieces, kEcho);
  const std::string_view bytes(reinterpret_cast<const char*>(&block), sizeof block);
  Hand(*made.memory, 0).send(Lane::normal, head, ring::extension::piece, bytes, 0);
  pair.settle();
  EXPECT_TRUE(made.memory->ended);
  EXPECT_EQ(pair.log.count("which were not agreed"), 1) << ::testing::PrintToString(pair.log.lines());
}

constexpr int kLapsOfPolls = 4 * 65536 / kStep;

TEST(HostileClientTest, ALargeRecordOfAnUrgentLaneThatIsTheLargerOneIsCopiedWhole) {
  JoinedPair pair;
  const auto& made =
      pair.joint.connect_by_hand("bytes", {.ring_bytes = 65536, .urgent_ring_bytes = 1 << 20, .check = Check::copy});
  Hand hostile(*made.memory, 0);
  pair.settle();
  std::string seen;
  pair.service.on[kUrgent] = [&](std::string_view request, RawReply reply) {
    seen = request;
    answer(reply, "");
  };
  const std::string large(200'000, 'u');
  hostile.send_request(Lane::urgent, kUrgent, large);
  pair.settle();
  EXPECT_EQ(seen, large);
}

TEST(HostileClientTest, ARingWithoutEndLeavesTheOthersTheirAnswers) {
  JoinedPair pair;
  const auto& made = pair.joint.connect_by_hand("bytes");
  pair.server.poll();
  Hand(*made.memory, 0).fill(Lane::normal, Head::make(kStep, kSkippable));
  const Outcome& outcome = pair.client->call(kSmall, "honest");
  for (int i = 0; i != 10 && !outcome.ended(); ++i) {
    pair.server.poll();
    pair.caller.poll();
  }
  EXPECT_ANSWERED(outcome, "honest");
}

TEST(HostileClientTest, ARingWithoutEndIsNotKeptWithoutEnd) {
  JoinedPair pair;
  const auto& made = pair.joint.connect_by_hand("bytes");
  Hand hostile(*made.memory, 0);
  pair.server.poll();
  Held held;
  pair.service.on[kSmall] = held.handler();
  hostile.send_request(Lane::normal, kSmall, "");
  pair.server.poll();
  ASSERT_EQ(held.replies.size(), 1u);
  ASSERT_NE(held.replies[0].claim(8), nullptr);  // from now on what arrives is kept
  hostile.fill(Lane::normal, Head::make(kStep, Kind::request, 0, kSmall));
  for (int i = 0; i != kLapsOfPolls && !made.memory->ended; ++i) pair.server.poll();
  EXPECT_TRUE(made.memory->ended) << "it would be kept until memory runs out";
  EXPECT_EQ(pair.log.count("records over others that were not released"), 1);
}

// A client whose server the test is. Waits see time pass.
class HostileServerTest : public ::testing::Test {
 protected:
  HostileServerTest() {
    const ServiceDescription* services[] = {&ByteService::described()};
    joint.serve_by_hand("lies", *MethodTable::of(services));
    auto link = caller.connect("joined://lies");
    EXPECT_TRUE(link) << link.error();
    client.emplace(std::move(*link));
    caller.poll();
    joint.made().memory->turned_in_waits = &metronome;
    tick();
  }
  DispatcherOptions options() {
    DispatcherOptions made;
    made.log = log.callback();
    made.clock = Clock::manual(&ticks);
    return made;
  }
  void tick() {
    EXPECT_TRUE(metronome.post([this] {
      ticks += 1'000'000;
      tick();
    }));
  }
  [[nodiscard]] Hand hand() { return {*joint.made().memory, 1}; }
  // The id of the newest request, as the server reads it.
  [[nodiscard]] u64 newest_call(u32 at) {
    u64 call;
    std::memcpy(&call, joint.made().memory->lane(1, Lane::normal).in_ring + at + 8, sizeof call);
    return call;
  }

  Ticks ticks = 1'000'000;  // nanoseconds
  Logs log;
  Joint joint;
  Dispatcher metronome{transports(joint.transport()), options()};
  Dispatcher caller{transports(joint.transport()), options()};
  std::optional<Client> client;
};

TEST_F(HostileServerTest, ARingWithoutEndDoesNotOutlastADeadline) {
  hand().fill(Lane::normal, Head::make(kStep, kSkippable));
  const Outcome outcome = client->wait(kSmall, "waits", taut::Wait{20ms});
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
}

TEST_F(HostileServerTest, OneAnswerGivenWithoutEndIsNotKeptWithoutEnd) {
  const Outcome& other = client->call(kSmall, "has a callback");
  hand().fill(Lane::normal, Head::make(kStep, Kind::reply, ring::flag::your_id), newest_call(0));
  const Outcome outcome = client->wait(kSmall, "waits", taut::Wait{20ms});
  EXPECT_ENDED(outcome, Code::unavailable, Ran::maybe, Why::peer_violation);
  caller.poll();
  EXPECT_ENDED(other, Code::unavailable, Ran::maybe, Why::peer_violation);
}

TEST_F(HostileServerTest, ARingWithoutEndIsBuriedAllTheSame) {
  const Outcome& outcome = client->call(kSmall, "x");
  hand().fill(Lane::normal, Head::make(kStep, kSkippable));
  hand().fill(Lane::urgent, Head::make(kStep, kSkippable));
  joint.made().end(Why::peer_closed, "the peer closed the link");
  for (int i = 0; i != 10; ++i) caller.poll();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::peer_closed);
}

TEST_F(HostileServerTest, ARingWithoutEndEndsAWaitWithItsLink) {
  hand().fill(Lane::normal, Head::make(kStep, kSkippable));
  ASSERT_TRUE(metronome.post([this] { joint.made().end(Why::peer_died, "the peer died"); }));
  const Outcome outcome = client->wait(kSmall, "waits", taut::Wait{10s});
  EXPECT_EQ(outcome.status.why(), Why::peer_died) << outcome.status;
}

}  // namespace
}  // namespace taut::rpc::testing
