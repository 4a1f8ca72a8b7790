#include "taut/memory/directory.h"

#include <gmock/gmock.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/seed.h"

namespace taut::memory {
namespace {

using ::testing::HasSubstr;

struct Planned {
  Planned() {
    words = plan.add(RegionKind::lane_words, 0, 384, 128);
    ring = plan.add(RegionKind::ring, 0, 4096, 4096);
    bytes.resize(plan.segment_bytes());
    plan.write(bytes.data(), 17);
  }
  DirectoryHeader& header() { return *reinterpret_cast<DirectoryHeader*>(bytes.data()); }
  Region& region(std::size_t i) {
    return *reinterpret_cast<Region*>(bytes.data() + sizeof(DirectoryHeader) + i * sizeof(Region));
  }
  std::string refusal() {
    auto read = Directory::read(bytes, "the peer's segment");
    return read ? "" : std::string(read.error().what());
  }
  DirectoryPlan plan;
  std::size_t words, ring;
  std::vector<std::byte> bytes;
};

TEST(directory, tells_a_reader_where_each_region_is) {
  Planned segment;
  auto read = Directory::read(segment.bytes, "the peer's segment");
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->link(), 17u);
  EXPECT_EQ(*read->offset_of(RegionKind::lane_words, 0, 384, 128), segment.words);
  EXPECT_EQ(*read->offset_of(RegionKind::ring, 0, 4096, 4096), segment.ring);
  EXPECT_EQ(segment.ring % 4096, 0u);
  EXPECT_GE(segment.words, kDirectoryBytes);
}

TEST(directory, of_another_layout_is_refused_with_both_versions) {
  Planned segment;
  segment.header().layout = 9;
  EXPECT_THAT(segment.refusal(), HasSubstr("the peer's segment has layout version 9; this side knows 0"));
}

TEST(directory, of_another_program_is_refused) {
  Planned segment;
  segment.header().magic = 0x464c457f;
  EXPECT_THAT(segment.refusal(), HasSubstr("does not begin with the magic of a segment"));
  // Written by a machine of the other byte order.
  segment.header().magic = __builtin_bswap64(kSegmentMagic);
  EXPECT_THAT(segment.refusal(), HasSubstr("magic"));
}

TEST(directory, that_lies_about_its_sizes_is_refused) {
  for (const auto lie : {0u, 1u, 2u, 3u, 4u, 5u, 6u}) {
    Planned segment;
    switch (lie) {
      case 0:
        segment.header().region_count = kRegionsMax + 1;
        break;
      case 1:
        segment.header().segment_bytes += 4096;
        break;
      case 2:
        segment.region(1).offset = segment.bytes.size() - 64;
        break;
      case 3:
        segment.region(1).offset = ~std::uint64_t{0} - 63;
        break;
      case 4:
        segment.region(1).bytes = ~std::uint64_t{0};
        break;
      case 5:
        segment.region(0).offset = 0;
        break;  // upon the directory
      default:
        segment.region(0).bytes = 0;
        break;
    }
    EXPECT_NE(segment.refusal(), "") << "lie " << lie;
  }
  EXPECT_FALSE(Directory::read(std::vector<std::byte>(100), "short"));
}

TEST(directory, with_a_region_twice_is_refused) {
  Planned segment;
  segment.region(1) = segment.region(0);
  EXPECT_THAT(segment.refusal(), HasSubstr("has its region 'lane words' 0 twice"));
}

TEST(directory, may_hold_kinds_that_a_reader_does_not_know) {
  Planned segment;
  segment.region(0).kind = 4711;
  segment.region(0).offset = ~std::uint64_t{0};
  auto read = Directory::read(segment.bytes, "the peer's segment");
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->regions().size(), 1u);
  EXPECT_THAT(std::string(read->offset_of(RegionKind::lane_words, 0, 384, 128).error().what()),
              HasSubstr("the peer's segment has no region 'lane words' 0"));
}

TEST(directory, region_of_the_wrong_size_or_alignment_is_refused) {
  Planned segment;
  segment.region(1).offset += 32;
  segment.region(1).bytes -= 32;
  auto read = Directory::read(segment.bytes, "the peer's segment");
  ASSERT_TRUE(read);
  EXPECT_THAT(std::string(read->offset_of(RegionKind::ring, 0, 4064, 64).error().what()), HasSubstr("multiple of 64"));
  EXPECT_FALSE(read->offset_of(RegionKind::ring, 0, 4096, 1));
}

TEST(directory, of_random_bytes_never_leads_outside) {
  taut::testing::Random random;
  for (int round = 0; round < 20000; ++round) {
    Planned segment;
    for (int flips = 0; flips < 3; ++flips) {
      segment.bytes[random.below(sizeof(DirectoryHeader) + 2 * sizeof(Region))] =
          static_cast<std::byte>(random.below(256));
    }
    auto read = Directory::read(segment.bytes, "the peer's segment");
    if (!read) continue;
    for (const Region& region : read->regions()) {
      EXPECT_LE(region.offset, segment.bytes.size());
      EXPECT_LE(region.bytes, segment.bytes.size() - region.offset);
    }
  }
}

}  // namespace
}  // namespace taut::memory
