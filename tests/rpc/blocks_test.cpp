// Messages in the arena: read where they were written, given back when they were read, and harmless when a peer lies
// about where they are.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ring::Lane;

constexpr std::size_t kMegabyte = 1 << 20;

std::string text_of(std::size_t bytes, char with) { return std::string(bytes, with); }

// The arena of each side holds three and a half of the megabytes.
class BlocksTest : public ::testing::Test {
 protected:
  bool inside(int side, std::string_view bytes) {
    const std::span<const std::byte> arena = pair.memory().arena(side).own;
    const auto* at = reinterpret_cast<const std::byte*>(bytes.data());
    return at >= arena.data() && at + bytes.size() <= arena.data() + arena.size();
  }
  std::uint64_t released(int side) { return pair.memory().releases(side).count.load(); }
  JoinedPair pair{"?arena=3584KiB"};
};

TEST_F(BlocksTest, TheHandlerReadsTheRequestWhereItWasWritten) {
  CallClaim claim = pair.client->claim(kEcho, kMegabyte);
  ASSERT_TRUE(claim);
  const std::byte* const written = claim.payload();
  std::memset(claim.payload(), 'x', kMegabyte);
  const std::byte* seen = nullptr;
  pair.service.on[kEcho] = [&](std::string_view request, RawReply reply) {
    seen = reinterpret_cast<const std::byte*>(request.data());
    EXPECT_EQ(request, text_of(kMegabyte, 'x'));
    EXPECT_EQ(released(1), 0u) << "it is the handler's until that returns";
    answer(reply, "done");
  };
  send_call(std::move(claim), kMegabyte, {});
  pair.settle();
  EXPECT_EQ(seen, written);
  EXPECT_EQ(released(1), 1u);
  EXPECT_EQ(pair.client_counters().pieces_sent.value(), 0u);
  EXPECT_EQ(pair.client_counters().buffers_allocated.value(), 0u);
}

TEST_F(BlocksTest, ACallbackReadsTheAnswerWhereItWasWritten) {
  pair.service.on[kEcho] = [](std::string_view, RawReply reply) { answer(reply, text_of(kMegabyte, 'y')); };
  bool in_place = false;
  send_call(pair.client->filled(kEcho, "x"), 1, {}).then([&](const RawAnswer& answer) {
    in_place = answer.status.ok() && inside(1, as_text(answer.payload));
  });
  pair.settle();
  EXPECT_TRUE(in_place);
  EXPECT_EQ(released(0), 1u);
}

TEST_F(BlocksTest, AWaitKeepsItsAnswer) {
  pair.server_turns_in_waits();
  for (char c = 'a'; c != 'k'; ++c) {
    const Outcome outcome = pair.client->wait(kEcho, text_of(kMegabyte, c));
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    ASSERT_TRUE(outcome.payload == text_of(kMegabyte, c));
  }
  EXPECT_EQ(released(0), 10u);
  EXPECT_EQ(released(1), 10u);
}

TEST_F(BlocksTest, BlocksThatCameBackAreUsedAgain) {
  for (int i = 0; i != 200; ++i) {
    const std::string text = text_of(kMegabyte + static_cast<std::size_t>(i) * 1000, 'z');
    const Outcome& outcome = pair.client->call(kEcho, text);
    pair.settle();
    ASSERT_TRUE(outcome.payload == text) << i << ": " << outcome.status;
  }
  EXPECT_EQ(pair.client_counters().pieces_sent.value() + pair.server_counters().pieces_sent.value(), 0u);
}

TEST_F(BlocksTest, AFullArenaSendsPieces) {
  std::vector<const Outcome*> outcomes;
  for (int i = 0; i != 5; ++i) outcomes.push_back(&pair.client->call(kEcho, text_of(kMegabyte, 'p')));
  EXPECT_GT(pair.client_counters().pieces_sent.value(), 0u);
  pair.settle();
  for (const Outcome* outcome : outcomes) EXPECT_TRUE(outcome->payload == text_of(kMegabyte, 'p')) << outcome->status;
}

TEST_F(BlocksTest, AClaimThatIsDroppedGivesItsBlockBack) {
  for (int i = 0; i != 100; ++i) {
    const CallClaim claim = pair.client->claim(kEcho, 3 * kMegabyte);
    ASSERT_TRUE(claim && inside(0, {reinterpret_cast<const char*>(claim.payload()), 3 * kMegabyte})) << i;
  }
}

TEST_F(BlocksTest, OneWhoseCallTimedOutComesBackWithItsLateAnswer) {
  Held held;
  pair.service.on[kEcho] = held.handler();
  const Outcome& outcome = pair.client->call(kEcho, "x", {.timeout = 5ms});
  pair.settle();
  pair.pass(5ms);
  pair.settle();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
  answer(held.replies[0], text_of(kMegabyte, 'l'));
  pair.settle();
  EXPECT_EQ(released(0), 1u);
  EXPECT_EQ(pair.client_counters().answers_late.value(), 1u);
}

TEST_F(BlocksTest, InAWaitForAnotherTheyAreKeptOrGivenBack) {
  pair.service.on[kEcho] = [](std::string_view, RawReply reply) { answer(reply, text_of(kMegabyte, 'k')); };
  send_call(pair.client->filled(kEcho, "x"), 1, {});  // nobody listens
  const Outcome& kept = pair.client->call(kEcho, "x");
  pair.server_turns_in_waits();
  EXPECT_ANSWERED(pair.client->wait(kSmall, "small"), "small");
  EXPECT_FALSE(kept.ended());
  EXPECT_EQ(released(0), 1u);
  pair.settle();
  EXPECT_TRUE(kept.payload == text_of(kMegabyte, 'k')) << kept.status;
  EXPECT_EQ(released(0), 2u);
}

TEST(CopiedBlocksTest, AreReadFromPrivateMemory) {
  JoinedPair pair("?arena=3584KiB&check=copy&message_max=2MiB");
  std::span<const std::byte> arena = pair.memory().arena(0).own;
  int in_place = 0;
  pair.service.on[kEcho] = [&](std::string_view request, RawReply reply) {
    const auto* at = reinterpret_cast<const std::byte*>(request.data());
    in_place += at >= arena.data() && at < arena.data() + arena.size() ? 1 : 0;
    answer(reply, request);
  };
  const Outcome& outcome = pair.client->call(kEcho, text_of(kMegabyte, 'c'));
  const Outcome& too_big = pair.client->call(kEcho, text_of(2 * kMegabyte + 1, 'c'));
  pair.settle();
  EXPECT_TRUE(outcome.payload == text_of(kMegabyte, 'c')) << outcome.status;
  EXPECT_EQ(in_place, 0);
  EXPECT_ENDED(too_big, Code::resource_exhausted, Ran::no, Why::too_big);
}

TEST(ArenaTest, OfOneMessageIsRefusedWhatNeitherArenaNorPeerTakes) {
  JoinedPair pair("?arena=64KiB&message_max=1MiB");
  const Outcome& outcome = pair.client->call(kEcho, text_of(2 * kMegabyte, 'n'));
  pair.settle();
  EXPECT_ENDED(outcome, Code::out_of_range, Ran::no, Why::too_big);
}

// --- lies

struct Place {
  const char* name;
  std::uint64_t offset, bytes;
};
class BlockLieTest : public BlocksTest, public ::testing::WithParamInterface<Place> {};

TEST_P(BlockLieTest, EndsTheLink) {
  const std::shared_ptr<JoinedMemory> first = pair.joint.made().memory;
  const Outcome& outcome = pair.client->call(kEcho, text_of(kMegabyte, 'x'));
  std::byte* record = pair.memory().lane(0, Lane::normal).out_ring;
  std::memcpy(record + ring::kBlocksAt, &GetParam().offset, 8);
  std::memcpy(record + ring::kBlocksAt + 8, &GetParam().bytes, 8);
  pair.settle_links();
  EXPECT_EQ(pair.service.received[kEcho], 0);
  EXPECT_EQ(first->counters(1).violations.value(), 1u);
  EXPECT_EQ(outcome.ends, 1);
}
INSTANTIATE_TEST_SUITE_P(Of, BlockLieTest,
                         ::testing::Values(Place{"behind_the_arena", 3584 * 1024, 64},
                                           Place{"across_its_end", 3584 * 1024 - 64, 65},
                                           Place{"beyond_memory", ~std::uint64_t{63}, 64},
                                           Place{"a_sum_that_wraps", 64, ~std::uint64_t{0}}, Place{"no_bytes", 64, 0},
                                           Place{"not_aligned", 65, 64}),
                         [](const auto& info) { return std::string(info.param.name); });

class ReleaseLieTest : public BlocksTest {
 protected:
  void expect_the_next_claim_ends_the_link() {
    const std::shared_ptr<JoinedMemory> first = pair.joint.made().memory;
    (void)pair.client->claim(kEcho, kMegabyte);
    pair.settle_links();
    EXPECT_EQ(first->counters(0).violations.value(), 1u);
    EXPECT_TRUE(first->ended);
  }
};
TEST_F(ReleaseLieTest, OfMoreBlocksThanAreOut) {
  pair.memory().releases(1).count.store(1);
  expect_the_next_claim_ends_the_link();
}
TEST_F(ReleaseLieTest, OfABlockThatIsNotOut) {
  pair.client->call(kEcho, text_of(kMegabyte, 'x'));
  pair.memory().releases(1).blocks[0].store(12345);
  pair.memory().releases(1).count.store(1);
  expect_the_next_claim_ends_the_link();
}
TEST_F(ReleaseLieTest, OfOneBlockTwice) {
  pair.client->call(kEcho, text_of(kMegabyte, 'x'));
  pair.client->call(kEcho, text_of(kMegabyte, 'x'));
  std::uint64_t block;
  std::memcpy(&block, pair.memory().lane(0, Lane::normal).out_ring + ring::kBlocksAt, 8);
  pair.memory().releases(1).blocks[0].store(block);
  pair.memory().releases(1).blocks[1].store(block);
  pair.memory().releases(1).count.store(2);
  expect_the_next_claim_ends_the_link();
}
TEST_F(ReleaseLieTest, OfACountThatGoesBack) {
  pair.client->call(kEcho, text_of(kMegabyte, 'x'));
  pair.memory().releases(1).count.store(~std::uint64_t{0});
  expect_the_next_claim_ends_the_link();
}

}  // namespace
}  // namespace taut::rpc::testing
