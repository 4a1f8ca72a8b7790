// Trace and metadata from a peer that may send anything: read, refused, or a violation; and never more than came.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "beside_input.h"
#include "support/seed.h"

namespace taut::fuzz {
namespace {

// What an honest peer sends with this mask, and a message behind it.
std::vector<std::byte> honest(std::uint16_t mask, std::size_t value_bytes = 20) {
  Metadata metadata{{"tenant", "blue"}, {"token", std::string(value_bytes, 't')}};
  const auto trace = *TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  const rpc::OutgoingBlocks blocks({(mask & ring::extension::metadata) != 0 ? &metadata : nullptr,
                                    (mask & ring::extension::trace) != 0 ? &trace : nullptr});
  std::vector<std::byte> bytes(blocks.bytes().begin(), blocks.bytes().end());
  bytes.resize(bytes.size() + 16, std::byte{'m'});
  return bytes;
}

TEST(BesideInput, EveryMaskAndLengthOfHostileBytesIsReadOrRefused) {
  taut::testing::Random random;
  constexpr std::size_t kLongest = 1200;  // beyond all that blocks may have
  std::vector<std::vector<std::byte>> patterns;
  for (const int byte : {0x00, 0x01, 0x04, 0x10, 0x61, 0xff}) patterns.emplace_back(kLongest, std::byte(byte));
  for (std::uint16_t mask = 1; mask != 4; ++mask) {
    patterns.push_back(honest(mask, 950));
    patterns.back().resize(kLongest);
  }
  for (int i = 0; i != 4; ++i) {
    auto& noise = patterns.emplace_back(kLongest);
    for (std::byte& byte : noise) byte = static_cast<std::byte>(random.word());
  }
  std::array<int, 3> outcomes{};
  for (const auto& pattern : patterns) {
    for (std::size_t length = 0; length <= kLongest; length += length < 160 ? 1 : 13) {
      const std::span<const std::byte> bytes(pattern.data(), length);
      for (unsigned mask = 0; mask != 16; ++mask)
        ++outcomes[static_cast<std::size_t>(read_beside(static_cast<std::uint16_t>(mask), bytes))];
      for (unsigned bit = 4; bit != 16; ++bit) {  // those that nobody has given a meaning
        const auto known = static_cast<std::uint16_t>(random.below(4));
        ASSERT_EQ(read_beside(static_cast<std::uint16_t>(known | 1u << bit), bytes), read_beside(known, bytes));
      }
    }
  }
  for (const int count : outcomes) EXPECT_GT(count, 100);
}

TEST(BesideInput, EveryCutOfHonestBlocksIsImpossible) {
  for (std::uint16_t mask = 1; mask != 4; ++mask) {
    const auto whole = honest(mask);
    for (std::size_t length = 0; length != whole.size() - 16; ++length) {
      ASSERT_EQ(read_beside(mask, {whole.data(), length}), Read::impossible) << mask << ", " << length;
    }
    ASSERT_EQ(read_beside(mask, whole), Read::taken);
  }
}

// Whatever a block says of its size: none is a violation, and one over the limit is not kept.
TEST(BesideInput, EverySizeThatABlockMaySayIsRefused) {
  std::vector<std::byte> bytes(1200);  // whose pairs have no keys
  for (std::uint16_t size = 0; size <= bytes.size() - 16; ++size) {
    const std::uint16_t head[] = {size, 1};
    std::memcpy(bytes.data(), head, sizeof head);
    ASSERT_EQ(read_beside(ring::extension::metadata, bytes), size == 0 ? Read::impossible : Read::refused) << size;
  }
}

// Each byte of honest blocks takes each value.
TEST(BesideInput, EveryDamageOfOneByteIsReadOrRefused) {
  for (std::uint16_t mask = 1; mask != 4; ++mask) {
    auto bytes = honest(mask);
    for (std::byte& byte : bytes) {
      const std::byte was = byte;
      for (int value = 0; value != 256; ++value) {
        byte = std::byte(value);
        (void)read_beside(mask, bytes);
      }
      byte = was;
    }
  }
}

TEST(BesideInput, ManyDamagesAreReadOrRefused) {
  taut::testing::Random random(1);
  int taken = 0;
  for (int round = 0; round != 100'000; ++round) {
    const auto mask = static_cast<std::uint16_t>(1 + random.below(3));
    auto bytes = honest(mask, random.below(64));
    for (std::uint64_t i = random.below(4); i != 0; --i) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.one_in(2) ? random.word() : 0);
    }
    bytes.resize(random.one_in(4) ? random.below(bytes.size()) : bytes.size());
    taken += read_beside(mask, bytes) == Read::taken ? 1 : 0;
  }
  EXPECT_GT(taken, 10'000);
}

}  // namespace
}  // namespace taut::fuzz
