// A client that serves, and answers its server by hand, rightly or wrongly.
#include "hand.h"

namespace taut::rpc::testing {
namespace {

// A client that serves by hand: the server calls it, and it answers as it likes.
class HostileServedTest : public ::testing::Test {
 protected:
  HostileServedTest() {
    const ServiceDescription* services[] = {&ByteService::described()};
    const MethodTable table = *MethodTable::of(services);
    memory = pair.joint.connect_by_hand("bytes", {}, &table).memory;
    pair.server.poll();
    hand.emplace(*memory, 0);
    pair.service.on[kSmall] = [this](std::string_view, RawReply reply) {
      back.emplace(reply.caller());
      held.push_back(std::move(reply));  // so that the first record of the server is its call
    };
    hand->send_request(Lane::normal, kSmall, "");
    pair.server.poll();
    outcome = &back->call(kEcho, "what do you say?");
    std::memcpy(&call, memory->lane(0, Lane::normal).in_ring + 8, sizeof call);
  }
  // A hundred bytes of a message of three hundred.
  void send_piece(Kind kind, u32 offset) {
    const bool last = offset == 200;
    const auto flags = static_cast<ring::u8>((last ? 0 : ring::flag::more_pieces) |
                                             (kind == Kind::reply ? ring::flag::your_id | ring::flag::extensions : 0));
    const u32 bytes = ring::kPieceHeader + 100;
    std::vector<std::byte> record(bytes, std::byte{'p'});
    const u64 words[] = {Head::make(bytes, kind, flags, 0).word, call,
                         kind == Kind::reply ? u64{ring::extension::piece} : 0,
                         kind == Kind::reply ? 0 : u64{ring::extension::piece} << 48};
    const ring::PieceBlock block{.total = 300, .offset = offset};
    std::memcpy(record.data(), words, sizeof words);
    std::memcpy(record.data() + ring::kBlocksAt, &block, sizeof block);
    hand->send_record(Lane::normal, record);
  }
  void send_cancel() { hand->send_small(Lane::normal, Kind::cancel, call); }

  JoinedPair pair;
  std::shared_ptr<JoinedMemory> memory;
  std::optional<Hand> hand;
  std::vector<RawReply> held;
  std::optional<Client> back;
  const Outcome* outcome = nullptr;
  u64 call = 0;  // of the server
};

TEST_F(HostileServedTest, PiecesOfRequestsAndAnswersAreNotTakenForEachOther) {
  send_piece(Kind::request, 0);  // of a call with the id of the server's
  send_piece(Kind::reply, 0);
  send_cancel();  // of the request that is arriving, not of the answer
  send_piece(Kind::reply, 100);
  send_piece(Kind::request, 100);  // of nothing
  send_cancel();
  send_piece(Kind::reply, 200);
  pair.settle();
  EXPECT_FALSE(memory->ended) << ::testing::PrintToString(pair.log.lines());
  EXPECT_ANSWERED(*outcome, std::string(300, 'p'));
}

TEST_F(HostileServedTest, AnAnswerThatGoesOnWhereARequestBeganEndsItsLink) {
  send_piece(Kind::request, 0);
  send_piece(Kind::reply, 100);
  pair.settle();
  EXPECT_TRUE(memory->ended);
  EXPECT_ENDED(*outcome, Code::unavailable, Ran::maybe, Why::peer_violation);
  EXPECT_FALSE(back->link().up());
}

TEST_F(HostileServedTest, AnAnswerGivenTwiceEndsItsLink) {
  for (int i = 0; i != 2; ++i) {
    for (const u32 offset : {0, 100, 200}) send_piece(Kind::reply, offset);
  }
  pair.settle();
  EXPECT_TRUE(memory->ended);
  EXPECT_ANSWERED(*outcome, std::string(300, 'p'));
}

}  // namespace
}  // namespace taut::rpc::testing
