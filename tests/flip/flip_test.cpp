// The suite of calls, over memory that changes behind every first read: all of it must go on as if nothing had
// happened, and no head may be looked at twice.
#include "flip.h"

#include <gtest/gtest.h>

#include "../rpc/joined_pair.h"
#include "taut/memory/copy.h"
#include "taut/memory/directory.h"
#include "taut/memory/segment.h"

namespace taut::rpc::testing {
namespace {

class NoSecondReads : public ::testing::Environment {
  void TearDown() override {
    std::printf("heads read: %llu, read again: %llu\n", static_cast<unsigned long long>(flip::account().first_reads),
                static_cast<unsigned long long>(flip::account().second_reads));
    EXPECT_GT(flip::account().first_reads, 1000u) << "does the build take the headers of tests/flip?";
    EXPECT_EQ(flip::account().second_reads, 0u);
  }
};
[[maybe_unused]] const auto* const kNoSecondReads = ::testing::AddGlobalTestEnvironment(new NoSecondReads);

TEST(FlippedMemory, TellsOfASecondReadOfAHead) {
  JoinedPair pair;
  pair.client->call(kSmall, "x");
  const ring::NativeReaderMemory memory = pair.memory().lane(1, Lane::normal).reader();
  (void)memory.load_head(0, ring::Order::acquire);
  EXPECT_EQ(std::exchange(flip::account().second_reads, 0), 0u);
  (void)memory.load_head(0, ring::Order::acquire);
  EXPECT_EQ(std::exchange(flip::account().second_reads, 0), 1u);
}

TEST(FlippedMemory, ChangesWhatWasCopied) {
  for (const char* check : {"?check=in_place", "?check=copy"}) {
    for (const std::size_t size : {8, 200, 4000}) {
      JoinedPair pair(check);
      const std::string request(size, 'r');
      const Outcome& outcome = pair.client->call(kEcho, request);
      const ring::LaneMemory lane = pair.memory().lane(1, Lane::normal);
      std::uint64_t sent, left;
      std::memcpy(&sent, lane.in_ring + 8, sizeof sent);
      pair.settle();
      std::memcpy(&left, lane.in_ring + 8, sizeof left);
      EXPECT_NE(sent, left) << "the call's id was read once, and then changed";
      EXPECT_ANSWERED(outcome, request);
    }
  }
}

TEST(FlippedMemory, ADirectoryIsReadOnce) {
  memory::DirectoryPlan plan;
  const std::size_t words = plan.add(memory::RegionKind::lane_words, 1, 384, 128);
  const std::size_t ring = plan.add(memory::RegionKind::ring, 0, 8192, memory::kSegmentStep);
  std::vector<std::byte> segment(plan.segment_bytes());
  plan.write(segment.data(), 4711);
  flip::changes_all_copied_bytes = true;
  const auto directory = memory::Directory::read(segment, "a segment");
  flip::changes_all_copied_bytes = false;
  ASSERT_TRUE(directory) << directory.error();
  EXPECT_EQ(directory->link(), 4711u);
  EXPECT_EQ(*directory->offset_of(memory::RegionKind::lane_words, 1, 384, 128), words);
  EXPECT_EQ(*directory->offset_of(memory::RegionKind::ring, 0, 8192, 64), ring);
  EXPECT_FALSE(memory::Directory::read(segment, "a segment")) << "it was changed behind the read";
}

}  // namespace
}  // namespace taut::rpc::testing
