// Both sides of a link call each other as fast as their rings take it. Neither may wait for the other's room: an answer
// always has some (docs/design.md, Space), and every call ends once.
#include <random>

#include "joined_pair.h"
#include "support/seed.h"

namespace taut::rpc::testing {
namespace {

struct Load {
  const char* name;
  const char* options;
  std::size_t payload_max;
};
class FloodTest : public ::testing::TestWithParam<Load> {};
INSTANTIATE_TEST_SUITE_P(
    Of, FloodTest,
    ::testing::Values(Load{"SmallRings", "?ring=4KiB&urgent_ring=4KiB&inflight=32&reply_max=512", 900},
                      Load{"OneLine", "?ring=4KiB&urgent_ring=4KiB&inflight=32&reply_max=48", 32},
                      Load{"InPieces", "?ring=8KiB&urgent_ring=4KiB&inflight=16&reply_max=64", 20'000},
                      Load{"DefaultRings", "", 4000}),
    [](const auto& info) { return info.param.name; });

// One side: calls until it is refused, whatever arrives meanwhile.
struct Side {
  Client& client;
  const std::size_t payload_max;
  std::mt19937_64& random;
  std::uint64_t sent = 0, answered = 0, refused = 0, wrong = 0;
  std::deque<int> ends = {};

  void flood() {
    for (std::uint64_t before = refused; refused == before && sent - ends_seen() < 4000;) call();
  }
  [[nodiscard]] std::uint64_t ends_seen() const { return answered + refused + wrong; }
  void call() {
    constexpr Method kMethods[] = {kEcho, kEcho, kBig, kUrgent, kSmall};
    const Method method = kMethods[random() % std::size(kMethods)];
    const bool one_line = method == kUrgent || method == kSmall;
    const auto bytes = static_cast<std::uint32_t>(random() % (1 + (one_line ? 48 : payload_max)));
    CallClaim claim = client.claim(method, bytes);
    const bool had_room = static_cast<bool>(claim);
    if (had_room) std::memset(claim.payload(), static_cast<int>(bytes & 0xff), bytes);
    ++sent;
    int& times = ends.emplace_back(0);
    refused += had_room ? 0 : 1;
    send_call(std::move(claim), bytes, {.timeout = forever})
        .then([this, &times, bytes, had_room](const RawAnswer& raw) {
          ++times;
          if (!had_room) {
            wrong += raw.status.ran() != Ran::no;
            return;
          }
          if (raw.status.code() == Code::resource_exhausted && raw.status.ran() == Ran::no) {
            ++answered;  // no room for its answer could be promised
          } else {
            const bool whole = raw.status.ok() && raw.payload.size() == bytes &&
                               (bytes == 0 || raw.payload[bytes - 1] == static_cast<std::byte>(bytes & 0xff));
            whole ? ++answered : ++wrong;
          }
        });
  }
};

TEST_P(FloodTest, NeitherSideWaitsForTheOther) {
  const std::string options = GetParam().options;
  std::mt19937_64 random(taut::testing::seed());
  ByteService events;
  JoinedPair pair(options);
  Client client(pair.connect(options, {.serve = {events}}));
  std::optional<Client> back;
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    if (!back) back.emplace(reply.caller());
    answer(reply, request);
  };
  client.call(kSmall, "who calls?");
  pair.settle();
  ASSERT_TRUE(back.has_value());
  Side there{client, GetParam().payload_max, random}, here{*back, GetParam().payload_max, random};
  constexpr std::uint64_t kEnough = 2000;
  for (int round = 0; round != 50'000 && std::min(there.answered, here.answered) < kEnough; ++round) {
    there.flood();
    here.flood();
    // Not in step: one side may read much while the other reads nothing.
    for (auto turns = random() % 4; turns-- != 0;) pair.server.poll(static_cast<int>(1 + random() % 64));
    for (auto turns = random() % 4; turns-- != 0;) pair.caller.poll(static_cast<int>(1 + random() % 64));
  }
  pair.settle();
  for (const Side* side : {&there, &here}) {
    EXPECT_EQ(side->wrong, 0u);
    EXPECT_GE(side->answered, kEnough) << "both sides make progress";
    EXPECT_GT(side->refused, 0u) << "the rings were full";
    EXPECT_TRUE(std::all_of(side->ends.begin(), side->ends.end(), [](int times) { return times == 1; }));
  }
  EXPECT_TRUE(client.link().up());
  EXPECT_EQ(pair.log.count("broke the rules"), 0) << ::testing::PrintToString(pair.log.lines());
}

}  // namespace
}  // namespace taut::rpc::testing
