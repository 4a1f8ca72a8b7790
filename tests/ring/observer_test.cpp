// Looking at a ring from outside: what waits is found, what was overwritten under the copy is said to be torn, and no
// lie of either end leads out of the ring.
#include "taut/ring/observer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "lane.h"
#include "support/seed.h"

namespace taut::ring::testing {
namespace {

// The memory that ships, with somebody who acts between the copy of a record and the look at the positions behind it.
class DisturbedMemory : public NativeObserverMemory {
 public:
  DisturbedMemory(OneWay& lane, std::function<void()> act)
      : NativeObserverMemory(lane.ring(), &lane.words.touched, &lane.words.released), act_(std::move(act)) {}
  void fence(Order order) const {
    if (act_) act_();
    NativeObserverMemory::fence(order);
  }

 private:
  std::function<void()> act_;
};

class ObserverTest : public ::testing::TestWithParam<u64> {
 protected:
  Observer<DisturbedMemory> observe(std::function<void()> act = {}) { return {{lane, std::move(act)}, kRing}; }
  Observed next(Observer<DisturbedMemory>& observer) { return observer.next(copy.data(), kLargest); }
  // Records of one line, until `end`; the walk must end there.
  std::vector<u64> numbers(Observer<DisturbedMemory>& observer) {
    std::vector<u64> found;
    for (u32 most = kRing / kStep; most != 0; --most) {
      const Observed seen = next(observer);
      if (seen.sight != Sight::record) break;
      found.push_back(seen.head.detail());
      for (u32 i = sizeof(u64); i < seen.copied; ++i) {
        EXPECT_EQ(copy[i], OneWay::byte_of(seen.head.detail(), i)) << "record " << seen.head.detail() << ", byte " << i;
      }
    }
    return found;
  }
  OneWay lane{GetParam()};
  std::vector<std::byte> copy = std::vector<std::byte>(kLargest);
};
INSTANTIATE_TEST_SUITE_P(Start, ObserverTest, ::testing::ValuesIn(kStarts),
                         [](const auto& info) { return start_name(info.param); });

TEST_P(ObserverTest, FindsWhatTheReaderHasNotReleased) {
  ASSERT_EQ(lane.try_send(kStep, 1), Refusal::none);
  lane.drain();
  for (u64 number : {2, 3, 4}) ASSERT_EQ(lane.try_send(3 * kStep, number), Refusal::none);
  const auto before = lane.snapshot();
  auto observer = observe();
  EXPECT_EQ(observer.released(), lane.released());
  EXPECT_EQ(numbers(observer), (std::vector<u64>{2, 3, 4}));
  EXPECT_EQ(observer.position(), lane.writer.position());
  EXPECT_EQ(lane.snapshot(), before);
}

TEST_P(ObserverTest, AnEmptyRingHoldsNothing) {
  auto observer = observe();
  EXPECT_EQ(next(observer).sight, Sight::nothing);
  EXPECT_EQ(observer.position(), GetParam());
}

TEST_P(ObserverTest, AFullRingIsWholeThoughTouchedRunsAhead) {
  for (u32 lap = 0; lap != 3; ++lap) {
    const u32 count = lane.fill_up();
    ASSERT_GT(static_cast<std::int64_t>(lane.touched() - kRing - lane.released()),
              -static_cast<std::int64_t>(kLargest));
    auto observer = observe();
    EXPECT_EQ(numbers(observer).size(), count);
    lane.drain();
    lane.advance(7);
  }
}

TEST_P(ObserverTest, StepsOverAPad) {
  lane.advance_to(kRing - 2 * kStep);
  ASSERT_EQ(lane.try_send(kStep, 1), Refusal::none);
  ASSERT_EQ(lane.try_send(4 * kStep, 2), Refusal::none);
  auto observer = observe();
  EXPECT_EQ(numbers(observer), (std::vector<u64>{1, 2}));
  EXPECT_EQ(observer.position(), lane.writer.position());
}

TEST_P(ObserverTest, ARecordThatWasOverwrittenUnderTheCopyIsTorn) {
  ASSERT_EQ(lane.try_send(kStep, 1), Refusal::none);
  bool acted = false;
  auto observer = observe([&] {
    if (std::exchange(acted, true)) return;
    lane.drain();
    lane.advance(kRing / kStep + 1);
    ASSERT_EQ(lane.try_send(kStep, 9), Refusal::none);
  });
  EXPECT_EQ(next(observer).sight, Sight::torn);
  EXPECT_EQ(numbers(observer), std::vector<u64>{9});  // and goes on where the reader is
}

TEST_P(ObserverTest, ARecordThatWasOnlyReadMeanwhileIsWhole) {
  ASSERT_EQ(lane.try_send(kStep, 1), Refusal::none);
  auto observer = observe([&] { lane.drain(); });
  EXPECT_EQ(numbers(observer), std::vector<u64>{1});
}

TEST_P(ObserverTest, ALongRecordIsCopiedAsFarAsThereIsRoom) {
  ASSERT_EQ(lane.try_send(kLargest, 1), Refusal::none);
  ASSERT_EQ(lane.try_send(kStep, 2), Refusal::none);
  auto observer = observe();
  const Observed seen = observer.next(copy.data(), 100);
  EXPECT_EQ(seen.copied, 100u);
  EXPECT_EQ(seen.head.bytes(), kLargest);
  EXPECT_EQ(numbers(observer), std::vector<u64>{2});
}

TEST_P(ObserverTest, NoHeadLeadsOutOfTheRing) {
  const Head lies[] = {Head::make(0, Kind::request),
                       Head::make(kHeaderMin - 1, Kind::request),
                       Head::make(kLargest + 1, Kind::request),
                       Head::make(~u32{0}, Kind::request),
                       Head::make(kStep, Kind::none),
                       Head::make(kStep, Kind::pad),
                       Head::make(kRing, Kind::pad),
                       Head::make(0, Kind::pad)};
  for (u32 at : {0u, kStep, kRing / 2, kRing - kStep}) {
    for (const Head lie : lies) {
      OneWay hostile{GetParam()};
      hostile.advance_to(at);
      const auto place = static_cast<u32>(hostile.writer.position()) % kRing;
      hostile.write_head(place, lie.word);
      Observer<NativeObserverMemory> observer({hostile.ring(), &hostile.words.touched, &hostile.words.released}, kRing);
      const Observed seen = observer.next(copy.data(), kLargest);
      // A pad that leads to the end is one, and zeros are the end of what is there.
      const bool fits = lie.word == 0 || (lie.kind() == Kind::pad && lie.bytes() == kRing - place);
      EXPECT_TRUE(seen.sight == Sight::lie || fits) << std::hex << lie.word << " at " << place;
      if (!fits) {
        EXPECT_EQ(observer.next(copy.data(), kLargest).sight, Sight::nothing);
      }
    }
  }
}

TEST_P(ObserverTest, AWalkIsNeverLongerThanTheRing) {
  for (u32 at = 0; at != kRing; at += kStep) lane.write_head(at, Head::make(kStep, Kind::request).word);
  auto observer = observe();
  u32 seen = 0;
  Observed last;
  while ((last = next(observer)).sight == Sight::record) ++seen;
  EXPECT_EQ(last.sight, Sight::lie);
  EXPECT_LT(seen, kRing / kStep);
}

TEST_P(ObserverTest, AnImpossiblePositionIsALie) {
  ASSERT_EQ(lane.try_send(kStep, 1), Refusal::none);
  lane.say_released(GetParam() + 8);
  auto observer = observe();
  EXPECT_EQ(next(observer).sight, Sight::lie);
  EXPECT_EQ(next(observer).sight, Sight::nothing);
}

// Both ends run as fast as they can; whatever an observer calls whole, is.
TEST_P(ObserverTest, WhatIsNotTornIsWholeWhileBothEndsRun) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "an observer races with the writer on purpose, and throws away what lost";
#endif
  constexpr u32 kBytes = 5 * kStep;
  std::atomic<bool> stop{false};
  std::thread ends([&] {
    for (u64 number = 0; !stop.load(std::memory_order_relaxed); ++number) {
      while (lane.try_send(number % 3 == 0 ? kStep : kBytes, number & 0xffff) != Refusal::none) lane.drain();
    }
  });
  u32 whole = 0, torn = 0;
  for (u32 walks = 0; walks < 20'000 || whole == 0; ++walks) {
    Observer<NativeObserverMemory> observer({lane.ring(), &lane.words.touched, &lane.words.released}, kRing);
    for (u32 most = 8; most != 0; --most) {
      const Observed seen = observer.next(copy.data(), kLargest);
      if (seen.sight == Sight::nothing) break;
      ASSERT_NE(seen.sight, Sight::lie);
      torn += seen.sight == Sight::torn ? 1 : 0;
      if (seen.sight == Sight::torn) continue;
      ++whole;
      for (u32 i = sizeof(u64); i < seen.copied; ++i) {
        if (copy[i] == OneWay::byte_of(seen.head.detail(), i)) continue;
        stop.store(true, std::memory_order_relaxed);
        ends.join();
        FAIL() << "record " << seen.head.detail() << " is torn at byte " << i << ", and called whole";
      }
    }
  }
  stop.store(true, std::memory_order_relaxed);
  ends.join();
  RecordProperty("torn", static_cast<int>(torn));
}

}  // namespace
}  // namespace taut::ring::testing
