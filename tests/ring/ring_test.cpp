// What the ring promises to two ends that keep the rules. Ends that lie: hostile_test.cpp.
#include <gtest/gtest.h>

#include <deque>
#include <type_traits>

#include "lane.h"
#include "support/seed.h"

namespace taut::ring::testing {
namespace {

class RingTest : public ::testing::TestWithParam<u64> {
 protected:
  static u64 word_at(const std::byte* from, u32 at) {
    u64 word;
    std::memcpy(&word, from + at, sizeof word);
    return word;
  }
  OneWay lane{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Start, RingTest, ::testing::ValuesIn(kStarts),
                         [](const auto& info) { return start_name(info.param); });

TEST_P(RingTest, AFreshRingIsEmptyAndFree) {
  EXPECT_FALSE(lane.reader.next());
  EXPECT_FALSE(lane.reader.waiting());
  EXPECT_FALSE(lane.reader.violated());
  EXPECT_EQ(lane.released(), GetParam());
  EXPECT_EQ(lane.touched(), GetParam());
  EXPECT_TRUE(lane.writer.has_free(kRing - kStep));
  EXPECT_FALSE(lane.writer.has_free(kRing - kStep + 1));
}

TEST_P(RingTest, ARecordArrivesWithItsHeadAndItsBytes) {
  const Head head = Head::make(100, Kind::reply, flag::your_id | flag::more_pieces, 0xa55a);
  const Claim claim = lane.writer.claim(100);
  lane.fill(claim, 100, 7);
  lane.writer.send(claim, head);
  EXPECT_TRUE(lane.reader.waiting());
  const Record record = lane.reader.next();
  EXPECT_EQ(record.head.word, head.word);
  EXPECT_EQ(record.head.bytes(), 100u);
  EXPECT_EQ(record.head.kind(), Kind::reply);
  EXPECT_EQ(record.head.flags(), flag::your_id | flag::more_pieces);
  EXPECT_EQ(record.head.detail(), 0xa55a);
  EXPECT_EQ(record.end, GetParam() + 2 * kStep);
  EXPECT_TRUE(lane.holds(record, 7));
  EXPECT_FALSE(lane.reader.next());
}

// The words behind the head come from the writer, the rest from an image beside the ring or from the claim itself.
TEST_P(RingTest, ARecordWrittenElsewhereArrivesWhole) {
  std::memset(lane.ring(), 0xee, kRing);  // as if a lap had been written
  lane.write_head(static_cast<u32>(GetParam()) % kRing, 0);
  for (const u32 bytes : {32u, 64u, 65u, 200u, 256u}) {
    alignas(kStep) std::byte image[256];
    for (u32 i = 0; i != sizeof image; ++i) image[i] = OneWay::byte_of(bytes, i);
    const u64 words[2] = {word_at(image, 8), word_at(image, 16)};
    std::memset(image, 0xee, 24);
    for (const bool copied : {true, false}) {
      const Claim claim = lane.writer.claim(bytes);
      lane.scribble(claim);
      const Head head = Head::make(bytes, Kind::request);
      if (copied) {
        lane.writer.send_copy(claim, head, image, words[0], words[1]);
      } else {
        lane.fill(claim, bytes, bytes);
        std::memset(lane.ring() + claim.at + sizeof head, 0xee, sizeof words);
        lane.writer.send_in_place(claim, head, words[0], words[1]);
      }
      const Record record = lane.reader.next();
      EXPECT_EQ(record.head.word, head.word);
      EXPECT_TRUE(lane.holds(record, bytes)) << bytes << (copied ? " copied" : " in place");
      EXPECT_FALSE(lane.reader.next());
      lane.reader.release(record.end);
      lane.reader.idle();
    }
  }
}

TEST_P(RingTest, AnEmptyClaimIsFalseAndAClaimHoldsWholeLines) {
  EXPECT_FALSE(Claim{});
  EXPECT_EQ(Claim{}.refusal, Refusal::full);
  for (const u32 bytes : {1u, 16u, 63u, 64u}) EXPECT_EQ(lane.writer.claim(bytes).room, kStep);
  EXPECT_EQ(lane.writer.claim(65).room, 2 * kStep);
  EXPECT_EQ(lane.writer.claim(kLargest).room, kLargest);
}

TEST_P(RingTest, WhatCanNeverFitIsTooBig) {
  // At first the writer has to look at every limit; behind a claim it knows of room without looking.
  for (u32 round = 0; round != 2; ++round) {
    for (const u32 bytes : {0u, kLargest + 1, kRing, kRing + 1, ~0u - 63, ~0u}) {
      EXPECT_EQ(lane.writer.claim(bytes).refusal, Refusal::too_big) << bytes << " in round " << round;
    }
    EXPECT_TRUE(lane.writer.claim(kLargest));
    lane.advance_to(0);
    EXPECT_TRUE(lane.writer.claim(kStep));
  }
}

TEST_P(RingTest, ADroppedClaimChangesNothing) {
  lane.advance(3);
  const u64 position = lane.writer.position();
  for (const u32 bytes : {kLargest, kStep, kLargest}) {
    const Claim claim = lane.writer.claim(bytes);
    lane.scribble(claim);
    EXPECT_FALSE(lane.reader.next());
    EXPECT_EQ(lane.writer.position(), position);
  }
  EXPECT_EQ(lane.try_send(kStep, 5), Refusal::none);
  EXPECT_TRUE(lane.holds(lane.reader.next(), 5));
  EXPECT_FALSE(lane.reader.next()) << "the successor's head must be zeroed although a dropped claim wrote there";
}

TEST_P(RingTest, ADroppedClaimWithAPadChangesNothing) {
  lane.advance_to(kRing - kStep);
  const Claim claim = lane.writer.claim(2 * kStep);
  EXPECT_EQ(claim.pad, kStep);
  EXPECT_EQ(claim.at, 0u);
  lane.scribble(claim);
  EXPECT_FALSE(lane.reader.next());
  const Claim again = lane.writer.claim(2 * kStep);
  EXPECT_EQ(again.pad, kStep) << "a claim across the end of the ring";
  EXPECT_EQ(again.at, 0u);
  EXPECT_EQ(lane.try_send(kStep, 1), Refusal::none);
  EXPECT_EQ(lane.try_send(kStep, 2), Refusal::none);
  EXPECT_TRUE(lane.holds(lane.reader.next(), 1));
  EXPECT_TRUE(lane.holds(lane.reader.next(), 2));
  EXPECT_FALSE(lane.reader.next());
}

TEST_P(RingTest, AShrunkClaimEndsWhereItsRecordEnds) {
  const Claim claim = lane.writer.claim(5 * kStep);
  lane.scribble(claim);
  lane.fill(claim, 70, 1);
  lane.writer.send(claim, Head::make(70, Kind::item));
  EXPECT_EQ(lane.writer.position(), GetParam() + 2 * kStep);
  EXPECT_TRUE(lane.holds(lane.reader.next(), 1));
  EXPECT_FALSE(lane.reader.next()) << "the bytes that the shrink gave up were taken for a head";
  EXPECT_EQ(lane.try_send(kStep, 2), Refusal::none);
  EXPECT_TRUE(lane.holds(lane.reader.next(), 2));
}

TEST_P(RingTest, AFullRingRefusesAndStaysUnchanged) {
  EXPECT_EQ(lane.fill_up(), kRing / kStep - 1) << "one line stays free: the successor's head";
  const auto before = lane.snapshot();
  const u64 touched = lane.touched();
  for (const u32 bytes : {kStep, 2 * kStep, kLargest}) EXPECT_EQ(lane.writer.claim(bytes).refusal, Refusal::full);
  EXPECT_EQ(lane.snapshot(), before);
  EXPECT_EQ(lane.touched(), touched);
  EXPECT_TRUE(lane.writer.has_free(0));
  EXPECT_FALSE(lane.writer.has_free(1));
  for (u32 i = 0; i != kRing / kStep - 1; ++i) EXPECT_TRUE(lane.holds(lane.reader.next(), i)) << i;
  EXPECT_FALSE(lane.reader.next());
}

TEST_P(RingTest, ARecordThatWouldCrossTheEndGoesToTheStartBehindAPad) {
  lane.advance_to(kRing - 3 * kStep);
  const u64 position = lane.writer.position();
  EXPECT_EQ(lane.try_send(4 * kStep, 9), Refusal::none);
  EXPECT_EQ(lane.head_at(kRing - 3 * kStep), Head::make(3 * kStep, Kind::pad).word);
  EXPECT_EQ(lane.writer.position(), position + 7 * kStep);
  const Record record = lane.reader.next();
  EXPECT_EQ(lane.reader.at(record), 0u);
  EXPECT_EQ(record.end, position + 7 * kStep);
  EXPECT_TRUE(lane.holds(record, 9));
}

TEST_P(RingTest, ARecordThatEndsAtTheEndNeedsNoPad) {
  lane.advance_to(kRing - 4 * kStep);
  EXPECT_EQ(lane.writer.claim(4 * kStep).pad, 0u);
  EXPECT_EQ(lane.try_send(4 * kStep, 9), Refusal::none);
  EXPECT_EQ(lane.reader.at(lane.reader.next()), kRing - 4 * kStep);
}

TEST_P(RingTest, AQuarterOfTheRingAlwaysFitsOnceAllIsReadFromEveryOffset) {
  for (u32 offset = 0; offset != kRing; offset += kStep) {
    for (u32 held = 0; held <= kLargest; held += kStep) {
      lane.advance_to(offset);
      // `held` bytes that the reader released without saying so, since they are less than a quarter.
      ASSERT_TRUE(held == 0 || lane.try_send(held) == Refusal::none);
      lane.drain();
      ASSERT_EQ(lane.try_send(kLargest, 3), Refusal::none) << "offset " << offset << ", after " << held;
      ASSERT_TRUE(lane.holds(lane.reader.next(), 3));
      lane.reader.release(lane.writer.position());
      lane.reader.idle();
    }
  }
}

TEST_P(RingTest, AReserveIsLeftFreeAndCanBeUsed) {
  const u32 reserve = 10 * kStep;
  while (const Claim claim = lane.writer.claim(kStep, reserve)) lane.writer.send(claim, Head::make(kStep, Kind::item));
  EXPECT_TRUE(lane.writer.has_free(reserve));
  EXPECT_FALSE(lane.writer.has_free(reserve + 1));
  for (u32 i = 0; i != 10; ++i) EXPECT_EQ(lane.try_send(kStep), Refusal::none) << i;
  EXPECT_EQ(lane.try_send(kStep), Refusal::full);
}

TEST_P(RingTest, TheWriterHearsOfReleasesAQuarterLater) {
  lane.fill_up();
  u64 end = GetParam();
  for (u32 bytes = kStep; bytes <= kRing / 2; bytes += kStep) {
    end = lane.reader.next().end;
    lane.reader.release(end);
    EXPECT_EQ(lane.released(), GetParam() + bytes / kLargest * kLargest);
  }
}

TEST_P(RingTest, AnIdleReaderPublishesWhatItHeldBack) {
  (void)lane.try_send(kStep);
  lane.reader.release(lane.reader.next().end);
  EXPECT_EQ(lane.released(), GetParam());
  lane.reader.idle();
  EXPECT_EQ(lane.released(), GetParam() + kStep);
}

struct CountingMemory {
  u32* stores;
  u64 load_head(u32, Order) const noexcept { return 0; }
  void store_released(u64, Order) noexcept { ++*stores; }
};

TEST_P(RingTest, AnIdleReaderStoresOnlyNews) {
  u32 stores = 0;
  Reader<CountingMemory> reader({&stores}, {.ring_bytes = kRing, .first = GetParam()});
  stores = 0;
  for (u32 i = 0; i != 3; ++i) reader.idle();
  EXPECT_EQ(stores, 0u);
  reader.release(GetParam() + kStep);
  for (u32 i = 0; i != 3; ++i) reader.idle();
  EXPECT_EQ(stores, 1u);
}

TEST_P(RingTest, ReadAheadKeepsRecordsInPlaceUntilTheyAreReleasedInOrder) {
  const u32 count = lane.fill_up();
  std::deque<Record> held;
  for (u32 i = 0; i != count; ++i) held.push_back(lane.reader.next());
  EXPECT_FALSE(lane.reader.next());
  EXPECT_FALSE(lane.reader.waiting()) << "what was read does not wait";
  lane.reader.idle();
  EXPECT_EQ(lane.try_send(kStep), Refusal::full) << "read is not released";
  for (u32 i = 0; i != count; ++i) {
    EXPECT_TRUE(lane.holds(held[i], i));
    lane.reader.release(held[i].end);
    lane.reader.idle();
    EXPECT_EQ(lane.try_send(kStep, count + i), Refusal::none);
    EXPECT_TRUE(i + 1 == count || lane.holds(held[i + 1], i + 1)) << "overwritten before it was released";
  }
}

TEST_P(RingTest, ABatchShowsAllItsRecordsAtOnce) {
  lane.advance_to(kRing - kStep);
  lane.writer.begin_batch();
  for (u32 i = 0; i != 5; ++i) {
    EXPECT_EQ(lane.try_send(2 * kStep, i), Refusal::none);  // the first one behind a pad
    EXPECT_FALSE(lane.reader.next());
    EXPECT_FALSE(lane.reader.waiting());
  }
  lane.writer.end_batch();
  for (u32 i = 0; i != 5; ++i) EXPECT_TRUE(lane.holds(lane.reader.next(), i)) << i;
  EXPECT_FALSE(lane.reader.next());
}

TEST_P(RingTest, AnEmptyBatchChangesNothingAndBatchesFollowEachOther) {
  const auto before = lane.snapshot();
  lane.writer.begin_batch();
  lane.writer.end_batch();
  EXPECT_EQ(lane.snapshot(), before);
  for (u32 i = 0; i != 3; ++i) {
    lane.writer.begin_batch();
    EXPECT_EQ(lane.try_send(kStep, i), Refusal::none);
    EXPECT_FALSE(lane.reader.next());
    lane.writer.end_batch();
    EXPECT_TRUE(lane.holds(lane.reader.next(), i));
  }
  EXPECT_EQ(lane.try_send(kStep, 9), Refusal::none);
  EXPECT_TRUE(lane.holds(lane.reader.next(), 9)) << "outside a batch a record shows at once";
}

TEST_P(RingTest, TouchedMovesAheadOfTheBytesOnceAQuarter) {
  lane.fill_up();  // so that every line is a head or payload of some lap
  lane.drain();
  u32 moves = 0;
  const u32 laps = 8;
  for (u32 i = 0; i != laps * kRing / (2 * kStep); ++i) {
    const u64 before = lane.touched();
    const Claim claim = lane.writer.claim(2 * kStep);
    ASSERT_TRUE(claim);
    // What the claim's owner may now overwrite, with the successor's head.
    const u64 end = lane.writer.position() + claim.pad + claim.room + kStep;
    EXPECT_GE(static_cast<std::int64_t>(lane.touched() - end), 0);
    EXPECT_LT(static_cast<std::int64_t>(lane.touched() - end), kLargest);
    EXPECT_EQ(lane.touched() % kLargest, 0u);
    moves += lane.touched() != before;
    lane.writer.send(claim, Head::make(2 * kStep, Kind::item));
    lane.drain();
  }
  EXPECT_LE(moves, laps * 4 + 1);
}

// What a ring of this shape must do, kept in containers.
struct Expected {
  u64 number;
  u32 bytes;
};

TEST_P(RingTest, ARandomRunMatchesADeque) {
  taut::testing::Random random;
  std::deque<Expected> visible, batch;
  std::deque<std::pair<Record, Expected>> held;
  u64 pos = GetParam(), rpos = pos, published = pos, number = 0;
  bool batching = false;
  for (u32 step = 0; step != 200'000; ++step) {
    SCOPED_TRACE(step);
    switch (random.below(8)) {
      case 0:
        if (random.one_in(4)) {
          batching ? lane.writer.end_batch() : lane.writer.begin_batch();
          batching = !batching;
          for (; !batching && !batch.empty(); batch.pop_front()) visible.push_back(batch.front());
        }
        break;
      case 1:
      case 2:
      case 3: {
        const u32 bytes = 16 + static_cast<u32>(random.below(random.one_in(4) ? kLargest : 3 * kStep));
        const u32 reserve = random.one_in(4) ? static_cast<u32>(random.below(kRing / 2)) : 0;
        const Claim claim = lane.writer.claim(bytes, reserve);
        if (bytes > kLargest) {
          ASSERT_EQ(claim.refusal, Refusal::too_big);
          break;
        }
        const u32 left = kRing - static_cast<u32>(pos % kRing);
        const u32 pad = up(bytes) <= left ? 0 : left;
        const bool fits = pos - published + pad + up(bytes) + kStep + reserve <= kRing;
        ASSERT_EQ(claim.refusal, fits ? Refusal::none : Refusal::full);
        if (!fits) break;
        ASSERT_EQ(claim.at, pad == 0 ? pos % kRing : 0);
        lane.scribble(claim);
        if (random.one_in(4)) break;  // dropped
        const u32 kept = random.one_in(3) ? 16 + static_cast<u32>(random.below(bytes - 15)) : bytes;
        lane.fill(claim, kept, number);
        lane.writer.send(claim, Head::make(kept, Kind::request));
        (batching ? batch : visible).push_back({number++, kept});
        pos += pad + up(kept);
        ASSERT_EQ(lane.writer.position(), pos);
        break;
      }
      case 4:
      case 5: {
        const Record record = lane.reader.next();
        ASSERT_FALSE(lane.reader.violated());
        ASSERT_EQ(static_cast<bool>(record), !visible.empty());
        if (!record) {
          lane.reader.idle();
          published = rpos;
          break;
        }
        ASSERT_EQ(record.head.bytes(), visible.front().bytes);
        ASSERT_TRUE(lane.holds(record, visible.front().number));
        held.emplace_back(record, visible.front());
        visible.pop_front();
        break;
      }
      default:
        if (held.empty()) break;
        ASSERT_TRUE(lane.holds(held.front().first, held.front().second.number));
        rpos = held.front().first.end;
        lane.reader.release(rpos);
        held.pop_front();
        if (rpos - published >= kLargest) published = rpos;
    }
    ASSERT_EQ(lane.released(), published);
    ASSERT_EQ(lane.reader.position(), rpos);
    ASSERT_LE(pos - published, kRing - kStep);
  }
}

TEST(Record, HeadsAndLinesAreWhatTheFormatSays) {
  static_assert(std::is_trivially_copyable_v<Claim> && std::is_trivially_copyable_v<Record>);
  EXPECT_EQ(up(0u), 0u);
  EXPECT_EQ(up(1u), 64u);
  EXPECT_EQ(up(64u), 64u);
  EXPECT_EQ(up(65u), 128u);
  EXPECT_EQ(Head::make(0x11223344, Kind::drain, 0x55, 0x6677).word, 0x6677550a11223344u);
  EXPECT_FALSE(Head{});
}

}  // namespace
}  // namespace taut::ring::testing
