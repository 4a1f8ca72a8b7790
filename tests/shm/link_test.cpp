// Two ends meet, talk through memory, and part.
#include <gmock/gmock.h>

#include "ends.h"
#include "taut/memory/copy.h"

namespace taut::shm::testing {
namespace {

using ::testing::HasSubstr;

struct Pair {
  TemporaryDirectory directory;
  TransportOptions options{.directory = directory.path()};
  Server server{options};
  Client client{options};
  bool connect() {
    client.connector->attempt();
    return poll_both(server, client,
                     [&] {
                       return (server.inbox.ups.size() == 1 && client.inbox.ups.size() == 1) ||
                              !client.inbox.failures.empty();
                     }) &&
           client.inbox.failures.empty();
  }
};

TEST(link, carries_a_record_each_way) {
  Pair pair;
  ASSERT_EQ(pair.server.listened.code(), Code::ok) << pair.server.listened;
  ASSERT_TRUE(pair.connect()) << pair.client.inbox.failures.back();
  rpc::Wire& client = pair.client.wire();
  rpc::Wire& server = *pair.server.inbox.ups[0].wire;
  EXPECT_EQ(client.agreement().link_id, server.agreement().link_id);
  for (std::size_t lane = 0; lane < ring::kLaneCount; ++lane) {
    const auto end = [&](rpc::Wire& from, rpc::Wire& to) {
      const auto which = static_cast<ring::Lane>(lane);
      ring::Writer out(from.lane(which).writer(), from.agreement().out[lane]);
      ring::Reader in(to.lane(which).reader(), to.agreement().in[lane]);
      const auto claim = out.claim(40);
      ASSERT_TRUE(claim);
      out.memory().bytes(claim.at)[16] = std::byte{99};
      out.send(claim, ring::Head::make(40, ring::Kind::request));
      const auto record = in.next();
      ASSERT_TRUE(record);
      std::array<std::byte, 64> copy;
      memory::opaque_copy(copy.data(), in.memory().bytes(record.at), copy.size());
      EXPECT_EQ(copy[16], std::byte{99});
    };
    end(client, server);
    end(server, client);
  }
}

}  // namespace
}  // namespace taut::shm::testing
