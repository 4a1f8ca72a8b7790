// A peer that follows no rule: it costs itself its link and nobody else anything. The liar is this test, by hand, at
// the other end of the pipes; an honest client of the same server shows that nothing else suffers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
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

// Whose clock this was nobody knows.
Bytes request_with_budget(std::uint64_t sent, std::uint32_t budget) {
  Bytes record = request(1, 0);
  std::memcpy(record.data() + offsetof(taut::ring::RequestHeader, sent), &sent, sizeof sent);
  std::memcpy(record.data() + offsetof(taut::ring::RequestHeader, budget), &budget, sizeof budget);
  return record;
}

// A server, an honest client of it, and a door to lie at.
class Hostile : public ::testing::Test {
 protected:
  Hostile() : Hostile(Options{}) {}
  explicit Hostile(Options options) : client_(transports(), {.log = taut::testing::silent()}) {
    server_.emplace(transports(options),
                    taut::DispatcherOptions{.log = [this](taut::Severity, std::string_view text) { log_ += text; }});
    listener_.emplace(*server_->serve(url(), echo_));
  }
  [[nodiscard]] std::string door() const { return folder_.path() + "/echo"; }
  [[nodiscard]] std::string url() const { return "pipe://" + door(); }
  void poll_until(const std::function<bool()>& done) {
    while (!done()) {
      server_->poll();
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
  taut::Result<taut::Link> connect(const std::string& timeout = "60s") {
    std::atomic<bool> over{false};
    std::thread turning([&] {
      server_->adopt_thread();
      while (!over) server_->poll();
    });
    auto link = client_.connect(url() + "?timeout=60s&connect_timeout=" + timeout);
    over = true;
    turning.join();
    server_->adopt_thread();
    return link;
  }

  taut::testing::ServiceFolder folder_;
  taut::testing::ContractEcho echo_;
  std::string log_;
  std::optional<taut::rpc::Dispatcher> server_;
  taut::rpc::Dispatcher client_;
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
    return heard.size() >= sizeof(Welcome) && heard.size() >= link_begins();
  }
  // The code of the first answer, once it is there.
  [[nodiscard]] std::optional<taut::Code> answered() {
    hear();
    Frame next;
    for (std::size_t at = link_begins(); at + sizeof next + 8 <= heard.size(); at += sizeof next + next.bytes) {
      std::memcpy(&next, heard.data() + at, sizeof next);
      Head head;
      std::memcpy(&head.word, heard.data() + at + sizeof next, sizeof head.word);
      if (next.kind == FrameKind::record) return static_cast<taut::Code>(head.detail() & 0xff);
    }
    return {};
  }
  Hello hello{.magic = kMagic,
              .version = kVersion,
              .pid = 1,
              .serial = 2,
              .ring_bytes = {65536, 8192},
              .calls = 64,
              .message_bytes_max = 1 << 20};
  Bytes heard;

 private:
  [[nodiscard]] std::size_t link_begins() const {
    Welcome welcome;
    std::memcpy(&welcome, heard.data(), sizeof welcome);
    return sizeof welcome + welcome.table_bytes;
  }
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
                      Lie{"header_with_more_in_it", bytes_of(Frame{0, FrameKind::goodbye, 0, 1})},
                      Lie{"record_of_4_GiB", frame(FrameKind::record, request(1, 0), 0xffffffff)},
                      Lie{"record_above_a_quarter_ring", frame(FrameKind::record, request(1, 16384))},
                      Lie{"record_without_a_header", frame(FrameKind::record, bytes_of(head_of(8, Kind::request)))},
                      Lie{"record_larger_than_its_frame",
                          frame(FrameKind::record, bytes_of(head_of(96, Kind::request)) + Bytes(24))},
                      Lie{"record_smaller_than_its_frame",
                          frame(FrameKind::record, bytes_of(head_of(32, Kind::request)) + Bytes(1016))},
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
  for (const std::byte byte : frame(FrameKind::record, request(7, 0))) {
    ASSERT_FALSE(liar.answered());
    liar.say({byte});
    server_->poll();
  }
  poll_until([&] { return liar.answered().has_value(); });
  EXPECT_EQ(liar.answered(), taut::Code::invalid_argument) << "no bytes are no message";
  EXPECT_TRUE(echoed().ok());
}

TEST_F(Hostile, a_deadline_begins_where_the_request_arrives) {
  Liar liar(door());
  liar.knock();
  poll_until([&] { return liar.welcomed(); });
  constexpr std::uint32_t kMinute = 60'000'000'000 / taut::ring::kBudgetStepNs;
  liar.say(frame(FrameKind::record, request_with_budget(1, kMinute)));
  poll_until([&] { return liar.answered().has_value(); });
  EXPECT_EQ(liar.answered(), taut::Code::invalid_argument) << "not deadline_exceeded by a clock that is another's";
}

TEST_F(Hostile, a_client_that_never_reads_keeps_nobody_waiting) {
  Liar liar(door());
  liar.knock();
  poll_until([&] { return liar.welcomed(); });
  for (std::uint64_t call = 1; call <= 64; ++call) {
    liar.say(frame(FrameKind::record, request(call, 0)));
    server_->poll();
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
  const std::function<void(Hello&)> wishes[] = {
      [](Hello& hello) { hello.version = kVersion + 1; }, [](Hello& hello) { hello.calls = 0; },
      [](Hello& hello) { hello.ring_bytes[0] = 0; },      [](Hello& hello) { hello.ring_bytes[0] = 5000; },
      [](Hello& hello) { hello.ring_bytes[1] = 2048; },   [](Hello& hello) { hello.ring_bytes[1] = 0x80000000; },
  };
  for (const auto& wish : wishes) {
    Liar liar(door());
    wish(liar.hello);
    liar.knock();
    poll_until([&] { return log_.find("asks for what cannot be") != std::string::npos; });
    EXPECT_TRUE(liar.hear().closed);
    log_.clear();
    std::filesystem::remove(door() + ".1.2.up");
    std::filesystem::remove(door() + ".1.2.down");
  }
}

TEST_F(Hostile, a_client_that_serves_what_cannot_be_is_refused) {
  struct Offer {
    std::uint32_t table_bytes, calls_granted;
    Bytes table;
    const char* said;
  };
  const Bytes garbage(100, std::byte{0x5a});
  const Offer offers[] = {
      {100, 0, garbage, "grants 0 calls of a method table of 100 bytes"},
      {0, 64, {}, "grants 64 calls of a method table of 0 bytes"},
      {kClientTableBytesMax + 1, 64, garbage, "of a method table of 65537 bytes"},
      {101, 64, garbage, "did not bring the method table of which it speaks"},
      {100, 64, garbage, "method table: version 23130"},
  };
  for (const Offer& offer : offers) {
    Liar liar(door());
    liar.hello.table_bytes = offer.table_bytes;
    liar.hello.calls_granted = offer.calls_granted;
    if (!offer.table.empty()) liar.say(offer.table);
    liar.knock();
    poll_until([&] { return log_.find(offer.said) != std::string::npos; });
    EXPECT_TRUE(liar.hear().closed);
    log_.clear();
    std::filesystem::remove(door() + ".1.2.up");
    std::filesystem::remove(door() + ".1.2.down");
  }
}

TEST_F(Hostile, a_name_that_leads_to_no_pipe_is_refused) {
  const std::string name = door() + ".1.2.up";
  std::ofstream(folder_.path() + "/file") << "text";
  ASSERT_TRUE(make_fifo(folder_.path() + "/elsewhere"));
  const std::function<void()> traps[] = {
      [&] { std::filesystem::rename(folder_.path() + "/file", name); },
      [&] { std::filesystem::create_symlink(folder_.path() + "/elsewhere", name); },
      [&] { std::filesystem::create_directory(name); },
  };
  for (const auto& set_trap : traps) {
    Liar liar(door());
    std::filesystem::remove(name);
    set_trap();
    liar.knock();
    poll_until([&] { return log_.find("refused a link") != std::string::npos || liar.welcomed(); });
    EXPECT_TRUE(liar.heard.empty());
    log_.clear();
    std::filesystem::remove(name);
    std::filesystem::remove(door() + ".1.2.down");
  }
  EXPECT_TRUE(echoed().ok());
}

struct FewLinks : Hostile {
  FewLinks() : Hostile(Options{.links_max = 1}) {}
};
TEST_F(FewLinks, one_link_more_than_allowed_is_not_taken) {
  ASSERT_TRUE(echoed().ok());
  ASSERT_FALSE(connect("50ms"));
  EXPECT_THAT(log_, ::testing::HasSubstr("has 1 links already"));
  EXPECT_TRUE(echoed().ok());
}

TEST_F(Hostile, nothing_but_the_door_is_left_when_a_link_is_up) {
  ASSERT_TRUE(echoed().ok());
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) EXPECT_EQ(entry.path(), door());
}

TEST_F(Hostile, a_second_server_is_refused_until_the_first_is_gone) {
  taut::rpc::Dispatcher second(transports(), {.log = taut::testing::silent()});
  const auto refused = second.serve(url(), echo_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), taut::Code::already_exists);
  listener_.reset();
  EXPECT_TRUE(second.serve(url(), echo_));
}

// A child that tidies up before it ends: the pipes are its parent's too.
TEST_F(Hostile, a_child_of_fork_does_not_end_the_links_of_its_parent) {
  ASSERT_TRUE(echoed().ok());
  const pid_t child = fork();
  if (child == 0) {
    link_.reset();
    { const taut::rpc::Dispatcher gone = std::move(client_); }
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  for (int i = 0; i < 10; ++i) server_->poll();
  EXPECT_TRUE(echoed().ok());
}

// The server ends in the turn that answered: nothing of it pumps any more.
TEST_F(Hostile, an_answer_of_the_last_turn_arrives) {
  ASSERT_TRUE(echoed().ok());
  std::optional<taut::Status> ended;
  const std::uint8_t data[] = {1, 2, 3};
  echo::Echo::Client(*link_).Echo({.data = data}).then([&](const taut::Answer<echo::Bytes>& answer) {
    ended = answer.status();
  });
  client_.poll();
  while (server_->poll() == 0) {
  }
  listener_.reset();
  server_.reset();
  while (!ended) client_.poll();
  EXPECT_TRUE(ended->ok()) << *ended;
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
                     .message_bytes_max = 1 << 20,
                     .pid = 1,
                     .table_bytes = 0,
                     .zero = 0};
  std::vector<Welcome> lies(8, good);
  lies[0].magic = 0;
  lies[1].version = kVersion + 1;
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
