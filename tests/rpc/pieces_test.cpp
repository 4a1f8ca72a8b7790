// Messages that no record holds: what they look like to the caller and the handler, and that nothing else waits for
// them, gets lost with them, or hangs on them.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ring::Lane;

constexpr std::size_t kMegabyte = 1 << 20;
constexpr std::size_t kRecordMax = 16 * 1024;  // of the default ring
constexpr std::size_t kPiece = 16320;          // of a message: 65 make a megabyte

// Different at every place, and for every seed.
std::string pattern(std::size_t bytes, unsigned seed = 1) {
  std::string text(bytes, '\0');
  std::uint64_t x = seed;
  for (char& c : text) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(x >> 56);
  }
  return text;
}

// As EXPECT_ANSWERED, but a mistake prints no megabytes.
void expect_answered(const Outcome& outcome, const std::string& text) {
  EXPECT_EQ(outcome.ends, 1);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.payload.size(), text.size());
  EXPECT_TRUE(outcome.payload == text) << "the bytes differ";
}

class PiecesTest : public ::testing::TestWithParam<const char*> {
 protected:
  JoinedPair pair{std::string("?check=") + GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Check, PiecesTest, ::testing::Values("in_place", "copy"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(PiecesTest, EverySizeArrivesWholeInBothDirections) {
  for (const std::size_t bytes : {kRecordMax - 48, kRecordMax - 33, kRecordMax - 32, kRecordMax - 31, kRecordMax - 16,
                                  kRecordMax - 15, kRecordMax, 3 * kPiece, 3 * kPiece + 1, kMegabyte, 16 * kMegabyte}) {
    const std::string text = pattern(bytes);
    const Outcome& outcome = pair.client->call(kEcho, text);
    pair.settle();
    expect_answered(outcome, text);
  }
  EXPECT_EQ(pair.client_counters().answers_received.value(), 11u);
  EXPECT_EQ(pair.server_counters().answers_sent.value(), 11u);
}

TEST_P(PiecesTest, AWaitGetsThemToo) {
  pair.server_turns_in_waits();
  const std::string text = pattern(kMegabyte);
  for (int i = 0; i != 3; ++i) expect_answered(pair.client->wait(kEcho, text), text);
}

TEST_P(PiecesTest, TheUrgentLaneCarriesThemToo) {
  const std::string text = pattern(100'000);
  const Outcome& outcome = pair.client->call(kUrgent, text);
  pair.settle();
  expect_answered(outcome, text);
}

TEST(LargeMessageTest, SmallCallsOvertakeIt) {
  JoinedPair pair;
  std::vector<int> order;
  pair.client->call_then(kEcho, pattern(kMegabyte), {}, [&](const Outcome&) { order.push_back(1); });
  pair.client->call_then(kSmall, "small", {}, [&](const Outcome&) { order.push_back(2); });
  pair.settle();
  EXPECT_EQ(order, (std::vector<int>{2, 1}));
}

TEST(LargeMessageTest, KeepsNoSmallCallOut) {
  JoinedPair pair;
  const Outcome& large = pair.client->call(kEcho, pattern(kMegabyte));
  for (int i = 0; i != 63; ++i) pair.client->call(kSmall, "small");  // the server takes nothing meanwhile
  pair.settle();
  for (const Outcome& outcome : pair.client->outcomes()) EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(large.payload.size(), kMegabyte);
}

TEST(LargeMessageTest, FollowEachOtherInOrder) {
  JoinedPair pair;
  std::vector<std::string> texts;
  for (unsigned i = 0; i != 8; ++i) texts.push_back(pattern(kMegabyte + i, i));
  for (const std::string& text : texts) pair.client->call(kEcho, text);
  pair.settle();
  for (std::size_t i = 0; i != texts.size(); ++i) expect_answered(pair.client->outcomes()[i], texts[i]);
  EXPECT_LE(pair.client_counters().buffers_allocated.value(), 8u + 2u) << "those that waited together, and no more";
}

TEST(LargeMessageTest, OfTheSameSizeUseTheSameBuffers) {
  JoinedPair pair;
  for (int i = 0; i != 20; ++i) {
    pair.client->call(kEcho, pattern(kMegabyte));
    pair.settle();
  }
  EXPECT_LE(pair.client_counters().buffers_allocated.value() + pair.server_counters().buffers_allocated.value(), 4u)
      << "one on its way out and one on its way in, at each side";
  EXPECT_EQ(pair.client_counters().pieces_sent.value(), 20u * 65);
  EXPECT_EQ(pair.server_counters().pieces_received.value(), 20u * 65);
}

TEST(LargeMessageTest, ThatWaitBehindEachOtherAreBounded) {
  JoinedPair pair("?message_max=1MiB");
  std::size_t taken = 0;
  while (pair.client->claim(kEcho, kMegabyte)) {
    pair.client->call(kEcho, pattern(kMegabyte));
    ASSERT_LE(++taken, 4u);
  }
  EXPECT_EQ(taken, 4u);
  const Outcome& refused = pair.client->call(kEcho, pattern(kMegabyte));
  pair.settle();
  EXPECT_ENDED(refused, Code::resource_exhausted, Ran::no, Why::ring_full);
  for (std::size_t i = 0; i != taken; ++i) EXPECT_TRUE(pair.client->outcomes()[i].status.ok());
}

TEST(LargeMessageTest, ThatIsClaimedAndLetGoCostsNothing) {
  JoinedPair pair;
  for (int i = 0; i != 100; ++i) EXPECT_TRUE(pair.client->claim(kEcho, kMegabyte));
  EXPECT_EQ(pair.client_counters().buffers_allocated.value(), 1u);
  const Outcome& small = pair.client->call(kSmall, "small");
  pair.settle();
  EXPECT_ANSWERED(small, "small");
}

// --- both directions at once

TEST(LargeMessageTest, InBothDirectionsAtOnceBlockNobody) {
  JoinedPair pair;
  std::vector<Outcome*> outcomes;
  for (unsigned i = 0; i != 12; ++i) {
    const std::string text = pattern(kMegabyte, i);
    outcomes.push_back(&pair.client->call(kEcho, text));
    for (int turn = 0; turn != 10; ++turn) {
      pair.server.poll();
      pair.caller.poll();
    }
  }
  pair.settle();
  for (unsigned i = 0; i != 12; ++i) expect_answered(*outcomes[i], pattern(kMegabyte, i));
}

// --- a wait that finds pieces of others

TEST(LargeMessageTest, WhoseAnswerArrivesInAWaitForAnotherIsHandledByTheNextPoll) {
  JoinedPair pair;
  Held held;
  pair.service.on[kEcho] = held.handler();
  const std::string text = pattern(kMegabyte), next = pattern(kMegabyte, 2);
  const Outcome& first = pair.client->call(kEcho, "first");
  const Outcome& second = pair.client->call(kEcho, "second");
  pair.settle();
  answer(held.replies[0], text);
  answer(held.replies[1], next);
  pair.server_turns_in_waits();
  // The first is whole and waits in the ring, and the second has begun.
  while (pair.client_counters().pieces_received.value() < 65 + 1) {
    ASSERT_TRUE(pair.client->wait(kSmall, "small").status.ok());
    ASSERT_FALSE(first.ended() || second.ended()) << "no callback runs in a wait";
  }
  pair.settle();
  expect_answered(first, text);
  expect_answered(second, next);
}

TEST(LargeMessageTest, ThatNobodyListensToPassesByInAWait) {
  JoinedPair pair;
  pair.server_turns_in_waits();
  for (int i = 0; i != 3; ++i) {
    send_call(pair.client->filled(kEcho, pattern(kMegabyte)), kMegabyte, {});
    for (int k = 0; k != 200; ++k) EXPECT_ANSWERED(pair.client->wait(kSmall, "small"), "small");
  }
  EXPECT_EQ(pair.client_counters().answers_received.value(), 603u);
}

// --- calls that end before their messages have passed

TEST(LargeMessageTest, GivenUpOnItsWayDidNotRunAndItsGrantComesBack) {
  JoinedPair pair("?inflight=1");
  const Outcome& outcome = pair.client->call(kEcho, pattern(kMegabyte), {.timeout = 5ms});
  pair.pass(5ms);
  for (int i = 0; i != 4; ++i) pair.caller.poll();  // the server takes nothing meanwhile
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::no, Why::timeout);
  EXPECT_ENDED(pair.client->wait(kSmall, "x"), Code::resource_exhausted, Ran::no, Why::calls_in_flight);
  pair.settle();  // the server hears that it is over, and answers
  EXPECT_EQ(pair.service.received[kEcho], 0);
  EXPECT_EQ(pair.client_counters().answers_late.value(), 1u);
  const std::string text = pattern(kMegabyte, 2);
  const Outcome& next = pair.client->call(kEcho, text);
  pair.settle();
  expect_answered(next, text);
}

TEST(LargeMessageTest, GivenUpBeforeItBeganIsNeverHeardOf) {
  JoinedPair pair;
  const std::string text = pattern(kMegabyte);
  const Outcome& first = pair.client->call(kEcho, text);
  const Outcome& second = pair.client->call(kEcho, text, {.timeout = 5ms});
  pair.pass(5ms);
  pair.settle();
  expect_answered(first, text);
  EXPECT_ENDED(second, Code::deadline_exceeded, Ran::no, Why::timeout);
  EXPECT_EQ(pair.server_counters().requests_received.value(), 1u);
  EXPECT_EQ(pair.client_counters().answers_late.value(), 0u);
}

TEST(LargeMessageTest, WhoseAnswerComesTooLateIsPassedOver) {
  JoinedPair pair;
  Held held;
  pair.service.on[kEcho] = held.handler();
  const Outcome& outcome = pair.client->call(kEcho, "x", {.timeout = 5ms});
  pair.settle();
  answer(held.replies[0], pattern(kMegabyte));
  pair.caller.poll();  // the first pieces have arrived
  EXPECT_GT(pair.client_counters().pieces_received.value(), 0u);
  pair.pass(5ms);
  pair.settle();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
  EXPECT_EQ(pair.client_counters().answers_late.value(), 1u);
  pair.service.on[kEcho] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  const std::string text = pattern(kMegabyte, 2);
  const Outcome& next = pair.client->call(kEcho, text);
  pair.settle();
  expect_answered(next, text);
}

TEST(LargeMessageTest, OfALinkThatEndsOnItsWayDidNotRun) {
  JoinedPair pair;
  const Outcome& on_its_way = pair.client->call(kEcho, pattern(kMegabyte));
  const Outcome& waiting = pair.client->call(kEcho, pattern(kMegabyte));
  pair.joint.made().end(Why::peer_died, "dead");
  pair.settle_links();
  EXPECT_ENDED(on_its_way, Code::unavailable, Ran::no, Why::peer_died);
  EXPECT_ENDED(waiting, Code::unavailable, Ran::no, Why::peer_died);
}

TEST(LargeMessageTest, AnswerOfALinkThatEndsIsCountedAsLost) {
  JoinedPair pair;
  pair.service.on[kEcho] = [](std::string_view, RawReply reply) { answer(reply, pattern(kMegabyte)); };
  const std::shared_ptr<JoinedMemory> memory = pair.joint.made().memory;
  const Outcome& outcome = pair.client->call(kEcho, "x");
  pair.server.poll();
  pair.server.poll();
  pair.joint.made().end(Why::peer_died, "dead");
  pair.settle_links();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::maybe, Why::peer_died);
  EXPECT_EQ(memory->counters(1).answers_lost.value(), 1u);
}

// --- a peer that lies about its pieces

struct Lie {
  const char* name;
  std::function<void(std::vector<std::string>& records)> tell;
};

// A request of three pieces of 100 bytes, each a whole record as a client would write it.
std::vector<std::string> three_pieces() {
  std::vector<std::string> records;
  for (std::uint64_t i = 0; i != 3; ++i) {
    std::string record(ring::kPieceHeader + 100, 'x');
    const std::uint64_t words[] = {
        ring::Head::make(ring::kPieceHeader + 100, ring::Kind::request, i == 2 ? 0 : ring::flag::more_pieces, kEcho)
            .word,
        64,
        0,
        std::uint64_t{ring::extension::piece} << 48,
        300,
        i * 100};
    std::memcpy(record.data(), words, sizeof words);
    records.push_back(record);
  }
  return records;
}
void put(std::string& record, std::size_t at, std::uint64_t word) { std::memcpy(record.data() + at, &word, 8); }
constexpr std::size_t kCallAt = 8, kTotalAt = 32, kOffsetAt = 40;

class PieceLieTest : public ::testing::TestWithParam<Lie> {
 protected:
  // The test is the client; what it sends is in the ring before the server looks.
  void send(const std::vector<std::string>& records) {
    ring::Writer<ring::NativeWriterMemory> writer(link.memory->lane(0, Lane::normal).writer(), {64 * 1024, 0});
    for (const std::string& record : records) {
      const ring::Claim claim = writer.claim(static_cast<ring::u32>(record.size()));
      std::memcpy(writer.memory().bytes(claim.at) + 8, record.data() + 8, record.size() - 8);
      ring::Head head;
      std::memcpy(&head.word, record.data(), 8);
      writer.send(claim, head);
    }
    pair.settle_links();
  }
  JoinedPair pair;
  const Joint::Made& link = pair.joint.connect_by_hand("bytes");
};

TEST_F(PieceLieTest, WithoutALieTheyAreARequest) {
  std::string seen;
  pair.service.on[kEcho] = [&](std::string_view request, RawReply reply) {
    seen = request;
    answer(reply, "done");
  };
  pair.settle();
  send(three_pieces());
  EXPECT_EQ(seen, std::string(300, 'x'));
  EXPECT_FALSE(link.memory->ended);
}

TEST_P(PieceLieTest, EndsTheLinkAndNothingRuns) {
  pair.settle();
  auto records = three_pieces();
  GetParam().tell(records);
  send(records);
  EXPECT_EQ(pair.service.received[kEcho], 0);
  EXPECT_EQ(link.memory->counters(1).violations.value(), 1u);
  EXPECT_EQ(pair.log.count("which broke the rules"), 1);
  const std::string text = pattern(kMegabyte);
  const Outcome& other = pair.client->call(kEcho, text);
  pair.settle();
  expect_answered(other, text);
}

using ring::Head;
using ring::Kind;
INSTANTIATE_TEST_SUITE_P(
    Of, PieceLieTest,
    ::testing::Values(
        Lie{"a_gap", [](auto& r) { r.erase(r.begin() + 1); }}, Lie{"a_piece_twice", [](auto& r) { r[1] = r[0]; }},
        Lie{"no_beginning", [](auto& r) { put(r[0], kOffsetAt, 100), put(r[0], kTotalAt, 50); }},
        Lie{"more_than_agreed",
            [](auto& r) {
              for (auto& record : r) put(record, kTotalAt, (64 << 20) + 1);
            }},
        Lie{"more_than_memory",
            [](auto& r) {
              for (auto& record : r) put(record, kTotalAt, ~std::uint64_t{0});
            }},
        Lie{"another_total", [](auto& r) { put(r[1], kTotalAt, 301); }},
        Lie{"an_offset_that_wraps", [](auto& r) { put(r[1], kOffsetAt, ~std::uint64_t{0} - 10); }},
        Lie{"beyond_its_total", [](auto& r) { put(r[2], kOffsetAt, 250); }},
        Lie{"an_end_that_is_none",
            [](auto& r) { put(r[1], 0, Head::make(ring::kPieceHeader + 100, Kind::request, 0, kEcho).word); }},
        Lie{"no_end",
            [](auto& r) {
              put(r[2], 0, Head::make(ring::kPieceHeader + 100, Kind::request, ring::flag::more_pieces, kEcho).word);
            }},
        Lie{"two_messages_mixed", [](auto& r) { put(r[1], kCallAt, 65); }},
        Lie{"a_second_message", [](auto& r) { r[1] = r[0], put(r[1], kCallAt, 65); }},
        Lie{"another_extension", [](auto& r) { put(r[1], 24, std::uint64_t{ring::extension::trace} << 48); }},
        Lie{"no_bytes", [](auto& r) { put(r[1], 0, Head::make(ring::kPieceHeader, Kind::request, 1, kEcho).word); }},
        Lie{"shorter_than_its_header",
            [](auto& r) { put(r[1], 0, Head::make(ring::kPieceHeader - 16, Kind::request, 1, kEcho).word); }}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace taut::rpc::testing
