// A peer that follows no rule: it costs itself its link and nobody else anything. The liar is this test, by hand, at
// the other end of the pipes; an honest client of the same server shows that nothing else suffers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fifo.h"
#include "pipe_transport.h"
#include "protocol.h"
#include "support/service_folder.h"
#include "taut/testing/contract.h"

namespace pipe_transport {
namespace {

using taut::memory::Descriptor;
using taut::ring::Head;
using taut::ring::Kind;
using Bytes = std::vector<std::byte>;

std::vector<std::unique_ptr<taut::rpc::Transport>> transports(Options options = {}) {
  std::vector<std::unique_ptr<taut::rpc::Transport>> list;
  list.push_back(make_transport(options));
  return list;
}

template <class T>
Bytes bytes_of(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}
Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}
// A frame around `inside`, and the size that it states.
Bytes frame(FrameKind kind, const Bytes& inside, std::optional<std::uint32_t> stated = {}, std::uint8_t lane = 0) {
  return bytes_of(Frame{stated.value_or(static_cast<std::uint32_t>(inside.size())), kind, lane, 0}) + inside;
}
// A request for the first method of the table.
Bytes request(std::uint64_t call, std::uint32_t payload_bytes, Kind kind = Kind::request) {
  taut::ring::RequestHeader header{};
  const auto bytes = static_cast<std::uint32_t>(sizeof header) + payload_bytes;
  header.head = Head::make(bytes, kind).word;
  header.call = call;
  Bytes record = bytes_of(header);
  record.resize(bytes);
  return record;
}

// A server, an honest client of it, and a door to lie at.
class Hostile : public ::testing::Test {
 protected:
  Hostile() : Hostile(Options{}) {}
  explicit Hostile(Options options)
      : server_(transports(options), {.log = [this](taut::Severity, std::string_view text) { log_ += text; }}),
        client_(transports(), {.log = taut::testing::silent()}) {
    listener_.emplace(*server_.serve(url(), echo_));
  }
  [[nodiscard]] std::string door() const { return folder_.path() + "/echo"; }
  [[nodiscard]] std::string url() const { return "pipe://" + door(); }
  void poll_until(const std::function<bool()>& done) {
    while (!done()) {
      server_.poll();
      client_.poll();
    }
  }
  // An honest call, as both sides turn.
  taut::Status echoed() {
    if (!link_) {
      auto made = connect();
      if (!made) return {taut::Code::unavailable, taut::Ran::no, taut::Why::not_connected, made.error().what()};
      link_.emplace(*std::move(made));
    }
    std::optional<taut::Status> ended;
    const std::uint8_t data[] = {1, 2, 3};
    echo::Echo::Client(*link_).Echo({.data = data}).then([&](const taut::Answer<echo::Bytes>& answer) {
      ended = answer.status();
    });
    poll_until([&] { return ended.has_value(); });
    return *ended;
  }
  // connect() turns its own dispatcher only, so the server turns in the meantime as a thread would.
  taut::Result<taut::Link> connect() {
    std::atomic<bool> over{false};
    std::thread turning([&] {
      server_.adopt_thread();
      while (!over) server_.poll();
    });
    auto link = client_.connect(url() + "?timeout=60s");
    over = true;
    turning.join();
    server_.adopt_thread();
    return link;
  }

  taut::testing::ServiceFolder folder_;
  taut::testing::ContractEcho echo_;
  std::string log_;
  taut::rpc::Dispatcher server_, client_;
  std::optional<taut::Listener> listener_;
  std::optional<taut::Link> link_;
};

// The pipes of a client that says what it likes.
class Liar {
 public:
  explicit Liar(const std::string& door) : door_(door) {
    const std::string name = door + "." + std::to_string(hello.pid) + "." + std::to_string(hello.serial);
    EXPECT_TRUE(make_fifo(name + ".up") && make_fifo(name + ".down"));
    down_ = *open_fifo(name + ".down", O_RDONLY);
    up_ = *open_fifo(name + ".up", O_RDWR);
  }
  void knock() const { write(*open_fifo(door_, O_WRONLY), bytes_of(hello)); }
  // All of it: the pipe is large enough for what these tests say.
  void say(const Bytes& bytes) const { write(up_, bytes); }
  // What the server said up to now; nothing and `closed` when it is gone.
  Moved hear() {
    std::byte some[4096];
    const Moved moved = read_some(down_.get(), some);
    heard.insert(heard.end(), some, some + moved.bytes);
    return moved;
  }
  [[nodiscard]] bool welcomed() {
    hear();
    return heard.size() >= sizeof(Welcome);
  }
  Hello hello{
      .magic = kMagic, .version = kVersion, .pid = 1, .serial = 2, .ring_bytes = {65536, 8192}, .calls = 64, .zero = 0};
  Bytes heard;

 private:
  static void write(const Descriptor& fd, const Bytes& bytes) {
    EXPECT_EQ(write_some(fd.get(), bytes).bytes, bytes.size());
  }
  std::string door_;
  Descriptor down_, up_;
};

struct Lie {
  const char* name;
  Bytes bytes;
};
class HostileFrame : public Hostile, public ::testing::WithParamInterface<Lie> {};

TEST_P(HostileFrame, ends_its_own_link_and_no_other) {
  ASSERT_TRUE(echoed().ok());
  Liar liar(door());
  liar.knock();
  poll_until([&] { return liar.welcomed(); });
  liar.say(GetParam().bytes);
  poll_until([&] { return liar.hear().closed; });
  poll_until([&] { return log_.find("broke the rules") != std::string::npos; });
  EXPECT_TRUE(echoed().ok());
}

std::uint64_t head_of(std::uint32_t bytes, Kind kind) { return Head::make(bytes, kind).word; }

INSTANTIATE_TEST_SUITE_P(
    A, HostileFrame,
    ::testing::Values(Lie{"kind_that_nobody_knows", frame(FrameKind{9}, {})},
                      Lie{"lane_that_nobody_has", frame(FrameKind::record, request(1, 0), {}, 2)},
                      Lie{"record_of_4_GiB", frame(FrameKind::record, request(1, 0), 0xffffffff)},
                      Lie{"record_above_a_quarter_ring", frame(FrameKind::record, request(1, 16384))},
                      Lie{"record_without_a_header", frame(FrameKind::record, bytes_of(head_of(8, Kind::request)))},
                      Lie{"record_larger_than_its_frame", frame(FrameKind::record, request(1, 64), 32) + Bytes(4096)},
                      Lie{"record_of_0_bytes_inside", frame(FrameKind::record, bytes_of(std::uint64_t{0}) + Bytes(56))},
                      Lie{"pad", frame(FrameKind::record, request(1, 0, Kind::pad))},
                      Lie{"answer_to_no_call", frame(FrameKind::record, request(1, 0, Kind::reply))},
                      Lie{"request_shorter_than_its_header",
                          frame(FrameKind::record, bytes_of(head_of(16, Kind::request)) + Bytes(8))},
                      Lie{"goodbye_with_luggage", frame(FrameKind::goodbye, Bytes(16))},
                      Lie{"mark_of_half_the_size", frame(FrameKind::marks, Bytes(16))}),
    [](const auto& lie) { return std::string(lie.param.name); });

TEST_F(Hostile, a_request_that_comes_byte_by_byte_is_answered) {
  Liar liar(door());
  liar.knock();
  poll_until([&] { return liar.welcomed(); });
  const std::size_t before = liar.heard.size();
  for (const std::byte byte : frame(FrameKind::record, request(7, 0))) {
    liar.say({byte});
    server_.poll();
  }
  // Bytes that are no message: the answer is a refusal, in a frame.
  poll_until([&] { return liar.hear().bytes != 0 || liar.heard.size() >= before + sizeof(Frame) + 16; });
  EXPECT_TRUE(echoed().ok());
}

TEST_F(Hostile, a_client_that_never_reads_keeps_nobody_waiting) {
  Liar liar(door());
  liar.knock();
  poll_until([&] { return liar.welcomed(); });
  for (std::uint64_t call = 1; call <= 64; ++call) {
    liar.say(frame(FrameKind::record, request(call, 0)));
    server_.poll();
  }
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(echoed().ok());
}

// The running side asks for the mark when its ring is full by its own count, and not before.
TEST_F(Hostile, a_mark_beyond_what_was_sent_ends_the_link_when_it_matters) {
  Liar liar(door());
  liar.knock();
  poll_until([&] { return liar.welcomed(); });
  for (std::uint64_t call = 1; !liar.hear().closed; ++call) {
    ASSERT_LT(call, 100'000u) << "more answers than its ring has lines";
    liar.say(frame(FrameKind::marks, bytes_of(Marks{{{call << 32, 0}, {0, 0}}})));
    liar.say(frame(FrameKind::record, request(call, 0)));
    poll_until([&, before = liar.heard.size()] {
      const Moved moved = liar.hear();
      return moved.closed || liar.heard.size() > before;
    });
  }
  EXPECT_THAT(log_, ::testing::HasSubstr("released"));
  EXPECT_TRUE(echoed().ok());
}

TEST_F(Hostile, noise_at_the_door_is_dropped_and_clients_come_in) {
  const Descriptor at_the_door = *open_fifo(door(), O_WRONLY);
  for (const std::size_t bytes : {1u, 31u, 32u, 100u, 4096u}) {
    log_.clear();
    ASSERT_EQ(write_some(at_the_door.get(), Bytes(bytes, std::byte{0x5a})).bytes, bytes);
    poll_until([&] { return log_.find("no client") != std::string::npos; });
  }
  EXPECT_TRUE(echoed().ok());
}

TEST_F(Hostile, an_impossible_wish_is_refused_and_its_pipe_closed) {
  for (const std::uint32_t ring_bytes : {0u, 1u, 4095u, 5000u, 0x80000000u}) {
    Liar liar(door());
    liar.hello.ring_bytes[0] = ring_bytes;
    liar.knock();
    poll_until([&] { return log_.find("asks for what cannot be") != std::string::npos; });
    EXPECT_TRUE(liar.hear().closed) << ring_bytes;
    log_.clear();
    std::filesystem::remove(door() + ".1.2.up");
    std::filesystem::remove(door() + ".1.2.down");
  }
}

TEST_F(Hostile, a_name_that_leads_to_no_pipe_is_refused) {
  Liar liar(door());
  std::filesystem::remove(door() + ".1.2.up");
  std::filesystem::create_symlink("/dev/zero", door() + ".1.2.up");
  liar.knock();
  poll_until([&] { return log_.find("refused a link") != std::string::npos; });
  EXPECT_TRUE(echoed().ok());
}

struct FewLinks : Hostile {
  FewLinks() : Hostile(Options{.links_max = 1}) {}
};
TEST_F(FewLinks, one_link_more_than_allowed_is_not_taken) {
  ASSERT_TRUE(echoed().ok());
  auto second = client_.connect(url() + "?connect_timeout=20ms");
  ASSERT_FALSE(second);
  EXPECT_TRUE(echoed().ok());
}

// The other way round: a server that welcomes with lies.
TEST(HostileServer, a_welcome_that_cannot_be_is_an_error_and_no_memory) {
  const taut::testing::ServiceFolder folder;
  const std::string door = folder.path() + "/echo";
  ASSERT_TRUE(make_fifo(door));
  const Descriptor own = *open_fifo(door, O_RDWR);
  const Welcome good{.magic = kMagic,
                     .version = kVersion,
                     .link = 1,
                     .client_ring_bytes = {65536, 8192},
                     .server_ring_bytes = {65536, 8192},
                     .calls = 64,
                     .reply_bytes_max = 4096,
                     .pid = 1,
                     .table_bytes = 0};
  std::vector<Welcome> lies(8, good);
  lies[0].magic = 0;
  lies[1].version = 2;
  lies[2].client_ring_bytes[0] = 1 << 20;
  lies[3].server_ring_bytes[0] = 1u << 30;
  lies[4].server_ring_bytes[1] = 12345;
  lies[5].calls = 65;
  lies[6].table_bytes = 0x7fffffff;
  lies[7].table_bytes = 16;  // and 16 bytes that are no table
  for (const Welcome& lie : lies) {
    std::atomic<bool> over{false};
    std::thread server([&] {
      while (!over) {
        Hello hello;
        if (read_some(own.get(), std::as_writable_bytes(std::span(&hello, 1))).bytes != sizeof hello) continue;
        const auto down =
            open_fifo(door + "." + std::to_string(hello.pid) + "." + std::to_string(hello.serial) + ".down", O_WRONLY);
        if (down) write_some(down->get(), bytes_of(lie) + Bytes(16, std::byte{0xff}));
      }
    });
    taut::rpc::Dispatcher client(transports(), {.log = taut::testing::silent()});
    const auto link = client.connect("pipe://" + door);
    over = true;
    server.join();
    ASSERT_FALSE(link);
    EXPECT_EQ(link.error().code(),
              lie.table_bytes == 16 ? taut::Code::failed_precondition : taut::Code::invalid_argument)
        << link.error().what();
  }
}

}  // namespace
}  // namespace pipe_transport
