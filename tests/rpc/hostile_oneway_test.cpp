// Blocks beside one-way messages, from a peer that may send anything: each costs its message or its link, is counted,
// and costs nobody else anything.
#include "joined_pair.h"
#include "support/seed.h"

namespace taut::rpc::testing {
namespace {

using ring::Head;
using ring::Kind;

enum class Cost { nothing, its_message, its_link };

struct HostileOneWay : ::testing::Test {
  HostileOneWay() {
    pair.service.instead[kTell] = [this](ServedCall& call) {
      call.taken();
      const Told& told = call.told();
      ++heard;
      for (const auto [key, value] : told.metadata()) pairs_bytes += key.size() + value.size();
      EXPECT_TRUE(told.trace() == nullptr || told.trace()->valid());
      EXPECT_GE(told.queued(), 0ns);
    };
  }
  // A message by hand, with this mask and these bytes where blocks and payload stand.
  Cost send(ring::u16 mask, std::span<const std::byte> behind) {
    const auto& made = pair.joint.connect_by_hand("bytes");
    pair.server.poll();
    const auto bytes = static_cast<ring::u32>(sizeof(ring::ReplyHeader) + behind.size());
    ring::Writer<ring::NativeWriterMemory> out(made.memory->lane(0, Lane::normal).writer(),
                                               made.memory->agreement(0).out[0]);
    const ring::Claim claim = out.claim(bytes);
    EXPECT_TRUE(claim);
    std::byte* const record = out.memory().bytes(claim.at);
    const Ticks sent = pair.ticks;
    std::memcpy(record + 8, &sent, sizeof sent);
    if (!behind.empty()) std::memcpy(record + sizeof(ring::ReplyHeader), behind.data(), behind.size());
    if (behind.size() >= sizeof mask) std::memcpy(record + sizeof(ring::ReplyHeader), &mask, sizeof mask);
    out.send(claim, Head::make(bytes, Kind::oneway, ring::flag::extensions, kTell));
    const int before = heard;
    const std::uint64_t refused = made.memory->counters(1).oneways_refused.value();
    pair.settle();
    const Cost cost = made.memory->ended.load() ? Cost::its_link : heard != before ? Cost::nothing : Cost::its_message;
    EXPECT_EQ(made.memory->counters(1).oneways_refused.value() - refused, cost == Cost::its_message ? 1u : 0u);
    return cost;
  }
  void expect_others_live() {
    const int before = heard;
    EXPECT_EQ(pair.client->tell(kTell, "honest", Metadata{{"a", "b"}}), Sent::ok);
    EXPECT_EQ(pair.client->tell(kTell, "plain"), Sent::ok);
    for (int turns = 0; turns != 10'000 && heard - before != 2; ++turns) pair.settle();  // among many cold links
    EXPECT_EQ(heard - before, 2);
  }
  int heard = 0;
  std::size_t pairs_bytes = 0;
  JoinedPair pair;
};

TEST_F(HostileOneWay, MasksThatWereNotAgreedCostTheLink) {
  const std::vector<std::byte> zeros(96);
  for (unsigned bit = 2; bit != 16; ++bit) {
    EXPECT_EQ(send(static_cast<ring::u16>(1u << bit | bit % 4), zeros), Cost::its_link) << bit;
  }
  expect_others_live();
}

TEST_F(HostileOneWay, WhatHasNoRoomForItsMaskCostsTheLink) {
  for (std::size_t size = 0; size != 16; ++size) {
    EXPECT_EQ(send(0, std::vector<std::byte>(size)), Cost::its_link) << size;
  }
  EXPECT_EQ(send(0, std::vector<std::byte>(16)), Cost::nothing) << "no extension and no message";
  expect_others_live();
}

TEST_F(HostileOneWay, EveryLengthOfHostileBlocksCostsItsMessageOrItsLink) {
  taut::testing::Random random;
  std::array<int, 3> costs{};
  for (ring::u16 mask = 0; mask != 4; ++mask) {
    for (std::size_t size = 16; size < 1300; size += size < 80 ? 1 : 61) {
      for (const int kind : {0, 1, 2}) {
        std::vector<std::byte> bytes(size, std::byte(kind == 1 ? 0xff : 0));
        for (std::size_t i = 16; kind == 2 && i < size; ++i) bytes[i] = static_cast<std::byte>(random.below(4));
        ++costs[static_cast<std::size_t>(send(mask, bytes))];
      }
    }
  }
  for (const int count : costs) EXPECT_GT(count, 10);
  expect_others_live();
}

TEST_F(HostileOneWay, MetadataOverItsLimitCostsItsMessage) {
  // One pair whose value is just as long as fits, and one byte longer.
  for (const std::size_t over : {0, 1}) {
    const std::size_t value = Metadata::kBytesMax - 4 - 4 - 1 + over;
    const auto block = static_cast<ring::u16>(4 + 4 + 1 + value);
    std::vector<std::byte> bytes(16 + ring::up_to_16(block) + 16);
    const ring::u16 head[2] = {block, 1};
    std::memcpy(bytes.data() + 16, head, sizeof head);
    bytes[20] = std::byte{1};
    const auto length = static_cast<ring::u16>(value);
    std::memcpy(bytes.data() + 22, &length, sizeof length);
    bytes[24] = std::byte{'k'};
    EXPECT_EQ(send(ring::extension::metadata, bytes), over == 0 ? Cost::nothing : Cost::its_message);
  }
  EXPECT_EQ(pairs_bytes, Metadata::kBytesMax - 8);
  expect_others_live();
}

}  // namespace
}  // namespace taut::rpc::testing
