// Ends that lie in every word they share. The answer is a violation on this end and nothing else: no record, no store,
// no byte read outside the ring.
#include <gtest/gtest.h>

#include "lane.h"
#include "support/seed.h"

namespace taut::ring::testing {
namespace {

class HostileTest : public ::testing::TestWithParam<u64> {
 protected:
  OneWay lane{GetParam()};

  void expect_violation(u32 at, u64 word) {
    OneWay fresh{GetParam()};
    fresh.advance_to(at);
    fresh.write_head(at, word);
    EXPECT_FALSE(fresh.reader.next());
    EXPECT_TRUE(fresh.reader.violated()) << std::hex << word << " at " << at;
    // The end of the ring: what looks good afterwards is not believed either.
    for (u32 i = 0; i != kRing; i += kStep) fresh.write_head(i, Head::make(kStep, Kind::request).word);
    EXPECT_FALSE(fresh.reader.next());
    EXPECT_TRUE(fresh.reader.violated());
  }
  void expect_record(u32 at, u64 word) {
    OneWay fresh{GetParam()};
    fresh.advance_to(at);
    fresh.write_head(at, word);
    const Record record = fresh.reader.next();
    EXPECT_EQ(record.head.word, word);
    EXPECT_EQ(fresh.reader.at(record), at);
    EXPECT_FALSE(fresh.reader.violated());
  }
  static u64 word(u32 bytes, u32 kind) { return Head::make(bytes, static_cast<Kind>(kind)).word; }
};
INSTANTIATE_TEST_SUITE_P(Start, HostileTest, ::testing::ValuesIn(kStarts),
                         [](const auto& info) { return start_name(info.param); });

constexpr u32 kRequest = static_cast<u32>(Kind::request);
constexpr u32 kPad = static_cast<u32>(Kind::pad);

TEST_P(HostileTest, ARecordIsAtLeastAHeader) {
  for (u32 bytes = 0; bytes != kHeaderMin; ++bytes) expect_violation(0, word(bytes, kRequest));
  expect_record(0, word(kHeaderMin, kRequest));
}

TEST_P(HostileTest, ARecordIsAtMostAQuarter) {
  for (const u32 bytes : {kLargest + 1, 2 * kLargest, kRing, 1u << 31, ~0u}) {
    expect_violation(0, word(bytes, kRequest));
  }
  expect_record(0, word(kLargest, kRequest));
}

TEST_P(HostileTest, ARecordDoesNotCrossTheEnd) {
  expect_violation(kRing - kStep, word(kStep + 1, kRequest));
  expect_violation(kRing - 4 * kStep, word(kLargest, kRequest));
  expect_violation(kRing - 4 * kStep, word(4 * kStep + 16, kRequest));
  expect_record(kRing - 4 * kStep, word(4 * kStep, kRequest));
  expect_record(kRing - kStep, word(kStep, kRequest));
}

TEST_P(HostileTest, AKindIsKnownOrMayBeSkipped) {
  for (u32 kind = 0; kind != 256; ++kind) {
    if (kind == kPad) continue;
    SCOPED_TRACE(kind);
    const bool good = (kind >= kRequest && kind < kKindCount) || kind >= kKindMayBeSkipped;
    good ? expect_record(0, word(kStep, kind)) : expect_violation(0, word(kStep, kind));
  }
}

TEST_P(HostileTest, APadLeadsExactlyToTheStart) {
  expect_violation(0, word(kRing, kPad));
  expect_violation(0, word(0, kPad));
  const u32 at = kRing - 3 * kStep;
  for (const u32 bytes : {0u, kStep, 2 * kStep, 3 * kStep - 1, 3 * kStep + 1, 4 * kStep, ~0u}) {
    expect_violation(at, word(bytes, kPad));
  }
}

TEST_P(HostileTest, APadLeadsToARecord) {
  const u32 at = kRing - 3 * kStep;
  for (const u64 follower :
       {u64{0}, word(kRing, kPad), word(kStep, kPad), word(8, kRequest), word(kLargest + 1, kRequest)}) {
    OneWay fresh{GetParam()};
    fresh.advance_to(at);
    fresh.write_head(0, follower);
    fresh.write_head(at, word(3 * kStep, kPad));
    EXPECT_FALSE(fresh.reader.next());
    EXPECT_TRUE(fresh.reader.violated()) << std::hex << follower;
    fresh.write_head(0, word(kStep, kRequest));
    EXPECT_FALSE(fresh.reader.next()) << "a violation is not forgotten";
  }
}

TEST_P(HostileTest, RecordsBeforeALieAreDelivered) {
  EXPECT_EQ(lane.try_send(kStep, 1), Refusal::none);
  lane.write_head(static_cast<u32>(lane.writer.position()) % kRing, word(3, kRequest));
  const Record record = lane.reader.next();
  EXPECT_TRUE(lane.holds(record, 1));
  EXPECT_FALSE(lane.reader.next());
  EXPECT_TRUE(lane.reader.violated());
  lane.reader.release(record.end);
  EXPECT_EQ(lane.reader.position(), record.end);
}

TEST_P(HostileTest, NoHeadLeadsOutsideTheRing) {
  taut::testing::Random random;
  for (u32 i = 0; i != 100'000; ++i) {
    OneWay& fresh = lane;
    // Half of the words are near what is allowed: few bytes, few kinds.
    const u64 any = random.word();
    const u64 near = word(static_cast<u32>(random.below(kRing + 2)), static_cast<u32>(random.below(kKindCount + 1)));
    const u32 at = static_cast<u32>(random.below(kRing / kStep)) * kStep;
    Reader<NativeReaderMemory> reader({fresh.ring(), &fresh.words.released}, {.ring_bytes = kRing, .first = at});
    fresh.write_head(at, random.one_in(2) ? any : near);
    fresh.write_head(0, random.one_in(2) ? fresh.head_at(0) : near);
    if (const Record record = reader.next()) {
      ASSERT_GE(record.head.bytes(), kHeaderMin);
      ASSERT_LE(record.head.bytes(), kLargest);
      ASSERT_LE(reader.at(record) + record.head.bytes(), kRing);
      ASSERT_EQ(record.end % kStep, 0u);
      ASSERT_FALSE(reader.violated());
    } else {
      ASSERT_TRUE(reader.violated() || fresh.head_at(at) == 0);
    }
    fresh.write_head(at, 0);
    fresh.write_head(0, 0);
  }
}

TEST_P(HostileTest, TheReadersCounterIsReadOnlyWhenTheRingIsFull) {
  lane.say_released(GetParam() + 1);
  EXPECT_EQ(lane.fill_up(), kRing / kStep - 1) << "a lie that nobody needed to read";
  EXPECT_EQ(lane.writer.claim(kStep).refusal, Refusal::violation);
}

// Memory that the other process changes between two loads: each load of a head is answered with the next word.
struct ChangingHeads {
  std::vector<u64> words;
  u32 loads = 0;
};
struct ChangingMemory {
  ChangingHeads* heads;
  u64 load_head(u32, Order) const noexcept { return heads->words.at(heads->loads++); }
  void store_released(u64, Order) noexcept {}
};

TEST(ChangingHeads, AHeadIsLoadedOnce) {
  ChangingHeads heads{{Head::make(kStep, Kind::request).word, Head::make(kRing, Kind::request).word}};
  Reader<ChangingMemory> reader({&heads}, {.ring_bytes = kRing, .first = 0});
  EXPECT_EQ(reader.next().head.bytes(), kStep);
  EXPECT_EQ(heads.loads, 1u);
}

TEST(ChangingHeads, APadAtTheStartIsRefusedWhateverIsThereNext) {
  ChangingHeads heads{{Head::make(kRing, Kind::pad).word, Head::make(kStep, Kind::request).word}};
  Reader<ChangingMemory> reader({&heads}, {.ring_bytes = kRing, .first = 0});
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.violated());
}

// The writer believes `released` only inside [what it has seen, its own position].
class LyingReaderTest : public HostileTest {
 protected:
  void SetUp() override {
    // Seen is 10 lines on, the position a whole ring further: the next claim must ask.
    lane.advance(10);
    lane.fill_up();
    (void)lane.writer.has_free(1);
    seen_ = GetParam() + 10 * kStep;
    before_ = lane.snapshot();
  }
  void expect_violation(u64 released) {
    lane.say_released(released);
    EXPECT_FALSE(lane.writer.has_free(kStep));
    const u64 touched = lane.touched();
    const Claim claim = lane.writer.claim(kStep);
    EXPECT_FALSE(claim);
    EXPECT_EQ(claim.refusal, Refusal::violation) << released - seen_;
    EXPECT_EQ(lane.snapshot(), before_);
    EXPECT_EQ(lane.touched(), touched);
  }
  u64 seen_ = 0;
  std::vector<std::byte> before_;
};
INSTANTIATE_TEST_SUITE_P(Start, LyingReaderTest, ::testing::ValuesIn(kStarts),
                         [](const auto& info) { return start_name(info.param); });

TEST_P(LyingReaderTest, ReleasedBeyondThePositionIsAViolation) {
  const u64 position = lane.writer.position();
  expect_violation(position + kStep);
  expect_violation(position + kRing);
  expect_violation(position + (u64{1} << 63));
}

TEST_P(LyingReaderTest, ReleasedBehindWhatWasSeenIsAViolation) {
  expect_violation(seen_ - kStep);
  expect_violation(seen_ - kRing);
}

TEST_P(LyingReaderTest, ReleasedBetweenLinesIsAViolation) {
  for (const u32 off : {1u, 8u, 16u, 32u, 63u}) expect_violation(seen_ + kStep + off);
}

TEST_P(LyingReaderTest, ReleasedAtEitherBoundIsBelieved) {
  lane.say_released(seen_);
  EXPECT_EQ(lane.writer.claim(kStep).refusal, Refusal::full);
  lane.say_released(lane.writer.position());
  EXPECT_TRUE(lane.writer.has_free(kRing - kStep));
  EXPECT_TRUE(lane.writer.claim(kLargest));
}

TEST_P(LyingReaderTest, AWriterThatHasRoomDoesNotAsk) {
  lane.say_released(lane.writer.position());
  EXPECT_TRUE(lane.writer.claim(kStep));
  lane.say_released(seen_ - kStep);
  EXPECT_TRUE(lane.writer.claim(kStep));
}

}  // namespace
}  // namespace taut::ring::testing
