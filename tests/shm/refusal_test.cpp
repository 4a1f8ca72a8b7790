// What a server does with clients that do not speak as they should: every one hears a sentence, no descriptor stays
// behind, and the next client is served.
#include <gmock/gmock.h>

#include <algorithm>

#include "hostile_client.h"
#include "support/forged_file.h"
#include "support/process.h"
#include "support/seed.h"

namespace taut::shm::testing {
namespace {

using memory::Descriptor;
using taut::testing::Child;
using taut::testing::forged;
using taut::testing::kGoodSeals;
using taut::testing::open_descriptors;
using taut::testing::Talk;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Refusals : ::testing::Test {
  TemporaryDirectory directory;
  TransportOptions options{.directory = directory.path()};
  Server server{options};
  int before = open_descriptors();

  // An honest client still gets its link, and nothing is left of the others.
  void TearDown() override {
    {
      HostileClient honest(directory.path());
      honest.send_hello();
      EXPECT_EQ(honest.answer(server).type(), MessageType::welcome);
    }
    EXPECT_TRUE(server.poll_until([&] { return open_descriptors() == before; }))
        << before << " descriptors before, " << open_descriptors() << " now";
  }
};

TEST_F(Refusals, answer_garbage) {
  for (const char* garbage : {"x-y", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02", "taut shmtaut shm"}) {
    HostileClient client(directory.path());
    client.send_text(garbage);
    EXPECT_THAT(client.answer(server).refusal(), HasSubstr("the client sent")) << garbage;
    EXPECT_TRUE(client.answer(server).closed);
  }
}

TEST_F(Refusals, answer_a_message_that_is_longer_than_any) {
  HostileClient client(directory.path());
  client.send_bytes(std::vector<std::byte>(5000));
  EXPECT_THAT(client.answer(server).refusal(), HasSubstr("a message of more than 1024 bytes"));
}

TEST_F(Refusals, name_both_layout_versions) {
  HostileClient client(directory.path());
  client.hello.head.layout = 7;
  EXPECT_THAT(client.refusal(server), HasSubstr("the client speaks layout version 7; this side speaks 0"));
}

TEST_F(Refusals, name_both_lengths) {
  HostileClient lying(directory.path());
  lying.hello.head.bytes = 4000;
  EXPECT_THAT(lying.refusal(server), HasSubstr("a message of 96 bytes that says it has 4000"));
  HostileClient cut(directory.path());
  cut.hello.head.bytes = 80;
  cut.send_bytes(std::as_bytes(std::span(&cut.hello, 1)).first(80), {cut.segment.fd(), cut.board.fd()});
  EXPECT_THAT(cut.answer(server).refusal(), HasSubstr("'hello' (1) of 80 bytes; expected was 'hello' of 96"));
}

TEST_F(Refusals, answer_messages_out_of_order) {
  HostileClient client(directory.path());
  client.send(make_message<Confirm>());
  EXPECT_THAT(client.answer(server).refusal(), HasSubstr("sent 'confirm' (3) of 32 bytes; expected was 'hello' of 96"));
  HostileClient twice(directory.path());
  twice.send_hello();
  EXPECT_EQ(twice.answer(server).type(), MessageType::welcome);
  EXPECT_THAT(twice.refusal(server), HasSubstr("expected was 'confirm'"));
}

TEST_F(Refusals, answer_a_confirm_of_another_link) {
  HostileClient client(directory.path());
  client.send_hello();
  auto confirm = make_message<Confirm>();
  confirm.link = client.answer(server).as<Welcome>().link + 1;
  client.send(confirm);
  EXPECT_THAT(client.answer(server).refusal(), HasSubstr("the client confirms link"));
}

TEST_F(Refusals, count_the_descriptors) {
  HostileClient none(directory.path());
  none.send(none.hello);
  EXPECT_THAT(none.answer(server).refusal(), HasSubstr("sent 0 descriptors with its message; expected were 2"));
  HostileClient missing(directory.path());
  missing.send(missing.hello, {missing.segment.fd()});
  EXPECT_THAT(missing.answer(server).refusal(), HasSubstr("sent 1 descriptors with its message; expected were 2"));
  HostileClient extra(directory.path());
  extra.send(extra.hello, {extra.segment.fd(), extra.board.fd(), 0});
  EXPECT_THAT(extra.answer(server).refusal(), HasSubstr("sent 3 descriptors with its message; expected were 2"));
  HostileClient many(directory.path());
  many.send(many.hello, std::vector<int>(200, many.segment.fd()));
  EXPECT_THAT(many.answer(server).refusal(), HasSubstr("sent 8 descriptors or more"));
  HostileClient with_describe(directory.path());
  with_describe.send(make_message<Describe>(), {0});
  EXPECT_THAT(with_describe.answer(server).refusal(),
              HasSubstr("sent 1 descriptors with its message; expected were 0"));
}

TEST_F(Refusals, answer_descriptors_of_the_wrong_kind) {
  const Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  HostileClient no_memory(directory.path());
  no_memory.send(no_memory.hello, {null.get(), no_memory.board.fd()});
  EXPECT_THAT(no_memory.answer(server).refusal(), HasSubstr("the client's segment is not a memory file"));
  HostileClient no_board(directory.path());
  no_board.send(no_board.hello, {no_board.segment.fd(), null.get()});
  EXPECT_THAT(no_board.answer(server).refusal(), HasSubstr("the client's board is not a memory file"));
  HostileClient swapped(directory.path());
  swapped.send(swapped.hello, {swapped.board.fd(), swapped.segment.fd()});
  EXPECT_THAT(swapped.answer(server).refusal(), HasSubstr("the client's segment has 4096 bytes"));
}

TEST_F(Refusals, answer_segments_that_are_not_sealed_or_not_whole) {
  const std::size_t size = link_segment_bytes({65536, 8192});
  const auto refused = [&](std::size_t bytes, std::size_t blocks, int seals) {
    HostileClient client(directory.path());
    const Descriptor fd = forged(bytes, blocks, seals);
    client.send(client.hello, {fd.get(), client.board.fd()});
    return client.answer(server).refusal();
  };
  for (int seals = 0; seals < 0x20; ++seals) {
    if ((seals & F_SEAL_SEAL) != 0 || (seals & kGoodSeals) == kGoodSeals) continue;
    EXPECT_THAT(refused(size, size, seals), HasSubstr("needed are SHRINK|GROW|FUTURE_WRITE")) << seals;
  }
  EXPECT_THAT(refused(size, 4096, kGoodSeals), HasSubstr("is sparse: 4096 of its 77824 bytes exist"));
  EXPECT_THAT(refused(size - 4096, size - 4096, kGoodSeals), HasSubstr("has 73728 bytes; 77824 were agreed"));
  EXPECT_THAT(refused(size, size, kGoodSeals), HasSubstr("does not begin with the magic of a segment"));
}

TEST_F(Refusals, answer_offers_that_cannot_be) {
  const auto refused = [&](auto spoil) {
    HostileClient client(directory.path());
    spoil(client.hello);
    return client.refusal(server);
  };
  EXPECT_THAT(refused([](Hello& hello) { hello.offer.ring_bytes[0] = 48 * 1024; }), HasSubstr("a ring of 49152 bytes"));
  EXPECT_THAT(refused([](Hello& hello) { hello.offer.ring_bytes[0] = 0; }), HasSubstr("a ring of 0 bytes"));
  EXPECT_THAT(refused([](Hello& hello) { hello.offer.ring_bytes[1] = 65536; }), HasSubstr("region 'ring' 1"));
  EXPECT_THAT(refused([](Hello& hello) { hello.offer.segment_bytes = std::uint64_t{1} << 40; }),
              HasSubstr("brings a segment of 1099511627776 bytes"));
  EXPECT_THAT(refused([](Hello& hello) { hello.offer.features_needed = 0x40; }), HasSubstr("needs the features"));
  EXPECT_THAT(refused([](Hello& hello) { hello.offer.has_board = 200; }), HasSubstr("200 boards"));
  EXPECT_THAT(refused([](Hello& hello) { hello.calls_wanted = 0; }), HasSubstr("0 calls"));
}

TEST_F(Refusals, come_for_any_change_of_any_byte_of_the_hello) {
  taut::testing::Random random;
  for (std::size_t at = 0; at < sizeof(Hello); ++at) {
    HostileClient client(directory.path());
    reinterpret_cast<unsigned char*>(&client.hello)[at] ^= static_cast<unsigned char>(1 + random.below(255));
    client.send_hello();
    const auto answer = client.answer(server);  // a welcome where the byte is the client's choice
    EXPECT_TRUE(answer.type() == MessageType::refusal || answer.type() == MessageType::welcome) << at;
  }
}

TEST_F(Refusals, end_a_handshake_that_takes_too_long) {
  server.acceptor.reset();
  server.options.handshake_timeout = 30ms;
  server.transport = make_transport(server.options);
  ASSERT_EQ(server.listen("shm://orders").code(), Code::ok);
  before = open_descriptors();
  HostileClient silent(directory.path());
  EXPECT_THAT(silent.answer(server).refusal(), HasSubstr("the client took more than 30 ms for its handshake"));
  HostileClient half(directory.path());
  half.send_hello();
  EXPECT_EQ(half.answer(server).type(), MessageType::welcome);
  EXPECT_THAT(half.answer(server).refusal(), HasSubstr("the client took more than 30 ms"));
}

TEST_F(Refusals, keep_half_open_handshakes_to_their_number) {
  server.acceptor.reset();
  server.options.half_open_max = 4;
  server.transport = make_transport(server.options);
  ASSERT_EQ(server.listen("shm://orders").code(), Code::ok);
  before = open_descriptors();
  std::vector<std::unique_ptr<HostileClient>> silent;
  for (int i = 0; i < 5; ++i) silent.push_back(std::make_unique<HostileClient>(directory.path()));
  EXPECT_THAT(silent[0]->answer(server).refusal(), HasSubstr("has 4 handshakes open and dropped this one, the oldest"));
  HostileClient honest(directory.path());
  honest.send_hello();
  EXPECT_EQ(honest.answer(server).type(), MessageType::welcome) << "slow ones do not keep others out";
}

TEST_F(Refusals, survive_clients_that_vanish_at_any_step) {
  for (int step = 0; step < 4; ++step) {
    HostileClient client(directory.path());
    if (step > 0) client.send_hello();
    if (step > 1) (void)client.answer(server);
    if (step > 2) client.send_text("goodbye");
    client.close();
  }
}

TEST_F(Refusals, meet_another_user_before_anything_is_handed_over) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  ASSERT_EQ(chmod(directory.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod((directory.path() + "/orders.sock").c_str(), 0666), 0);
  Child other([&](Talk& talk) {
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return 1;
    HostileClient client(directory.path());
    client.send_hello();
    talk.say('s');
    pollfd entry{client.fd(), POLLIN, 0};
    ::poll(&entry, 1, -1);
    std::byte buffer[kMessageBytesMax];
    const ssize_t got = recv(client.fd(), buffer, sizeof buffer, 0);
    if (got <= 0) return 2;
    const HostileClient::Answer answer{false, {buffer, buffer + got}};
    return answer.refusal().find("the client runs as uid 65534 and this process as uid 0") != std::string::npos ? 0 : 3;
  });
  ASSERT_EQ(other.talk().hear(), 's');
  ASSERT_TRUE(server.poll_until([&] { return !server.inbox.lines.empty(); }));
  EXPECT_EQ(other.wait(), 0);
}

TEST_F(Refusals, are_logged_with_a_limit) {
  for (int i = 0; i < 50; ++i) {
    HostileClient client(directory.path());
    client.send_text("x-y");
    (void)client.answer(server);
  }
  EXPECT_THAT(server.inbox.lines,
              ::testing::Contains(HasSubstr("shm://orders refused a link: the client sent 3 bytes")));
  EXPECT_LE(server.inbox.lines.size(), 40u) << "ten a second";
}

}  // namespace
}  // namespace taut::shm::testing
