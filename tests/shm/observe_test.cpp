// Links seen from outside: what stands in the segments of this very process, true and false.
#include "taut/shm/observe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "support/seed.h"
#include "taut/memory/control_page.h"
#include "taut/memory/directory.h"
#include "taut/ring/ring.h"

namespace taut::shm::testing {
namespace {

using ring::Head;
using ring::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kFirst = 0 - std::uint64_t{5} * ring::kStep;
constexpr RingSizes kSizes{4096, 4096};
constexpr std::uint64_t kLink = 0xabc;

// Both segments of a link, made as its two processes would.
struct Link {
  explicit Link(std::uint64_t id = kLink, const char* number = "1")
      : client(*LinkSegment::create(name(number, "client"), kSizes, id)),
        server(*LinkSegment::create(name(number, "server"), kSizes, id)) {
    client.begin(id, {kFirst, kFirst}, {kFirst, kFirst});
    server.begin(id, {kFirst, kFirst}, {kFirst, kFirst});
    rpc::Agreement agreement;
    agreement.calls_in_max = agreement.calls_out_max = 17;
    agreement.check = rpc::Check::copy;
    agreement.link_id = id;
    client.show(Side::client, agreement);
    server.show(Side::server, agreement);
  }
  static std::string service() { return "observed-" + std::to_string(getpid()); }
  static std::string name(const char* number, const char* side) {
    return "taut:" + service() + ":" + number + ":" + side;
  }

  static void send(LinkSegment& writer, LinkSegment& reader, Kind kind, std::uint64_t call, std::uint16_t detail,
                   std::uint32_t bytes = 64) {
    const auto lane = ring::Lane::normal;
    ring::Writer out(
        ring::NativeWriterMemory(writer.ring(lane), &writer.words(lane)->touched, &reader.words(lane)->released),
        {.ring_bytes = kSizes[0], .first = kFirst});
    const auto claim = out.claim(bytes);
    ASSERT_TRUE(claim);
    const std::uint64_t header[] = {call, 7};
    std::memset(out.memory().bytes(claim.at) + 8, 0x55, bytes - 8);
    std::memcpy(out.memory().bytes(claim.at) + 8, header, kind == Kind::request ? 16 : 8);
    if (kind == Kind::request) std::memset(out.memory().bytes(claim.at) + 24, 0, 8);  // no budget, credit, extensions
    out.send(claim, Head::make(bytes, kind, 0, detail));
  }
  LinkSegment client, server;
};

Result<ObservedProcess> observe() { return observe_process(getpid(), {.service = Link::service()}); }

TEST(ObserveTest, ALinkIsWhatItsTwoSegmentsSay) {
  Link link;
  Link::send(link.client, link.server, Kind::request, 256, 3);
  Link::send(link.server, link.client, Kind::reply, 256, 0);
  link.client.counters().calls_sent.add(5);
  const auto process = observe();
  ASSERT_TRUE(process) << process.error();
  EXPECT_THAT(process->troubles, ElementsAre());
  ASSERT_EQ(process->links.size(), 1u);
  const ObservedLink& seen = process->links[0];
  EXPECT_EQ(seen.id, kLink);
  EXPECT_EQ(seen.client.agreement.inflight, 17u);
  EXPECT_EQ(seen.server.agreement.check, rpc::Check::copy);
  ASSERT_TRUE(seen.client.process);
  EXPECT_EQ(seen.client.process->pid, getpid());
  EXPECT_EQ(seen.client.counters.at(0), 5u);
  ASSERT_EQ(seen.requests[0].records.size(), 1u);
  EXPECT_EQ(seen.requests[0].records[0].call, 256u);
  EXPECT_EQ(seen.requests[0].records[0].sent, 7u);
  EXPECT_EQ(seen.requests[0].records[0].payload, std::vector<std::byte>(32, std::byte{0x55}));
  EXPECT_EQ(seen.requests[0].fill(), 64u);
  EXPECT_EQ(seen.requests[1].count, 0u);
  // An answer has the method of its request.
  ASSERT_EQ(seen.replies[0].records.size(), 1u);
  EXPECT_EQ(seen.replies[0].records[0].method, 3);
}

TEST(ObserveTest, APieceSaysOfWhatItIsAPart) {
  Link link;
  const auto lane = ring::Lane::normal;
  ring::Writer out(ring::NativeWriterMemory(link.client.ring(lane), &link.client.words(lane)->touched,
                                            &link.server.words(lane)->released),
                   {.ring_bytes = kSizes[0], .first = kFirst});
  const auto claim = out.claim(128);
  ring::RequestHeader header{};
  header.call = 256;
  header.extensions = ring::extension::piece;
  const ring::PieceBlock piece{.total = 5000, .offset = 80};
  std::memcpy(out.memory().bytes(claim.at) + 8, reinterpret_cast<const std::byte*>(&header) + 8, sizeof header - 8);
  std::memcpy(out.memory().bytes(claim.at) + ring::kBlocksAt, &piece, sizeof piece);
  out.send(claim, Head::make(128, Kind::request, ring::flag::more_pieces));
  const auto process = observe();
  const ObservedRecord& record = process->links.at(0).requests[0].records.at(0);
  ASSERT_TRUE(record.piece);
  EXPECT_EQ(record.piece->total, 5000u);
  EXPECT_EQ(record.piece->offset, 80u);
  EXPECT_EQ(record.payload.size(), 80u);
}

TEST(ObserveTest, TraceAndMetadataAreSteppedOver) {
  Link link;
  const auto lane = ring::Lane::normal;
  ring::Writer out(ring::NativeWriterMemory(link.client.ring(lane), &link.client.words(lane)->touched,
                                            &link.server.words(lane)->released),
                   {.ring_bytes = kSizes[0], .first = kFirst});
  for (const std::uint16_t claimed : {std::uint16_t{20}, std::uint16_t{60'000}}) {  // the second lies
    const std::uint32_t bytes = 32 + 32 + 32 + 7;
    const auto claim = out.claim(bytes);
    ring::RequestHeader header{};
    header.call = 256;
    header.extensions = ring::extension::trace | ring::extension::metadata;
    std::byte* const record = out.memory().bytes(claim.at);
    std::memcpy(record + 8, reinterpret_cast<const std::byte*>(&header) + 8, sizeof header - 8);
    std::memcpy(record + 64, &claimed, sizeof claimed);
    std::memcpy(record + 96, "message", 7);
    out.send(claim, Head::make(bytes, Kind::request));
  }
  const auto process = observe();
  const auto& records = process->links.at(0).requests[0].records;
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].extensions, 0);
  ASSERT_EQ(records[0].payload.size(), 7u);
  EXPECT_EQ(std::memcmp(records[0].payload.data(), "message", 7), 0);
  EXPECT_NE(records[1].extensions, 0) << "what cannot be read is left as it is";
}

TEST(ObserveTest, TheMarkTellsWhatWasTaken) {
  Link link;
  Link::send(link.client, link.server, Kind::request, 1, 0, 200);
  auto& taken = link.server.words(ring::Lane::normal)->taken.position;
  for (const auto& [mark, expected] : {std::pair{kFirst, false}, {kFirst + 192, false}, {kFirst + 256, true}}) {
    taken.store(mark, std::memory_order_relaxed);
    EXPECT_EQ(observe()->links.at(0).requests[0].records.at(0).taken, expected) << mark - kFirst;
  }
}

TEST(ObserveTest, AnAnswerWhoseRequestIsOverwrittenHasNoMethod) {
  Link link;
  Link::send(link.server, link.client, Kind::reply, 256, 0);
  EXPECT_FALSE(observe()->links.at(0).replies[0].records.at(0).method);
}

TEST(ObserveTest, ASpareIsNoLink) {
  Link link;
  const auto spare = LinkSegment::create(Link::name("2", "server"), kSizes, 9);
  ASSERT_TRUE(spare);
  const auto process = observe();
  EXPECT_EQ(process->links.size(), 1u);
  ASSERT_EQ(process->services.size(), 1u);
  EXPECT_EQ(process->services[0].spare_segments, 1u);
}

TEST(ObserveTest, ASegmentWithoutItsPeersHasNoRings) {
  std::optional<Link> link(std::in_place);
  link->server.close_descriptor();
  const auto process = observe();
  ASSERT_EQ(process->links.size(), 1u);
  EXPECT_FALSE(process->links[0].server.here);
  EXPECT_EQ(process->links[0].requests[0].bytes, 0u);
  EXPECT_THAT(process->links[0].requests[0].trouble, HasSubstr("its reader's segment was not found"));
}

TEST(ObserveTest, ASecondSegmentOfOneSideIsALie) {
  Link link;
  Link::send(link.client, link.server, Kind::request, 256, 3);
  const Link liar(kLink, "2");
  const auto process = observe();
  ASSERT_EQ(process->links.size(), 1u);
  EXPECT_THAT(process->troubles, ElementsAre(HasSubstr("which has another"), HasSubstr("which has another")));
}

TEST(ObserveTest, AHaltIsShownWithWhoAndWhy) {
  const auto page = memory::ControlPage::create("taut:" + Link::service() + ":control");
  ASSERT_TRUE(page);
  EXPECT_FALSE(observe()->services.at(0).halt);
  page->halt("risk \x1b[2J limit");
  const auto process = observe();
  const auto& halt = process->services.at(0).halt;
  ASSERT_TRUE(halt);
  EXPECT_EQ(halt->pid, static_cast<std::uint64_t>(getpid()));
  EXPECT_EQ(halt->why, "risk ?[2J limit");
}

TEST(ObserveTest, NoOtherServiceIsLookedAt) {
  Link link;
  const auto process = observe_process(getpid(), {.service = Link::service() + "-not"});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code(), Code::not_found);
}

TEST(ObserveTest, AProcessThatIsNotThere) {
  const auto process = observe_process(0x7fffffff);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code(), Code::not_found);
}

// Whatever the two processes write into whatever they may write, looking at it ends, within its limits.
class Scribbles : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Where, Scribbles, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "everywhere" : "behind_the_directory"; });

TEST_P(Scribbles, NeverLeadOutOfASegment) {
  taut::testing::Random random;
  constexpr std::uint64_t kEdges[] = {0,
                                      1,
                                      2,
                                      63,
                                      64,
                                      65,
                                      127,
                                      4095,
                                      4096,
                                      8192,
                                      0x100000040,
                                      0x1000000040,
                                      0x2000001f,
                                      0x200000400,
                                      ~0ull,
                                      1ull << 63,
                                      (1ull << 32) - 1,
                                      kFirst,
                                      kFirst + 64};
  std::size_t links = 0, troubles = 0;
  for (int round = 0; round != 300; ++round) {
    Link link;
    for (int i = 0; i != 3; ++i) Link::send(link.client, link.server, Kind::request, 256, 3);
    for (LinkSegment* segment : {&link.client, &link.server}) {
      std::byte* const begin = reinterpret_cast<std::byte*>(segment->words(ring::Lane::normal)) - 1024;
      const std::size_t first = GetParam() ? 0 : 1024;
      for (std::uint64_t changes = random.below(200); changes != 0; --changes) {
        // Mostly the words and the heads near the first position, where a walk comes by.
        const std::size_t within = random.one_in(2) ? 3072 : segment->bytes();
        const std::size_t at = (first + random.below(within - first)) / 8 * 8;
        const std::uint64_t value = random.one_in(3) ? random.word() : kEdges[random.below(std::size(kEdges))];
        std::memcpy(begin + at, &value, sizeof value);
      }
    }
    const auto process = observe();
    ASSERT_TRUE(process) << process.error();
    troubles += process->troubles.size();
    links += process->links.size();
    for (const ObservedLink& seen : process->links) {
      for (const auto* rings : {&seen.requests, &seen.replies}) {
        for (const ObservedRing& ring : *rings) {
          EXPECT_LE(ring.records.size(), ObserveOptions{}.records_max);
          EXPECT_LE(ring.bytes, GetParam() ? link.client.bytes() : 4096u);  // its directory may say more
          EXPECT_LE(ring.fill(), ring.bytes);
          for (const ObservedRecord& record : ring.records) EXPECT_LE(record.payload.size(), ring.bytes / 4);
          troubles += ring.trouble.empty() ? 0 : 1;
        }
      }
    }
  }
  EXPECT_GT(links, 0u);
  EXPECT_GT(troubles, 0u);
}

}  // namespace
}  // namespace taut::shm::testing
