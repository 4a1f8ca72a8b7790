// Whose turn it is: a link that floods, or that nobody reads, costs the others no more than a slice; what is urgent
// overtakes. Counted in handlers, on shared rings and a clock that handlers move.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

constexpr int kGranted = 64;

// A server whose handlers take `work` each, and that has measured it. Remembers the order in which it served.
class SlicedPair : public JoinedPair {
 public:
  explicit SlicedPair(Nanoseconds work, int others) {
    for (const Method method : {kSmall, kUrgent}) {
      service.on[method] = [this, work](std::string_view request, RawReply reply) {
        pass(work);
        served.emplace_back(request);
        if (in_handler) in_handler();
        answer(reply, request);
      };
    }
    for (int i = 0; i != others; ++i) clients.push_back(std::make_unique<Client>(connect()));
    flood(*client);
    settle();
    served.clear();
  }
  static void flood(Client& from) {
    for (int i = 0; i != kGranted; ++i) from.call(kSmall, "flood", {.timeout = forever});
  }
  [[nodiscard]] std::ptrdiff_t served_before(std::string_view request) const {
    return std::find(served.begin(), served.end(), request) - served.begin();
  }

  std::vector<std::string> served;
  std::function<void()> in_handler;
  std::vector<std::unique_ptr<Client>> clients;
};

TEST(FairnessTest, AFloodTakesASliceOfEachTurn) {
  // Two records of 2 us fit a slice of 4 us.
  SlicedPair pair(2us, 1);
  for (int round = 0; round != 20; ++round) {
    pair.served.clear();
    SlicedPair::flood(*pair.client);
    const Outcome& polite = pair.clients[0]->call(kSmall, "polite", {.timeout = forever});
    while (!polite.ended()) pair.server.poll(), pair.caller.poll();
    EXPECT_LE(pair.served_before("polite"), 2);
    pair.settle();
  }
}

TEST(FairnessTest, FifteenFloodsTakeASliceEach) {
  SlicedPair pair(2us, 15);
  for (const auto& other : pair.clients) SlicedPair::flood(*other);
  pair.client->call(kSmall, "polite", {.timeout = forever});
  pair.settle();
  EXPECT_LE(pair.served_before("polite"), 15 * 2);
  EXPECT_EQ(pair.served.size(), 15u * kGranted + 1) << "and nothing is lost";
}

TEST(FairnessTest, ALinkThatNobodyReadsCostsOthersNothing) {
  JoinedPair pair;
  Dispatcher never_polled(transports(pair.joint.transport()), {.clock = Clock::manual(&pair.ticks)});
  auto link = never_polled.connect("joined://bytes");
  ASSERT_TRUE(link) << link.error();
  pair.settle();
  Client unread(std::move(*link));
  for (int i = 0; i != kGranted; ++i) unread.call(kSmall, "unread", {.timeout = forever});
  for (int round = 0; round != 50; ++round) {
    for (int i = 0; i != kGranted; ++i) pair.client->call(kEcho, std::to_string(i), {.timeout = forever});
    pair.settle();
  }
  for (std::size_t i = 0; i != 50 * kGranted; ++i) {
    EXPECT_ANSWERED(pair.client->outcomes()[i], std::to_string(i % kGranted));
  }
  EXPECT_EQ(pair.service.received[kSmall], kGranted);
  EXPECT_FALSE(unread.claim(kSmall, 6)) << "its grants are in use until its answers are read";
}

TEST(UrgentTest, OvertakesEverythingOfItsOwnLinkButTheHandlerThatRuns) {
  SlicedPair pair(5us, 0);
  SlicedPair::flood(*pair.client);
  pair.in_handler = [&] {
    if (pair.served.size() == 10) pair.client->call(kUrgent, "urgent");
  };
  pair.settle();
  EXPECT_EQ(pair.served_before("urgent"), 10);
}

TEST(UrgentTest, OvertakesTheOtherLinksBehindTheHandlerThatRuns) {
  // A handler takes longer than a slice.
  SlicedPair pair(5us, 8);
  for (std::size_t i = 0; i != 7; ++i) SlicedPair::flood(*pair.clients[i]);
  SlicedPair::flood(*pair.client);
  pair.in_handler = [&] {
    if (pair.served.size() == 40) pair.clients[7]->call(kUrgent, "urgent");
  };
  pair.settle();
  EXPECT_EQ(pair.served_before("urgent"), 40);
}

TEST(UrgentTest, WaitsForTwoSlicesAtMost) {
  // Four records of 1 us fit a slice.
  for (std::size_t when = 30; when != 60; ++when) {
    SlicedPair pair(1us, 8);
    for (std::size_t i = 0; i != 7; ++i) SlicedPair::flood(*pair.clients[i]);
    SlicedPair::flood(*pair.client);
    pair.in_handler = [&] {
      if (pair.served.size() == when) pair.clients[7]->call(kUrgent, "urgent");
    };
    pair.settle();
    EXPECT_LT(pair.served_before("urgent") - static_cast<std::ptrdiff_t>(when), 2 * 4);
  }
}

TEST(UrgentTest, FloodLeavesTurnsToOrdinaryCalls) {
  SlicedPair pair(5us, 1);
  // Each urgent call makes the next: their lane is never empty.
  pair.in_handler = [&] {
    if (pair.served.size() < 200) pair.clients[0]->call(kUrgent, "urgent", {.timeout = forever});
  };
  for (int i = 0; i != 8; ++i) pair.clients[0]->call(kUrgent, "urgent", {.timeout = forever});
  pair.client->call(kSmall, "ordinary", {.timeout = forever});
  for (int i = 0; i != 400; ++i) pair.server.poll(), pair.caller.poll();
  EXPECT_LE(pair.served_before("ordinary"), 4);
}

}  // namespace
}  // namespace taut::rpc::testing
