// What a client does with servers that do not speak as they should. The server is an honest one with somebody in the
// middle, who spoils what it says.
#include <gmock/gmock.h>

#include "caught.h"
#include "hostile_client.h"
#include "support/process.h"
#include "support/seed.h"

namespace taut::shm::testing {
namespace {

using memory::Descriptor;
using taut::testing::open_descriptors;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct HostileServer : ::testing::Test {
  TemporaryDirectory real, false_one;
  Server server{TransportOptions{.directory = real.path()}};
  TransportOptions options{.directory = false_one.path(), .handshake_timeout = 200ms};
  Client client{options};
  Descriptor listening{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};

  void SetUp() override {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = false_one.path() + "/orders.sock";
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    ASSERT_EQ(bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listening.get(), 10), 0);
  }

  // The sentence that the client has for a server whose welcome was spoiled so; empty: the link came up.
  template <class Spoil>
  std::string with_spoiled(Spoil spoil) {
    client.inbox.failures.clear();
    client.inbox.ups.clear();
    client.connector->attempt();
    Caught caught;
    {
      const Descriptor to_client(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
      HostileClient to_server(real.path());
      EXPECT_TRUE(catch_packet(to_client.get(), caught));
      pass_on(to_server.fd(), caught);
      EXPECT_TRUE(server.poll_until([&] { return catch_packet(to_server.fd(), caught); }));
      spoil(caught);
      pass_on(to_client.get(), caught);
      EXPECT_TRUE(client.poll_until([&] { return client.inbox.failures.size() + client.inbox.ups.size() > 0; }));
    }
    return client.inbox.failures.empty() ? "" : std::string(client.inbox.failures[0].what());
  }
};

TEST_F(HostileServer, is_found_out_by_its_message) {
  EXPECT_EQ(with_spoiled([](Caught&) {}), "") << "an honest one in the middle";
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.as<Welcome>().head.layout = 3; }),
              HasSubstr("the server of shm://orders speaks layout version 3; this side speaks 0"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.as<Welcome>().head.magic = 1; }), HasSubstr("not the magic"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.bytes.resize(100); }),
              HasSubstr("100 bytes that says it has 128"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.as<Welcome>().head.type = MessageType::ready; }),
              HasSubstr("sent 'ready' (4) of 128 bytes; expected was 'welcome' of 128"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.as<Welcome>().first_of_client[1] = 100; }),
              HasSubstr("begins a ring at position 100, which is no multiple of 64"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.as<Welcome>().offer.calls_granted = 65; }),
              HasSubstr("grants 65 calls; asked for were 64"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.as<Welcome>().offer.calls_granted = 0; }),
              HasSubstr("grants 0 calls"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.as<Welcome>().offer.ring_bytes[0] *= 2; }),
              HasSubstr("the server's segment puts its region 'ring' 0"));
}

TEST_F(HostileServer, is_found_out_by_its_descriptors) {
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.descriptors.pop_back(); }),
              HasSubstr("sent 3 descriptors with its message; expected were 4"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.descriptors.clear(); }), HasSubstr("sent 0 descriptors"));
  EXPECT_THAT(with_spoiled([](Caught& caught) { caught.descriptors.emplace_back(fcntl(0, F_DUPFD_CLOEXEC, 0)); }),
              HasSubstr("sent 5 descriptors"));
  const auto replaced = [&](std::size_t which, Descriptor with) {
    return with_spoiled([&](Caught& caught) { caught.descriptors[which] = std::move(with); });
  };
  const auto null = [] { return Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); };
  EXPECT_THAT(replaced(0, null()), HasSubstr("the server's segment is not a memory file"));
  EXPECT_THAT(replaced(1, null()), HasSubstr("the server's control page is not a file of 4096 bytes"));
  EXPECT_THAT(replaced(2, null()), HasSubstr("the server's description is not a sealed memory file"));
  EXPECT_THAT(replaced(3, null()), HasSubstr("the server's board is not a memory file"));

  auto unsealed = memory::create_memory_file("forged", link_segment_bytes({65536, 8192}));
  ASSERT_TRUE(unsealed);
  EXPECT_THAT(replaced(0, *std::move(unsealed)),
              HasSubstr("the server's segment has the seals "));  // kernels may add one of their own
  auto page = memory::ControlPage::create("forged");
  ASSERT_TRUE(page);
  EXPECT_THAT(replaced(1, Descriptor(fcntl(page->fd(), F_DUPFD_CLOEXEC, 0))),
              HasSubstr("the server's control page was handed over with the right to write it"));
  auto writable = memory::create_memory_file("forged", 4096);
  ASSERT_TRUE(writable);
  EXPECT_THAT(replaced(2, *std::move(writable)), HasSubstr("the server's description is not a sealed memory file"));
}

TEST_F(HostileServer, whose_clock_is_another_is_found_out) {
  EXPECT_THAT(with_spoiled([](Caught& caught) {
                caught.as<Welcome>().offer.stamps = {1, 1};
              }),
              HasSubstr("this process and the server of shm://orders do not read one clock"));
  // Another processor's counter, but the same monotonic clock: that one is taken.
  if (Clock::system().source() == ClockSource::tsc) {
    EXPECT_EQ(with_spoiled([](Caught& caught) { caught.as<Welcome>().offer.stamps.tsc += std::uint64_t{1} << 40; }),
              "");
    EXPECT_EQ(client.wire().agreement().clock, ClockSource::monotonic);
  }
}

TEST_F(HostileServer, cannot_speak_to_the_terminal_of_whoever_reads_its_refusal) {
  const std::string sentence = with_spoiled([](Caught& caught) {
    const Error error(Code::unavailable, 0, "clear\x1b[2Jyour screen", "go \x1b]0;away\a");
    auto refusal = make_refusal(error);
    refusal.what_bytes = 65535;
    caught.bytes.resize(sizeof refusal);
    std::memcpy(caught.bytes.data(), &refusal, sizeof refusal);
    caught.descriptors.clear();
  });
  EXPECT_THAT(sentence, HasSubstr("shm://orders refused the link: clear?[2Jyour screen"));
  for (const char c : sentence) EXPECT_GE(c, ' ');
  EXPECT_EQ(client.inbox.failures[0].hint(), "go ?]0;away?");
}

TEST_F(HostileServer, leaves_nothing_behind_whatever_it_sends) {
  (void)with_spoiled([](Caught&) {});
  client.inbox.ups.clear();
  ASSERT_TRUE(poll_both(server, client, [&] { return server.control->poll(0ns) + client.control->poll(0ns) == 0; }));
  const int before = open_descriptors();
  taut::testing::Random random;
  for (std::size_t at = 0; at < sizeof(Welcome); ++at) {
    (void)with_spoiled([&](Caught& caught) {
      caught.bytes[at] ^= static_cast<std::byte>(1 + random.below(255));
      if (random.one_in(4)) caught.descriptors.erase(caught.descriptors.begin() + static_cast<long>(random.below(4)));
    });
    client.inbox.ups.clear();
    ASSERT_TRUE(poll_both(server, client, [&] { return open_descriptors() <= before; })) << at;
  }
}

}  // namespace
}  // namespace taut::shm::testing
