// Two real threads on the memory that ships. What the models prove about orders, this shows on the machine at hand,
// and to the thread sanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>

#include "lane.h"
#include "support/seed.h"
#include "taut/ring/board.h"

namespace taut::ring::testing {
namespace {

class ThreadsTest : public ::testing::TestWithParam<u64> {
 protected:
  OneWay lane{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Start, ThreadsTest, ::testing::ValuesIn(kStarts),
                         [](const auto& info) { return start_name(info.param); });

// Every payload word follows from the sequence and its place, so that one byte of another record shows.
constexpr u64 payload_word(u64 sequence, u32 index) { return (sequence + 1) * 0x9e3779b97f4a7c15u ^ index; }

// Waits for room until `stop`, which a reader that has seen enough sets.
void send_numbered(OneWay& lane, u32 bytes, u64 sequence, const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    const Claim claim = lane.writer.claim(bytes);
    if (!claim) {
      ASSERT_EQ(claim.refusal, Refusal::full);
      std::this_thread::yield();
      continue;
    }
    std::byte* const at = lane.writer.memory().bytes(claim.at);
    for (u32 i = bytes / 8; --i != 0;) {
      const u64 word = payload_word(sequence, i);
      std::memcpy(at + i * 8, &word, sizeof word);
    }
    return lane.writer.send(claim, Head::make(bytes, Kind::item, 0, static_cast<u16>(sequence)));
  }
}

void expect_numbered(OneWay& lane, const Record& record, u64 sequence) {
  ASSERT_EQ(record.head.detail(), static_cast<u16>(sequence));
  const std::byte* const at = lane.reader.bytes(record);
  for (u32 i = 1; i != record.head.bytes() / 8; ++i) {
    u64 word;
    std::memcpy(&word, at + i * 8, sizeof word);
    ASSERT_EQ(word, payload_word(sequence, i)) << "record " << sequence << ", word " << i << " is torn";
  }
}

TEST_P(ThreadsTest, NoRecordIsTornLostOrOutOfOrder) {
  constexpr u64 kRecords = 100'000;
  taut::testing::Random random;
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    for (u64 sequence = 0; sequence != kRecords && !stop.load(std::memory_order_relaxed);) {
      const u64 batch = random.one_in(8) ? 1 + random.below(3) : 0;
      if (batch != 0) lane.writer.begin_batch();
      for (u64 i = 0; i != (batch == 0 ? 1 : batch) && sequence != kRecords; ++i) {
        // A batch must fit as a whole: nobody releases what nobody sees.
        const u32 most = random.one_in(8) && batch == 0 ? kLargest : 4 * kStep;
        send_numbered(lane, 16 + 8 * static_cast<u32>(random.below((most - 8) / 8)), sequence++, stop);
      }
      if (batch != 0) lane.writer.end_batch();
    }
  });
  for (u64 sequence = 0; sequence != kRecords && !HasFailure();) {
    const Record record = lane.reader.next();
    EXPECT_FALSE(lane.reader.violated());
    if (!record) {
      lane.reader.idle();
      std::this_thread::yield();
      continue;
    }
    expect_numbered(lane, record, sequence++);
    lane.reader.release(record.end);
  }
  stop.store(true, std::memory_order_relaxed);
  sender.join();
  EXPECT_FALSE(lane.reader.next());
}

class NativeBoard {
 public:
  void store_state(u64 bits, Order order) noexcept { state_.store(bits, detail::native(order)); }
  [[nodiscard]] u64 load_state(Order order) const noexcept { return state_.load(detail::native(order)); }
  void fence(Order order) noexcept { std::atomic_thread_fence(detail::native(order)); }

 private:
  SharedWord state_{0};
};

TEST(Board, StateCarriesItsOtherBitsThrough) {
  NativeBoard board;
  announce_sleep(board, board::draining);
  EXPECT_EQ(board.load_state(Order::relaxed), board::asleep | board::draining);
  EXPECT_TRUE(bell_wanted(board));
  announce_awake(board, board::draining | board::asleep);
  EXPECT_EQ(board.load_state(Order::relaxed), board::draining);
  EXPECT_FALSE(bell_wanted(board));
  announce_awake(board, board::never_sleeps);
  EXPECT_FALSE(bell_wanted(board));
}

// Each record is sent only after the one before it arrived, so the reader is always about to sleep. A wake-up that is
// lost leaves both waiting for ever: the test's watchdog ends that.
TEST_P(ThreadsTest, NoWakeUpIsLost) {
  constexpr u64 kRounds = 20'000;
  NativeBoard board;
  std::counting_semaphore<> bell{0};
  std::atomic<u64> arrived{0};
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    for (u64 sequence = 0; sequence != kRounds; ++sequence) {
      while (arrived.load(std::memory_order_acquire) != sequence) {
        if (stop.load(std::memory_order_relaxed)) return;
        std::this_thread::yield();
      }
      send_numbered(lane, kStep, sequence, stop);
      if (bell_wanted(board)) bell.release();
    }
  });
  for (u64 sequence = 0; sequence != kRounds && !HasFailure();) {
    EXPECT_FALSE(lane.reader.violated());
    if (const Record record = lane.reader.next()) {
      expect_numbered(lane, record, sequence++);
      lane.reader.release(record.end);
      arrived.store(sequence, std::memory_order_release);
      continue;
    }
    lane.reader.idle();
    announce_sleep(board, 0);
    if (!lane.reader.waiting()) bell.acquire();
    announce_awake(board, 0);
  }
  stop.store(true, std::memory_order_relaxed);
  sender.join();
}

}  // namespace
}  // namespace taut::ring::testing
