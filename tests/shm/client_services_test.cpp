// What a client offers its server in the handshake, and what a server makes of descriptions that lie.
#include <gmock/gmock.h>
#include <sys/mman.h>

#include "hostile_client.h"
#include "taut/memory/segment.h"

namespace taut::shm::testing {
namespace {

using ::testing::HasSubstr;

struct ServingClient : Client {
  explicit ServingClient(TransportOptions with_options, std::uint32_t inflight = 64) : Client(std::move(with_options)) {
    const rpc::ServiceDescription* services[] = {&kService};
    methods = *rpc::MethodTable::of(services);
    auto made = transport->connect(*rpc::Url::parse("shm://orders"), {.endpoint = 7,
                                                                      .control = *control,
                                                                      .inbox = inbox,
                                                                      .board_fd = board->fd(),
                                                                      .options = {.inflight = inflight},
                                                                      .clock = clock,
                                                                      .methods = &methods,
                                                                      .services = {&kService}});
    EXPECT_TRUE(made) << made.error();
    connector = *std::move(made);
  }
  rpc::MethodTable methods;
};

// The description of what a client serves, as a memory file that a test spoils.
struct Forged {
  memory::Descriptor fd;
  std::uint64_t bytes = memory::kSegmentStep;
};
constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

struct Head {
  std::uint64_t magic = 0x6373'6420'7475'6174;
  std::uint32_t layout = 0;
  std::uint32_t services = 1;
  std::uint64_t table_bytes;
  std::uint64_t bytes;
};

// As an honest client writes it, around any table.
Forged forge(std::span<const std::byte> table, int seals = kAllSeals) {
  const Head head{.table_bytes = table.size(), .bytes = sizeof(Head) + 8 + table.size()};
  std::vector<std::byte> content(memory::kSegmentStep);
  std::memcpy(content.data(), &head, sizeof head);
  std::memcpy(content.data() + sizeof head + 8, table.data(), table.size());
  Forged forged{memory::Descriptor(memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING))};
  EXPECT_EQ(::write(forged.fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
  if (seals != 0) {
    EXPECT_EQ(fcntl(forged.fd.get(), F_ADD_SEALS, seals), 0);
  }
  return forged;
}
std::vector<std::byte> honest_table() {
  const rpc::ServiceDescription* services[] = {&kService};
  return rpc::MethodTable::of(services)->serialize();
}

struct ClientServicesTest : ::testing::Test {
  // The sentence of the refusal, or what came instead.
  std::string refused(const Forged& forged, std::uint32_t calls = 64) {
    HostileClient client(directory.path());
    client.hello.offer.calls_granted = calls;
    client.hello.description_bytes = forged.bytes;
    client.send(client.hello, {client.segment.fd(), client.board.fd(), forged.fd.get()});
    return client.answer(server).refusal();
  }
  TemporaryDirectory directory;
  TransportOptions options{.directory = directory.path()};
  Server server{options};
};

TEST_F(ClientServicesTest, TravelInTheHandshake) {
  ServingClient client(options);
  client.connector->attempt();
  ASSERT_TRUE(poll_both(client, server, [&] { return !client.inbox.ups.empty() && !server.inbox.ups.empty(); }));
  const rpc::Agreement& at_server = server.inbox.ups.back().wire->agreement();
  EXPECT_EQ(at_server.calls_out_max, 64u);
  EXPECT_EQ(at_server.peer_methods.method_count(), 2);
  EXPECT_EQ(at_server.peer_methods.find("test.Service")->fingerprint, 42u);
  const rpc::Agreement& at_client = client.wire().agreement();
  EXPECT_EQ(at_client.calls_in_max, 64u);
  EXPECT_EQ(at_client.calls_out_max, 64u);
}

TEST_F(ClientServicesTest, GrantNoMoreThanTheServerWants) {
  ServingClient client(options, 100);  // the server's own limit is 64
  client.connector->attempt();
  ASSERT_TRUE(poll_both(client, server, [&] { return !client.inbox.ups.empty() && !server.inbox.ups.empty(); }));
  EXPECT_EQ(server.inbox.ups.back().wire->agreement().calls_out_max, 64u);
  EXPECT_EQ(client.wire().agreement().calls_in_max, 100u);
}

TEST_F(ClientServicesTest, OfAHostileClientAreAcceptedWhenTheyAreHonest) {
  EXPECT_EQ(refused(forge(honest_table())), "(welcome)");
}

TEST_F(ClientServicesTest, ThatLieAreRefusedInASentence) {
  EXPECT_THAT(refused(forge(honest_table(), 0)), HasSubstr("the client's description is not a sealed memory file"));
  EXPECT_THAT(refused(forge(honest_table(), F_SEAL_SHRINK | F_SEAL_GROW)), HasSubstr("is not a sealed memory file"));
  const int pipe_of_nobody = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_THAT(refused({memory::Descriptor(pipe_of_nobody)}), HasSubstr("is not a sealed memory file"));
  Forged longer = forge(honest_table());
  longer.bytes *= 2;
  EXPECT_THAT(refused(longer), HasSubstr("has another size than was agreed"));

  std::vector<std::byte> table = honest_table();
  table[0] = std::byte{0xff};
  EXPECT_THAT(refused(forge(table)), HasSubstr("method table: version"));
  table = honest_table();
  table.pop_back();
  EXPECT_THAT(refused(forge(table)), HasSubstr("method table: it is cut off"));
  table = honest_table();
  table.push_back({});
  EXPECT_THAT(refused(forge(table)), HasSubstr("method table: bytes follow its end"));
}

TEST_F(ClientServicesTest, WithATableThatNobodyCouldHaveAreNotRead) {
  constexpr std::size_t kBytes = 8 << 20;
  Forged forged{memory::Descriptor(memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING)), kBytes};
  ASSERT_EQ(ftruncate(forged.fd.get(), kBytes), 0);
  const Head head{.table_bytes = kBytes - 1000, .bytes = kBytes};
  ASSERT_EQ(pwrite(forged.fd.get(), &head, sizeof head, 0), static_cast<ssize_t>(sizeof head));
  ASSERT_EQ(fcntl(forged.fd.get(), F_ADD_SEALS, kAllSeals), 0);
  EXPECT_THAT(refused(forged), HasSubstr("has a larger method table than there can be"));
}

TEST_F(ClientServicesTest, WithoutGrantsAndGrantsWithoutServicesAreRefused) {
  EXPECT_THAT(refused(forge(honest_table()), 0), HasSubstr("grants 0 calls of a description of 4096 bytes"));
  HostileClient client(directory.path());
  client.hello.offer.calls_granted = 64;
  EXPECT_THAT(client.refusal(server), HasSubstr("grants 64 calls of a description of 0 bytes"));
  HostileClient without(directory.path());
  without.hello.offer.calls_granted = 64;
  without.hello.description_bytes = 4096;
  EXPECT_THAT(without.refusal(server), HasSubstr("sent 2 descriptors with its message; expected were 3"));
}

TEST_F(ClientServicesTest, GrantedWithoutMeasureMakeNoRowsAtTheServer) {
  HostileClient client(directory.path());
  client.hello.offer.calls_granted = ~0u;
  const Forged forged = forge(honest_table());
  client.hello.description_bytes = forged.bytes;
  client.send(client.hello, {client.segment.fd(), client.board.fd(), forged.fd.get()});
  auto confirm = make_message<Confirm>();
  confirm.link = client.answer(server).as<Welcome>().link;
  client.send(confirm);
  ASSERT_TRUE(server.poll_until([&] { return !server.inbox.ups.empty(); }));
  EXPECT_EQ(server.inbox.ups.back().wire->agreement().calls_out_max, 64u);
}

}  // namespace
}  // namespace taut::shm::testing
