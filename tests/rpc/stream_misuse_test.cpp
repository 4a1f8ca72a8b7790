// Peers that break the rules of a stream: they lose that call, with a status, and nothing else.
#include "hand.h"

namespace taut::rpc::testing {
namespace {

// The client is the test.
class HostileCallerTest : public ::testing::Test {
 protected:
  HostileCallerTest() {
    pair.service.on[kBig] = held.handler();
    pair.settle();
    for (const Method method : {kUp, kTalk}) {
      pair.service.instead[method] = [this](ServedCall& call) {
        call.taken();
        stream = call.stream({.credit = 32, .credit_bytes = 8192});
        stream.each([this](std::span<const std::byte> item) { items.emplace_back(as_text(item)); });
        stream.on_close([this](bool complete) { closes.push_back(complete); });
        reply = call.reply();
        reply.on_cancel([this] { ++cancels; });
      };
    }
  }
  // Items are kept, and no credit goes back.
  void take_nothing() {
    pair.service.instead[kTalk] = [this](ServedCall& call) {
      call.taken();
      stream = call.stream({.credit = 32, .credit_bytes = 8192});
      ASSERT_TRUE(stream.pull());
      reply = call.reply();
      reply.on_cancel([this] { ++cancels; });
    };
  }
  void open(u64 call = 64, ring::u16 credit = 0) {
    ring::Writer<ring::NativeWriterMemory>& out = hostile.writer(Lane::normal);
    const ring::Claim claim = out.claim(sizeof(ring::RequestHeader));
    ring::RequestHeader header{};
    header.call = call;
    header.credit = credit;
    std::memcpy(out.memory().bytes(claim.at) + 8, reinterpret_cast<const std::byte*>(&header) + 8, sizeof header - 8);
    out.send(claim, Head::make(sizeof header, Kind::request, 0, kTalk));
    pair.settle();
  }
  // The stream is over, its call answers what it did, and neither its link nor others lose a call.
  void expect_misuse() {
    pair.settle();
    EXPECT_EQ(cancels, 1);
    EXPECT_TRUE(stream.over());
    EXPECT_TRUE(reply.cancelled());
    answer(reply, "an answer that is not sent");
    pair.settle();
    EXPECT_EQ(made.memory->counters(1).streams_misused.value(), 1u);
    EXPECT_EQ(made.memory->counters(1).violations.value(), 0u);
    const ring::LaneMemory& lane = made.memory->lane(1, Lane::normal);
    EXPECT_EQ(last_status(lane.out_ring), Code::failed_precondition);
    expect_alive();
  }
  void expect_alive() {
    EXPECT_FALSE(made.memory->ended);
    const int before = pair.service.received[kEcho];
    hostile.send_request(Lane::normal, kEcho, "still here");
    pair.settle();
    EXPECT_EQ(pair.service.received[kEcho], before + 1);
    ASSERT_EQ(held.replies.size(), 1u);
    answer(held.replies.front(), "answered");
    pair.settle();
    EXPECT_ANSWERED(honest, "answered");
  }

  Held held;
  std::vector<std::string> items;
  std::vector<bool> closes;
  int cancels = 0;
  StreamEnd stream;
  RawReply reply;
  JoinedPair pair;
  const Outcome& honest = pair.client->call(kBig, "of another client");  // open all the time
  const Joint::Made& made = pair.joint.connect_by_hand("bytes");
  Hand hostile{*made.memory, 0};

 private:
  // Of the newest reply in the ring.
  Code last_status(const std::byte* ring) {
    const ring::Shape& shape = made.memory->agreement(1).out[0];
    Code code = Code::ok;
    for (u32 at = static_cast<u32>(shape.first) & (shape.ring_bytes - 1);;) {
      Head head;
      std::memcpy(&head.word, ring + at, sizeof head.word);
      if (!head) return code;
      if (head.kind() == Kind::reply) code = static_cast<Code>(head.detail() & 0xff);
      at = (at + ring::up(head.bytes())) & (shape.ring_bytes - 1);
    }
  }
};

TEST_F(HostileCallerTest, WhoKeepsTheRulesIsServed) {
  open();
  hostile.send_small(Lane::normal, Kind::item, 64, "a");
  hostile.send_small(Lane::normal, Kind::end, 64);
  pair.settle();
  EXPECT_EQ(items.size(), 1u);
  EXPECT_EQ(closes, std::vector<bool>{true});
  expect_alive();
}

TEST_F(HostileCallerTest, AnItemBehindTheEnd) {
  open();
  hostile.send_small(Lane::normal, Kind::end, 64);
  hostile.send_small(Lane::normal, Kind::item, 64, "late");
  expect_misuse();
  EXPECT_TRUE(items.empty());
}

TEST_F(HostileCallerTest, ASecondEnd) {
  open();
  hostile.send_small(Lane::normal, Kind::end, 64);
  hostile.send_small(Lane::normal, Kind::end, 64);
  expect_misuse();
}

TEST_F(HostileCallerTest, IsToldOfItWhateverStatusTheHandlerPassesOn) {
  open();
  hostile.send_small(Lane::normal, Kind::end, 64);
  hostile.send_small(Lane::normal, Kind::item, 64, "late");
  pair.settle();
  reply.refuse(Status(Code::unavailable, Ran::no, Why::peer_died, "of a call that this one passed on"));
  expect_misuse();
}

TEST_F(HostileCallerTest, MoreItemsThanTheCreditAllows) {
  take_nothing();
  open();
  for (int i = 0; i != 32; ++i) hostile.send_small(Lane::normal, Kind::item, 64, "x");
  pair.settle();
  EXPECT_EQ(cancels, 0);
  hostile.send_small(Lane::normal, Kind::item, 64, "one more");
  expect_misuse();
}

TEST_F(HostileCallerTest, MoreBytesThanTheCreditAllows) {
  take_nothing();
  open();
  hostile.send_small(Lane::normal, Kind::item, 64, std::string(8192 - 16, 'x'));
  pair.settle();
  EXPECT_EQ(cancels, 0);
  hostile.send_small(Lane::normal, Kind::item, 64, "one more");
  expect_misuse();
}

TEST_F(HostileCallerTest, HugeCredit) {
  open();
  hostile.send_credit(Lane::normal, 64, {.items = u64{1} << 50, .bytes = 100});
  expect_misuse();
}

TEST_F(HostileCallerTest, HugeCreditInTheRequest) {
  open(64, 0x3030);
  expect_misuse();
}

TEST_F(HostileCallerTest, HugeCreditInBytesAlone) {
  open();
  hostile.send_credit(Lane::normal, 64, {.items = 100, .bytes = u64{1} << 50});
  expect_misuse();
}

// The request gave 2^7 items and 2^7 lines.
TEST_F(HostileCallerTest, CreditInItemsThatIsTakenBack) {
  open(64, 0x0808);
  hostile.send_credit(Lane::normal, 64, {.items = 127, .bytes = 128 * ring::kStep});
  expect_misuse();
}

TEST_F(HostileCallerTest, CreditInBytesThatIsTakenBack) {
  open(64, 0x0808);
  hostile.send_credit(Lane::normal, 64, {.items = 128, .bytes = 127 * ring::kStep});
  expect_misuse();
}

TEST_F(HostileCallerTest, RecordsOfUnknownCallsAreSteppedOver) {
  open();
  for (const u64 call : {u64{0}, u64{2}, u64{128}, u64{64 + 128}, ~u64{0}}) {
    hostile.send_small(Lane::normal, Kind::item, call, "x");
    hostile.send_small(Lane::normal, Kind::end, call);
    hostile.send_credit(Lane::normal, call, {.items = 5, .bytes = 5000});
    if (call != 0) hostile.send_small(Lane::urgent, Kind::cancel, call);
  }
  hostile.send_small(Lane::urgent, Kind::item, 64, "in the wrong lane");
  pair.settle();
  EXPECT_TRUE(items.empty());
  EXPECT_EQ(cancels, 0);
  EXPECT_EQ(made.memory->counters(1).items_dropped.value(), 6u);
  expect_alive();
}

TEST_F(HostileCallerTest, AMillionCancelsOfCallsThatAreNone) {
  open();
  constexpr u64 kCancels = 1'000'000, kAtOnce = 64;
  u64 asked = 0;
  for (u64 sent = 0; sent != kCancels; sent += kAtOnce) {
    for (u64 i = 0; i != kAtOnce; ++i) hostile.send_small(Lane::urgent, Kind::cancel, 1000 + sent + i);
    if (sent % 1600 == 0) {
      const Outcome& other = pair.client->call(kSmall, std::to_string(++asked));
      pair.settle();
      ASSERT_EQ(other.ends, 1);
      ASSERT_TRUE(other.status.ok()) << other.status;
    }
    pair.settle();
  }
  EXPECT_EQ(made.memory->counters(1).cancels_received.value(), kCancels);
  EXPECT_EQ(cancels, 0) << "of the one call that is open";
  EXPECT_EQ(asked, kCancels / 1600);
  expect_alive();
}

TEST_F(HostileCallerTest, ItemsOfACallThatDoesNotStream) {
  Held unary;
  pair.service.on[kSmall] = unary.handler();
  hostile.send_request(Lane::normal, kSmall, "unary");  // its id is 1
  hostile.send_small(Lane::normal, Kind::item, 1, "x");
  pair.settle();
  EXPECT_EQ(made.memory->counters(1).items_dropped.value(), 1u);
  EXPECT_FALSE(unary.replies[0].cancelled());
  unary.replies.clear();
  expect_alive();
}

// The server is the test.
class HostileCalleeTest : public ::testing::Test {
 protected:
  HostileCalleeTest() {
    const ServiceDescription* described[] = {&ByteService::described()};
    pair.joint.serve_by_hand("liar", *MethodTable::of(described));
    auto link = pair.caller.connect("joined://liar");
    EXPECT_TRUE(link);
    memory = pair.joint.made().memory;
    client.emplace(std::move(*link));
    other = &client->call(kSmall);
    stream = client->stream(kDown, outcome, {}, {.credit = 4});
    stream.each([this](std::span<const std::byte>) { ++items; });
    other_call = call_at(0);
    call = call_at(ring::up(sizeof(ring::RequestHeader)));
    hostile.emplace(*memory, 1);
  }
  void expect_misuse() {
    pair.caller.poll();
    pair.caller.poll();
    EXPECT_ENDED(outcome, Code::failed_precondition, Ran::yes, Why::stream_misuse);
    EXPECT_EQ(memory->counters(0).streams_misused.value(), 1u);
    EXPECT_FALSE(memory->ended);
    EXPECT_EQ(memory->counters(0).cancels_received.value(), 0u);
    EXPECT_EQ(other->ends, 0);
    hostile->send_small(Lane::normal, Kind::reply, other_call, "answered", ring::flag::your_id);
    pair.caller.poll();
    EXPECT_ANSWERED(*other, "answered");
  }
  // As it stands in the record of a request, so many bytes behind the first.
  [[nodiscard]] u64 call_at(u32 bytes) {
    const ring::Shape& shape = memory->agreement(0).out[0];
    const std::byte* record =
        memory->lane(0, Lane::normal).out_ring + ((static_cast<u32>(shape.first) + bytes) & (shape.ring_bytes - 1));
    u64 id;
    std::memcpy(&id, record + 8, sizeof id);
    return id;
  }

  JoinedPair pair;
  Outcome outcome;
  int items = 0;
  std::shared_ptr<JoinedMemory> memory;
  std::optional<Client> client;
  StreamEnd stream;
  const Outcome* other = nullptr;  // of another call of this link
  u64 call = 0, other_call = 0;
  std::optional<Hand> hostile;
};

TEST_F(HostileCalleeTest, MoreItemsThanTheCreditAllows) {
  StreamEnd second = client->stream(kDown, outcome, {}, {.credit = 4});
  ASSERT_TRUE(stream.pull());
  for (int i = 0; i != 5; ++i) hostile->send_small(Lane::normal, Kind::item, call, "x", ring::flag::your_id);
  expect_misuse();
}

TEST_F(HostileCalleeTest, AnEnd) {
  hostile->send_small(Lane::normal, Kind::end, call, {}, ring::flag::your_id);
  expect_misuse();
}

TEST_F(HostileCalleeTest, CreditThatIsTakenBack) {
  hostile->send_credit(Lane::normal, call, {.items = 1, .bytes = 1}, ring::flag::your_id);
  expect_misuse();
}

TEST_F(HostileCalleeTest, ItemsWithoutTheFlagNameNoCallOfOurs) {
  hostile->send_small(Lane::normal, Kind::item, call, "x");
  pair.caller.poll();
  EXPECT_EQ(items, 0);
  EXPECT_EQ(outcome.ends, 0);
  EXPECT_EQ(memory->counters(0).items_dropped.value(), 1u);
}

}  // namespace
}  // namespace taut::rpc::testing
