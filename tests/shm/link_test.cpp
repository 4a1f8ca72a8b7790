// Two ends meet, talk through memory, and part.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <array>

#include "ends.h"
#include "hostile_client.h"
#include "support/process.h"
#include "taut/memory/control_page.h"
#include "taut/memory/copy.h"
#include "taut/ring/board.h"
#include "taut/shm/describe.h"

namespace taut::shm::testing {
namespace {

using memory::Descriptor;
using taut::testing::open_descriptors;
using ::testing::HasSubstr;

struct Pair {
  explicit Pair(TransportOptions with = {}) : options(std::move(with)) {
    options.directory = directory.path();
    server = std::make_unique<Server>(options);
    client = std::make_unique<Client>(options);
  }
  bool connect() {
    const std::size_t before = server->inbox.ups.size();
    client->connector->attempt();
    return poll_both(*server, *client,
                     [&] {
                       return (server->inbox.ups.size() > before && client->inbox.ups.size() > before) ||
                              !client->inbox.failures.empty();
                     }) &&
           client->inbox.failures.empty();
  }
  [[nodiscard]] rpc::Wire& at_server() const { return *server->inbox.ups.back().wire; }
  [[nodiscard]] rpc::Wire& at_client() const { return *client->inbox.ups.back().wire; }

  TemporaryDirectory directory;
  TransportOptions options;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
};

// Sends `count` records of one lane and reads them, so that rings wrap.
void carry(rpc::Wire& from, rpc::Wire& to, ring::Lane lane, int count) {
  const auto index = static_cast<std::size_t>(lane);
  ring::Writer out(from.lane(lane).writer(), from.agreement().out[index]);
  ring::Reader in(to.lane(lane).reader(), to.agreement().in[index]);
  for (int i = 0; i < count; ++i) {
    const auto claim = out.claim(1000);
    ASSERT_TRUE(claim);
    out.memory().bytes(claim.at)[999] = static_cast<std::byte>(i);
    out.send(claim, ring::Head::make(1000, ring::Kind::request));
    const auto record = in.next();
    ASSERT_TRUE(record);
    std::array<std::byte, 1024> copy;
    memory::opaque_copy(copy.data(), in.bytes(record), copy.size());
    ASSERT_EQ(copy[999], static_cast<std::byte>(i));
    in.release(record.end);
  }
}

// Both ways to hold the peer's process: the kernel's pidfd, and what older kernels leave.
struct LinkOfEachKernel : ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(link, LinkOfEachKernel, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "scm_pidfd" : "credentials"; });

TEST_P(LinkOfEachKernel, carries_records_on_both_lanes_in_both_directions) {
  Pair pair({.scm_pidfd = GetParam()});
  ASSERT_EQ(pair.server->listened.code(), Code::ok) << pair.server->listened;
  ASSERT_TRUE(pair.connect()) << pair.client->inbox.failures.back();
  for (const ring::Lane lane : {ring::Lane::normal, ring::Lane::urgent}) {
    carry(pair.at_client(), pair.at_server(), lane, 200);
    carry(pair.at_server(), pair.at_client(), lane, 200);
  }
}

TEST(link, agrees_on_everything_that_both_ends_need) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  const rpc::Agreement& client = pair.at_client().agreement();
  const rpc::Agreement& server = pair.at_server().agreement();
  EXPECT_EQ(client.link_id, server.link_id);
  EXPECT_EQ(client.calls_out_max, 64u);
  EXPECT_EQ(server.calls_in_max, 64u);
  EXPECT_EQ(client.clock, server.clock);
  EXPECT_EQ(client.clock, Clock::system().source()) << "one machine, so the stamps nest";
  EXPECT_EQ(client.peer_pid, getpid());
  EXPECT_EQ(client.peer_uid, geteuid());
  EXPECT_EQ(pair.at_server().agreement().peer_uid, geteuid());
  EXPECT_EQ(client.peer_methods.method_count(), 2);
  EXPECT_EQ(client.peer_methods.find("test.Service")->fingerprint, 42u);
  for (std::size_t lane = 0; lane < ring::kLaneCount; ++lane) {
    EXPECT_EQ(client.out[lane].first, server.in[lane].first);
    EXPECT_EQ(client.in[lane].first, server.out[lane].first);
    EXPECT_EQ(client.out[lane].ring_bytes, server.in[lane].ring_bytes);
    EXPECT_EQ(client.out[lane].first % ring::kStep, 0u);
  }
  EXPECT_NE(client.out[0].first, client.in[0].first) << "rings begin at hashed positions";
}

TEST(link, takes_the_smaller_wish_and_each_sides_own_rings) {
  TemporaryDirectory directory;
  const TransportOptions options{.directory = directory.path()};
  Server server(options, "shm://orders?ring=32KiB&inflight=16&reply_max=2KiB");
  ASSERT_EQ(server.listened.code(), Code::ok) << server.listened;
  Client client(options, "shm://orders?ring=128KiB&inflight=500&reply_max=8KiB");
  client.connector->attempt();
  ASSERT_TRUE(poll_both(server, client, [&] { return client.inbox.ups.size() + client.inbox.failures.size() > 0; }));
  ASSERT_TRUE(client.inbox.failures.empty()) << client.inbox.failures.back();
  const rpc::Agreement& agreement = client.wire().agreement();
  EXPECT_EQ(agreement.calls_out_max, 16u);
  EXPECT_EQ(agreement.reply_bytes_max, 2048u);
  EXPECT_EQ(agreement.out[0].ring_bytes, 128u * 1024);
  EXPECT_EQ(agreement.in[0].ring_bytes, 32u * 1024);
}

TEST(link, may_begin_just_below_a_wrap) {
  for (const std::uint64_t first : {std::uint64_t{1} << 32, std::uint64_t{1} << 63, std::uint64_t{0}}) {
    Pair pair({.first_position = first - 64});
    ASSERT_TRUE(pair.connect());
    EXPECT_EQ(pair.at_client().agreement().out[0].first, first - 64);
    carry(pair.at_client(), pair.at_server(), ring::Lane::normal, 200);
    carry(pair.at_server(), pair.at_client(), ring::Lane::urgent, 200);
  }
}

// A client may fill its ring before the server's dispatcher has seen the link.
TEST(link, has_its_words_in_place_before_the_peer_can_look) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  ring::Writer out(pair.at_client().lane(ring::Lane::normal).writer(), pair.at_client().agreement().out[0]);
  while (const auto claim = out.claim(1000)) out.send(claim, ring::Head::make(1000, ring::Kind::request));
  EXPECT_EQ(out.claim(1000).refusal, ring::Refusal::full) << "and not a violation";
  const ring::LaneWords& words = *pair.at_client().lane(ring::Lane::normal).peer;
  EXPECT_EQ(words.taken.position.load(), pair.at_client().agreement().out[0].first);
}

TEST(link, costs_four_descriptors_and_152_kib) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  // Each end is in this process, so a link costs twice its descriptors here. The spare that replaces the one that was
  // taken is made already.
  ASSERT_TRUE(pair.server->poll_until([&] { return pair.server->control->poll(0ns) == 0; }));
  const int before = open_descriptors();
  ASSERT_TRUE(pair.connect());
  pair.server->control->poll(0ns);
  ASSERT_TRUE(pair.server->poll_until([&] { return open_descriptors() == before + 2 * kDescriptorsPerLink; }))
      << open_descriptors() - before;
  EXPECT_EQ(2 * link_segment_bytes({65536, 8192}), 155648u);
  EXPECT_LE(2 * link_segment_bytes({65536, 8192}), 256u * 1024);
  pair.client->inbox.ups.clear();
  pair.server->inbox.ups.clear();
  ASSERT_TRUE(
      poll_both(*pair.server, *pair.client, [&] { return open_descriptors() <= before - 2 * kDescriptorsPerLink; }))
      << open_descriptors() << " of " << before;
}

TEST(link, rings_the_bell_of_a_peer_that_sleeps_in_its_control_plane) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  ASSERT_NE(pair.at_client().peer_board(), nullptr);
  pair.server->board->state().store(ring::board::asleep);
  EXPECT_EQ(pair.at_client().peer_board()->load(), ring::board::asleep);
  while (pair.server->control->poll(0ns) > 0) {
  }
  for (int i = 0; i < 3; ++i) pair.at_client().ring_bell();
  EXPECT_EQ(pair.server->control->poll(10s), 1) << "woken";
  EXPECT_EQ(pair.server->control->poll(0ns), 0) << "the bytes are gone";
  EXPECT_TRUE(pair.server->inbox.endings.empty());
}

TEST(link, never_blocks_who_rings_a_bell_that_nobody_hears) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  for (int i = 0; i < 100000; ++i) pair.at_client().ring_bell();
  ASSERT_TRUE(pair.server->poll_until([&] { return pair.server->control->poll(0ns) == 0; }));
  EXPECT_TRUE(pair.server->inbox.endings.empty());
}

TEST(link, ends_with_a_goodbye_at_the_other_side) {
  for (const bool server_closes : {false, true}) {
    Pair pair;
    ASSERT_TRUE(pair.connect());
    End& stays = server_closes ? static_cast<End&>(*pair.client) : *pair.server;
    (server_closes ? pair.at_server() : pair.at_client()).close();
    ASSERT_TRUE(poll_both(*pair.server, *pair.client, [&] { return !stays.inbox.endings.empty(); }));
    EXPECT_EQ(stays.inbox.endings[0].how.why, Why::peer_closed);
    EXPECT_EQ(stays.inbox.endings[0].link, pair.at_client().agreement().link_id);
    EXPECT_THAT(stays.inbox.endings[0].how.text, HasSubstr("said goodbye"));
    End& closed = server_closes ? static_cast<End&>(*pair.server) : *pair.client;
    EXPECT_TRUE(closed.inbox.endings.empty()) << "who closes knows it";
  }
}

TEST(link, hears_a_goodbye_behind_bells_that_its_peer_never_read) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  pair.at_server().ring_bell();
  pair.at_client().close();  // with the bell unread, which resets the connection
  pair.client.reset();
  pair.server->control->poll(10s);
  ASSERT_FALSE(pair.server->inbox.endings.empty());
  EXPECT_THAT(pair.server->inbox.endings[0].how.text, HasSubstr("said goodbye"));
}

TEST(link, keeps_the_peers_words_mapped_until_the_wire_goes) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  pair.at_server().lane(ring::Lane::normal).own->taken.position.store(4711);
  pair.server->inbox.ups.clear();
  ASSERT_TRUE(pair.client->poll_until([&] { return !pair.client->inbox.endings.empty(); }));
  pair.at_client().close();
  EXPECT_EQ(pair.at_client().lane(ring::Lane::normal).peer->taken.position.load(), 4711u);
}

TEST(link, outlives_its_listener) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  pair.server->acceptor.reset();
  carry(pair.at_client(), pair.at_server(), ring::Lane::normal, 10);
  pair.at_client().close();
  ASSERT_TRUE(pair.server->poll_until([&] { return !pair.server->inbox.endings.empty(); }));
}

TEST(link, may_be_dropped_behind_its_control_plane_and_before_it) {
  for (const bool control_first : {false, true}) {
    Pair pair;
    ASSERT_TRUE(pair.connect());
    auto wire = std::move(pair.client->inbox.ups.back().wire);
    pair.client->inbox.ups.clear();
    pair.client->connector.reset();
    if (control_first) pair.client->control.reset();
    wire.reset();
  }
}

TEST(link, of_which_there_are_many_on_one_server) {
  Pair pair;
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(pair.connect()) << i;
  EXPECT_EQ(pair.server->inbox.ups.size(), 40u);
  carry(*pair.client->inbox.ups[3].wire, *pair.server->inbox.ups[3].wire, ring::Lane::normal, 10);
  const auto info = [&] {
    // The tool waits for its answer, so the server needs a process of its own to poll.
    taut::testing::Child tool([&](taut::testing::Talk&) {
      auto described = describe("orders", 20s, pair.directory.path());
      return described && described->links == 40 && described->pid == getppid() &&
                     described->methods.method_count() == 2 && described->schemas.size() == 1 &&
                     std::equal(described->schemas[0].begin(), described->schemas[0].end(), kSchema)
                 ? 0
                 : 1;
    });
    int status = 0;
    EXPECT_TRUE(pair.server->poll_until([&] { return waitpid(tool.pid(), &status, WNOHANG) == tool.pid(); }));
    return WEXITSTATUS(status);
  };
  EXPECT_EQ(info(), 0);
}

TEST(link, shows_a_halt_to_both_ends_and_lets_no_client_write_it) {
  Pair pair;
  ASSERT_TRUE(pair.connect());
  ASSERT_NE(pair.at_client().halt_word(), nullptr);
  EXPECT_EQ(pair.at_client().halt_word()->load(), 0u);
  // As a tool does: the page is found by its name among the server's descriptors.
  Descriptor page;
  for (int fd = 0; fd < 1024 && !page; ++fd) {
    char target[128] = "";
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (readlink(link.c_str(), target, sizeof target - 1) > 0 &&
        std::strstr(target, "taut:orders:control") != nullptr) {
      page = Descriptor(open(link.c_str(), O_RDWR | O_CLOEXEC));
    }
  }
  auto control = memory::ControlPage::adopt(std::move(page));
  ASSERT_TRUE(control) << control.error();
  control->halt("test");
  EXPECT_NE(pair.at_client().halt_word()->load(), 0u);
  EXPECT_NE(pair.at_server().halt_word()->load(), 0u);

  HostileClient hostile(pair.directory.path());
  hostile.send_hello();
  alignas(cmsghdr) char room[512];
  std::byte bytes[kMessageBytesMax];
  iovec part{bytes, sizeof bytes};
  msghdr message{.msg_name = nullptr,
                 .msg_namelen = 0,
                 .msg_iov = &part,
                 .msg_iovlen = 1,
                 .msg_control = room,
                 .msg_controllen = sizeof room,
                 .msg_flags = 0};
  ASSERT_TRUE(pair.server->poll_until([&] { return recvmsg(hostile.fd(), &message, MSG_DONTWAIT) > 0; }));
  int received[8] = {};
  std::size_t count = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_type != SCM_RIGHTS) continue;
    count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(received, CMSG_DATA(header), count * sizeof(int));
  }
  ASSERT_EQ(count, 4u);
  for (std::size_t i = 0; i < count; ++i) {
    const Descriptor fd(received[i]);
    struct stat status {};
    ASSERT_EQ(fstat(fd.get(), &status), 0);
    const auto size = static_cast<std::size_t>(status.st_size);
    EXPECT_EQ(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0), MAP_FAILED) << i;
    EXPECT_EQ(pwrite(fd.get(), "x", 1, 0), -1) << i;
    EXPECT_EQ(ftruncate(fd.get(), 0), -1) << i;
  }
}

TEST(link, ends_when_a_peer_sends_what_is_no_bell) {
  Pair pair;
  HostileClient client(pair.directory.path());
  ASSERT_TRUE(client.join(*pair.server));
  const int before = open_descriptors();
  client.send_text("b", {0, 1, 2});  // descriptors with a bell are closed by the kernel
  pair.server->control->poll(10s);
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_TRUE(pair.server->inbox.endings.empty());
  client.send_text("no bell");
  ASSERT_TRUE(pair.server->poll_until([&] { return !pair.server->inbox.endings.empty(); }));
  EXPECT_EQ(pair.server->inbox.endings[0].how.why, Why::peer_violation);
}

// As a process that calls exec() does: its link is gone, and its pidfd will not say so.
TEST(link, ends_a_while_after_a_peer_that_lives_closed_its_socket) {
  Pair pair;
  HostileClient client(pair.directory.path());
  ASSERT_TRUE(client.join(*pair.server));
  client.close();
  pair.server->control->poll(10s);
  EXPECT_TRUE(pair.server->inbox.endings.empty()) << "a hang-up alone proves nothing";
  ASSERT_TRUE(pair.server->poll_until([&] { return !pair.server->inbox.endings.empty(); }));
  EXPECT_EQ(pair.server->inbox.endings[0].how.why, Why::peer_closed);
  EXPECT_THAT(pair.server->inbox.endings[0].how.text, HasSubstr("without a goodbye"));
}

}  // namespace
}  // namespace taut::shm::testing
