// Metadata and trace contexts: what may travel, what travels, and what lies about either.
#include "taut/rpc/metadata.h"

#include "hand.h"
#include "support/seed.h"

namespace taut::rpc::testing {
namespace {

using ring::Head;
using ring::Kind;
using ::testing::HasSubstr;

TEST(MetadataTest, KeepsItsPairsInOrder) {
  Metadata metadata{{"tenant", "blue"}, {"user.id", "7"}, {"empty", ""}};
  ASSERT_TRUE(metadata.complete());
  EXPECT_EQ(metadata.view().size(), 3u);
  EXPECT_EQ(metadata.view().find("user.id"), "7");
  EXPECT_EQ(metadata.view().find("empty"), "");
  EXPECT_EQ(metadata.view().find("user"), std::nullopt);
  std::string all;
  for (const auto [key, value] : metadata.view()) all += std::string(key) + "=" + std::string(value) + ";";
  EXPECT_EQ(all, "tenant=blue;user.id=7;empty=;");
  EXPECT_EQ(check_metadata(metadata.block()), nullptr);
  const Metadata copy = metadata;
  EXPECT_EQ(copy.view().find("tenant"), "blue");
}

TEST(MetadataTest, HoldsAnyBytesAsAValue) {
  const std::string value("\0\xff\n", 3);
  Metadata metadata;
  EXPECT_TRUE(metadata.add("raw", value));
  EXPECT_EQ(metadata.view().find("raw"), value);
}

TEST(MetadataTest, RefusesWhatIsNoKeyOrThereTwice) {
  for (const char* key : {"", "Tenant", "a b", "a\n", "\xc3\xa9", "a:b"}) {
    Metadata metadata;
    EXPECT_FALSE(metadata.add(key, "x")) << key;
    EXPECT_FALSE(metadata.complete());
    EXPECT_TRUE(metadata.view().empty());
  }
  Metadata metadata{{"key", "1"}};
  EXPECT_FALSE(metadata.add("key", "2"));
  EXPECT_EQ(metadata.view().find("key"), "1");
  EXPECT_TRUE(Metadata().add(std::string(Metadata::kKeyBytesMax, 'k'), ""));
  EXPECT_FALSE(Metadata().add(std::string(Metadata::kKeyBytesMax + 1, 'k'), ""));
}

TEST(MetadataTest, HoldsSixteenPairsAndOneKibibyteAndNotMore) {
  Metadata many;
  for (std::size_t i = 0; i != Metadata::kPairsMax; ++i) EXPECT_TRUE(many.add("k" + std::to_string(i), "v"));
  EXPECT_FALSE(many.add("one-more", ""));
  EXPECT_FALSE(many.complete());
  const std::string longest(Metadata::kBytesMax - 4 - 4 - 1, 'v');
  Metadata full{{"k", longest}};
  EXPECT_TRUE(full.complete());
  EXPECT_EQ(full.block().size(), Metadata::kBytesMax);
  EXPECT_FALSE((Metadata{{"k", longest + "v"}}.complete()));
}

TEST(TraceContextTest, IsReadAndWrittenAsTraceparent) {
  const std::string text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const auto trace = TraceContext::from_traceparent(text);
  ASSERT_TRUE(trace);
  EXPECT_TRUE(trace->sampled());
  EXPECT_EQ(trace->to_traceparent(), text);
  EXPECT_TRUE(TraceContext::from_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later"));
  for (const char* wrong : {"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    EXPECT_FALSE(TraceContext::from_traceparent(wrong)) << wrong;
  }
}

TraceContext some_trace() {
  return *TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
}

// What a handler saw beside its message.
struct Seen {
  std::string pairs, traceparent;
  explicit Seen(const RawReply& reply) {
    for (const auto [key, value] : reply.metadata()) pairs += std::string(key) + "=" + std::string(value) + ";";
    if (reply.trace() != nullptr) traceparent = reply.trace()->to_traceparent();
  }
};

class BesideTest : public ::testing::Test {
 protected:
  explicit BesideTest(const std::string& options = "") : pair(options) {
    for (const Method method : {kEcho, kSmall, kBig, kUrgent}) {
      pair.service.on[method] = [this](std::string_view request, RawReply reply) {
        seen.emplace_back(reply);
        request_was = request;
        answer(reply, "ok");
      };
    }
  }
  JoinedPair pair;
  std::vector<Seen> seen;
  std::string request_was;
};

TEST_F(BesideTest, TravelsWithMessagesOfEverySizeAndOnBothLanes) {
  Metadata metadata{{"tenant", "blue"}, {"token", std::string(100, 't')}};
  metadata.set_trace(some_trace());
  for (const Method method : {kSmall, kUrgent}) {
    for (const std::size_t size : {0, 1, 31, 32, 33, 63, 64, 100, 223, 224, 225, 256, 1000, 1500}) {
      const std::string message(size, 'm');
      const Outcome& outcome = pair.client->call(method, message, {.metadata = metadata});
      const Outcome& plain = pair.client->call(method, "plain");
      pair.settle();
      EXPECT_ANSWERED(outcome, "ok");
      EXPECT_ANSWERED(plain, "ok");
      ASSERT_EQ(seen.size(), 2u) << size;
      EXPECT_EQ(seen[0].pairs, "tenant=blue;token=" + std::string(100, 't') + ";");
      EXPECT_EQ(seen[0].traceparent, some_trace().to_traceparent());
      EXPECT_EQ(seen[1].pairs + seen[1].traceparent, "") << "a call has none of the one before it";
      seen.clear();
    }
  }
}

TEST_F(BesideTest, ArrivesWithItsMessageUnchangedAcrossWrapsAndPieces) {
  const Metadata metadata{{"k", std::string(900, 'v')}};
  for (std::size_t size = 0; size < 70'000; size += size < 4000 ? 61 : 1021) {
    std::string message(size, ' ');
    for (std::size_t i = 0; i != size; ++i) message[i] = static_cast<char>(i * 7 + size);
    const Outcome& outcome = pair.client->call(kEcho, message, {.metadata = metadata});
    pair.settle();
    ASSERT_EQ(outcome.ends, 1) << size;
    ASSERT_TRUE(outcome.status.ok()) << size << ": " << outcome.status;
    ASSERT_EQ(seen.back().pairs.size(), 903u) << size;
    ASSERT_TRUE(request_was == message) << size;
  }
}

struct ArenaBesideTest : BesideTest {
  ArenaBesideTest() : BesideTest("?arena=1MiB") {}
};
TEST_F(ArenaBesideTest, TravelsBesideAMessageInTheArena) {
  const Metadata metadata{{"tenant", "blue"}};
  for (int i = 0; i != 200; ++i) {
    const Outcome& outcome = pair.client->call(kEcho, std::string(100'000, 'a'), {.metadata = metadata});
    pair.settle();
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(seen.back().pairs, "tenant=blue;");
  }
  EXPECT_EQ(request_was, std::string(100'000, 'a'));
  EXPECT_EQ(pair.client_counters().pieces_sent.value(), 0u);
}

TEST_F(BesideTest, TravelsWithAWait) {
  pair.server_turns_in_waits();
  const Metadata metadata{{"tenant", "blue"}};
  EXPECT_ANSWERED(pair.client->wait(kSmall, "waits", taut::wait({.timeout = 1s, .metadata = metadata})), "ok");
  EXPECT_EQ(seen.back().pairs, "tenant=blue;");
}

TEST_F(BesideTest, ThatIsNotCompleteRefusesItsCallBeforeItIsSent) {
  Metadata metadata;
  (void)metadata.add("Not A Key", "");
  const Outcome& outcome = pair.client->call(kSmall, "x", {.metadata = metadata});
  pair.settle();
  EXPECT_ENDED(outcome, Code::invalid_argument, Ran::no, Why::bad_metadata);
  const Outcome& next = pair.client->call(kSmall, "x");
  pair.settle();
  EXPECT_ANSWERED(next, "ok");
  EXPECT_EQ(pair.service.received[kSmall], 1);
}

TEST_F(BesideTest, NeedsRoomInTheRingAndSaysSo) {
  const Metadata metadata{{"k", std::string(900, 'v')}};
  int refused = 0, sent = 0;
  for (int i = 0; i != 64; ++i) pair.client->call(kSmall, std::string(100, 'x'), {.metadata = metadata});
  for (int i = 0; i != 8; ++i) pair.client->call(kUrgent, std::string(100, 'x'), {.metadata = metadata});
  pair.settle();
  for (const Outcome& outcome : pair.client->outcomes()) {
    EXPECT_EQ(outcome.ends, 1);
    if (outcome.status.ok()) {
      ++sent;
    } else {
      EXPECT_EQ(outcome.status.why(), Why::ring_full) << outcome.status;
      ++refused;
    }
  }
  EXPECT_GT(sent, 40);
  EXPECT_GT(refused, 0) << "the urgent ring has 8 KiB, half of them for answers";
}

TEST_F(BesideTest, OfAReplyThatIsKeptLivesUntilItAnswers) {
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Metadata metadata{{"tenant", "blue"}};
  for (int i = 0; i != 10; ++i) pair.client->call(kSmall, "held", {.metadata = metadata});
  pair.settle();
  ASSERT_EQ(held.replies.size(), 10u);
  while (!held.replies.empty()) {
    EXPECT_EQ(held.replies.back().metadata().find("tenant"), "blue");
    answer(held.replies.back(), "ok");
    EXPECT_TRUE(held.replies.back().metadata().empty()) << "an answered Reply names no call";
    held.replies.pop_back();
    pair.settle();
  }
}

// --- peers that lie

struct BlockLie {
  const char* name;
  ring::u16 mask;
  std::string bytes;  // behind the header
  const char* text;   // of the status of the call; null: the link ends
};
std::string block(std::string_view pairs, ring::u16 count, int size_off = 0, std::size_t pad = 16) {
  std::string made(4, '\0');
  const auto bytes = static_cast<ring::u16>(4 + static_cast<int>(pairs.size()) + size_off);
  std::memcpy(made.data(), &bytes, 2);
  std::memcpy(made.data() + 2, &count, 2);
  made += pairs;
  while (made.size() % pad != 0) made += '\0';
  return made;
}
std::string pair_of(std::string_view key, std::string_view value, char zero = 0) {
  std::string made{static_cast<char>(key.size()), zero, static_cast<char>(value.size()),
                   static_cast<char>(value.size() >> 8)};
  return made.append(key).append(value);
}

class HostileBlocks : public ::testing::TestWithParam<BlockLie> {};
INSTANTIATE_TEST_SUITE_P(
    Of, HostileBlocks,
    ::testing::Values(
        BlockLie{"ACutTrace", ring::extension::trace, std::string(31, 'x'), nullptr},
        BlockLie{"NoMetadata", ring::extension::metadata, "", nullptr},
        BlockLie{"MetadataLongerThanItsRecord", ring::extension::metadata, block("", 0, 100), nullptr},
        BlockLie{"MetadataOfNoBytes", ring::extension::metadata, block("", 0, -4), nullptr},
        BlockLie{"UnknownBits", ring::extension::metadata | 0x100, block(pair_of("a", "b"), 1), nullptr},
        BlockLie{"HalfAHead", ring::extension::metadata, block("", 1, -2), "metadata without its head"},
        BlockLie{"NoPairs", ring::extension::metadata, block("", 0), "no pairs of metadata"},
        BlockLie{"TooManyPairs", ring::extension::metadata, block(pair_of("a", "b"), 17), "more than 16"},
        BlockLie{"MorePairsThanBytes", ring::extension::metadata, block(pair_of("a", "b"), 2), "ends within a pair"},
        BlockLie{"AValueBehindTheEnd", ring::extension::metadata, block(pair_of("a", "b"), 1, -1), "within a pair"},
        BlockLie{"BytesBehindThePairs", ring::extension::metadata, block(pair_of("a", "b") + "c", 1), "goes on behind"},
        BlockLie{"AKeyTwice", ring::extension::metadata, block(pair_of("a", "b") + pair_of("a", "c"), 2), "twice"},
        BlockLie{"AKeyThatATerminalActsOn", ring::extension::metadata, block(pair_of("\x1b[0m", "b"), 1), "is none"},
        BlockLie{"AnEmptyKey", ring::extension::metadata, block(pair_of("", "b"), 1), "is none"},
        BlockLie{"BytesThatAreReserved", ring::extension::metadata, block(pair_of("a", "b", 1), 1), "within a pair"},
        BlockLie{"OverItsLimit", ring::extension::metadata, block(pair_of("a", std::string(1020, 'b')), 1),
                 "more than 1 KiB"}),
    [](const auto& info) { return info.param.name; });

TEST_P(HostileBlocks, CostTheirCallOrTheirLinkAndNobodyElse) {
  const BlockLie& lie = GetParam();
  JoinedPair pair;
  const auto& made = pair.joint.connect_by_hand("bytes");
  pair.server.poll();
  const auto bytes = static_cast<ring::u32>(sizeof(ring::RequestHeader) + lie.bytes.size());
  ring::Writer<ring::NativeWriterMemory> out(made.memory->lane(0, Lane::normal).writer(),
                                             made.memory->agreement(0).out[0]);
  const ring::Claim claim = out.claim(bytes);
  ASSERT_TRUE(claim);
  ring::RequestHeader header{};
  header.call = 64;
  header.extensions = lie.mask;
  std::byte* record = out.memory().bytes(claim.at);
  std::memcpy(record + 8, reinterpret_cast<const std::byte*>(&header) + 8, sizeof header - 8);
  std::memcpy(record + sizeof header, lie.bytes.data(), lie.bytes.size());
  out.send(claim, Head::make(bytes, Kind::request, 0, kSmall));
  pair.settle();
  EXPECT_EQ(made.memory->ended.load(), lie.text == nullptr) << ::testing::PrintToString(pair.log.lines());
  EXPECT_EQ(pair.service.received[kSmall], 0);
  if (lie.text != nullptr) {
    const std::byte* const reply = made.memory->lane(1, Lane::normal).out_ring;
    Head head;
    std::memcpy(&head.word, reply, sizeof head.word);
    EXPECT_EQ(head.detail() & 0xff, static_cast<int>(Code::invalid_argument));
    EXPECT_EQ(head.detail() >> 10, static_cast<int>(Why::bad_metadata));
    EXPECT_EQ(head.detail() >> 8 & 3, static_cast<int>(Ran::no));
    const std::string text(reinterpret_cast<const char*>(reply + 16), head.bytes() - 16);
    EXPECT_THAT(text, HasSubstr(lie.text));
  }
  const Outcome& honest = pair.client->call(kEcho, "honest", {.metadata = Metadata{{"a", "b"}}});
  pair.settle();
  EXPECT_ANSWERED(honest, "honest");
}

TEST_P(HostileBlocks, OfAOneWayMessageCostItOrItsLinkAndNobodyElse) {
  const BlockLie& lie = GetParam();
  JoinedPair pair;
  const auto& made = pair.joint.connect_by_hand("bytes");
  pair.server.poll();
  std::vector<std::byte> record(ring::kBlocksAt + lie.bytes.size());
  const auto head = Head::make(static_cast<ring::u32>(record.size()), Kind::oneway, ring::flag::extensions, kTell);
  std::memcpy(record.data(), &head.word, sizeof head.word);
  std::memcpy(record.data() + sizeof(ring::ReplyHeader), &lie.mask, sizeof lie.mask);
  std::memcpy(record.data() + ring::kBlocksAt, lie.bytes.data(), lie.bytes.size());
  Hand(*made.memory, 0).send_record(Lane::normal, record);
  pair.settle();
  EXPECT_EQ(made.memory->ended.load(), lie.text == nullptr) << ::testing::PrintToString(pair.log.lines());
  EXPECT_EQ(pair.service.received[kTell], 0);
  if (lie.text != nullptr) {
    EXPECT_EQ(made.memory->counters(1).oneways_refused.value(), 1u);
  }
  const Outcome& honest = pair.client->call(kEcho, "honest", {.metadata = Metadata{{"a", "b"}}});
  pair.settle();
  EXPECT_ANSWERED(honest, "honest");
}

// The standard asks for this: a trace that is none is as good as no trace.
TEST(HostileTrace, OfZerosIsNone) {
  JoinedPair pair;
  Metadata metadata;
  metadata.set_trace(TraceContext{});
  bool traced = true;
  pair.service.on[kSmall] = [&](std::string_view, RawReply reply) {
    traced = reply.trace() != nullptr;
    answer(reply, "ok");
  };
  const Outcome& outcome = pair.client->call(kSmall, "", {.metadata = metadata});
  pair.settle();
  EXPECT_ANSWERED(outcome, "ok");
  EXPECT_FALSE(traced);
}

// Blocks of a second of random damage: each is refused, or keeps every bound.
TEST(HostileMetadata, MutatedBlocksAreRefusedOrWithinTheirBounds) {
  taut::testing::Random random;
  int good = 0;
  constexpr int kRounds = 200'000;
  for (int round = 0; round != kRounds; ++round) {
    Metadata metadata;
    for (std::uint64_t i = 1 + random.below(4); i != 0; --i) {
      (void)metadata.add("key" + std::to_string(i), std::string(random.below(20), 'v'));
    }
    const auto block = metadata.block();
    std::vector<std::byte> bytes(block.begin(), block.end());  // of their exact size: a read behind them is seen
    for (std::uint64_t i = random.below(3); i != 0; --i) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.one_in(2) ? random.below(256) : 0);
    }
    if (random.one_in(8)) bytes.resize(random.below(bytes.size()));
    bytes.shrink_to_fit();
    if (check_metadata(bytes) != nullptr) continue;
    ++good;
    std::size_t pairs = 0;
    for (const auto [key, value] : MetadataView(bytes)) {
      ++pairs;
      ASSERT_FALSE(key.empty());
      ASSERT_GE(key.data(), reinterpret_cast<const char*>(bytes.data()));
      ASSERT_LE(value.data() + value.size(), reinterpret_cast<const char*>(bytes.data() + bytes.size()));
    }
    ASSERT_EQ(pairs, MetadataView(bytes).size());
  }
  EXPECT_GT(good, kRounds / 10);
  EXPECT_LT(good, kRounds);
}

}  // namespace
}  // namespace taut::rpc::testing
