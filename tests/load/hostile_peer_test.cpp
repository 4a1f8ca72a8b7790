// Hostile peers on one server, honest clients beside them: the server lives, keeps no descriptor, and every honest call
// gets its right answer. Under the sanitizers this also says that no byte outside of a message is read or written.
#include "hostile_peer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <deque>
#include <filesystem>

#include "echo.taut.h"
#include "orders.taut.h"
#include "support/amount.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

struct ReadingEcho final : echo::Echo::Service {
  void Echo(const echo::Bytes& request, Reply<echo::Bytes> reply) override {
    reply.send({.data = std::span(request.data()->data(), request.data()->size())});
  }
};

// Reads all that a request holds, answers some at once and some later.
struct ReadingDesk final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    std::uint64_t sum = order.price() + order.quantity() + static_cast<std::uint64_t>(order.side());
    for (const auto byte : *order.party()->symbol()) sum += byte;
    if (order.id() % 8 != 0) return reply.send({.id = order.id(), .desk_id = sum});
    held.push_back(std::move(reply));
    if (held.size() > 32) held.pop_front();  // aborted
  }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override {
    while (!held.empty()) {
      held.front().send({.id = cancel.id()});
      held.pop_front();
    }
    reply.send({.id = cancel.id()});
  }
  void Snapshot(const desk::Book& book, Reply<desk::BookAck> reply) override {
    std::uint64_t sum = 0;
    for (const auto* side : {book.bids(), book.asks()}) {
      if (side == nullptr) continue;
      for (const desk::Level* level : *side) sum += level->quantity();
    }
    if (book.note() != nullptr) {
      for (const char letter : std::string_view(book.note()->c_str(), book.note()->size())) sum += letter;
    }
    reply.send({.seq = book.seq(), .levels = static_cast<std::uint32_t>(sum)});
  }
  std::deque<Reply<desk::Ack>> held;
};

ChildProcess start_server() {
  return ChildProcess([](ChildProcess::Ready ready) {
    Dispatcher loop({.log = [](Severity, std::string_view) {}});
    ReadingEcho echo;
    ReadingDesk desk;
    auto copying = loop.serve("shm://copying?check=copy", echo, desk);
    auto in_place = loop.serve("shm://in_place?check=in_place", echo, desk);
    if (!copying || !in_place) _exit(2);
    ready();
    loop.run_until(Signals{SIGTERM});
  });
}

// Requests as honest clients write them, above and below the size that is always copied.
std::vector<std::vector<std::byte>> valid_payloads() {
  std::vector<std::vector<std::byte>> payloads;
  const auto add = [&](flatbuffers::FlatBufferBuilder& fbb) {
    const auto bytes = std::as_bytes(std::span(fbb.GetBufferPointer(), fbb.GetSize()));
    payloads.emplace_back(bytes.begin(), bytes.end());
  };
  for (const std::size_t size : {8, 200, 1000, 4000}) {
    flatbuffers::FlatBufferBuilder fbb;
    fbb.Finish(echo::CreateBytes(fbb, fbb.CreateVector(std::vector<std::uint8_t>(size, 7))));
    add(fbb);
  }
  for (const std::uint64_t id : {7, 8}) {
    flatbuffers::FlatBufferBuilder fbb;
    const desk::Party party{};
    fbb.Finish(desk::CreateOrder(fbb, id, 1, 2, desk::Side::sell, &party));
    add(fbb);
  }
  flatbuffers::FlatBufferBuilder fbb;
  const auto levels = fbb.CreateVectorOfStructs(std::vector<desk::Level>(64));
  fbb.Finish(desk::CreateBook(fbb, 1, levels, levels, fbb.CreateString("a note of some length")));
  add(fbb);
  return payloads;
}

// A client that keeps the rules, and what it got for that.
struct Honest {
  explicit Honest(const std::string& name) : link(connect("shm://" + name + "?timeout=60s")) {
    if (link) echo.emplace(*link);
  }
  // One call with bytes that no other call has; false: not answered as it should be.
  ::testing::AssertionResult call(Random& random) {
    std::vector<std::uint8_t> bytes(1 + random.below(random.one_in(4) ? 3000 : 100));
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.word());
    const auto answer = echo->Echo({.data = bytes}, taut::wait);
    if (!answer) return ::testing::AssertionFailure() << answer.status();
    if (answer->data()->size() != bytes.size() || !std::equal(bytes.begin(), bytes.end(), answer->data()->begin())) {
      return ::testing::AssertionFailure() << "another answer than it should be";
    }
    ++answered;
    return ::testing::AssertionSuccess();
  }
  Result<Link> link;
  std::optional<echo::Echo::Client> echo;
  std::uint64_t answered = 0;
};

std::size_t descriptors_of(pid_t pid) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
    ++count;
  return count;
}

TEST(HostilePeers, cost_their_own_links_and_nobody_elses) {
  const std::uint64_t messages = amount("TAUT_MESSAGES", 200'000);
  const ServiceFolder folder;
  (void)seed();  // printed here, and the same in all processes
  ChildProcess server = start_server();
  ASSERT_TRUE(server.ready());
  auto* deeds =
      static_cast<Deeds*>(mmap(nullptr, sizeof(Deeds), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(deeds, MAP_FAILED);
  Honest clients[] = {Honest("copying"), Honest("in_place")};
  for (Honest& client : clients) ASSERT_TRUE(client.link) << client.link.error();
  const std::size_t descriptors = descriptors_of(server.pid());

  std::vector<ChildProcess> peers;
  for (const bool flips : {true, true, false}) {
    const std::uint64_t stream = peers.size() + 1;
    peers.emplace_back([&, flips, stream](ChildProcess::Ready ready) {
      ready();
      HostilePeer({.directory = folder.path(),
                   .service = flips ? "copying" : "in_place",
                   .flips = flips,
                   .messages_max = messages,
                   .valid_payloads = valid_payloads()},
                  *deeds, stream)
          .run();
    });
  }
  Random random;
  while (deeds->messages < messages) {
    for (Honest& client : clients) ASSERT_TRUE(client.call(random));
    ASSERT_FALSE(server.gone()) << "the server did not survive";
  }
  for (ChildProcess& peer : peers) EXPECT_EQ(peer.wait(), 0);
  for (Honest& client : clients) {
    EXPECT_TRUE(client.call(random)) << "after them";
    EXPECT_GT(client.answered, 10u);
  }
  // Their links are over: the server lets go of all that they brought.
  while (descriptors_of(server.pid()) > descriptors) ASSERT_TRUE(clients[0].call(random));
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait(), 0);
  std::printf("messages %llu, links %llu, refusals %llu; honest answers %llu and %llu\n",
              static_cast<unsigned long long>(deeds->messages), static_cast<unsigned long long>(deeds->links),
              static_cast<unsigned long long>(deeds->refusals), static_cast<unsigned long long>(clients[0].answered),
              static_cast<unsigned long long>(clients[1].answered));
  EXPECT_GT(deeds->links, 10u);
  EXPECT_GT(deeds->refusals, 10u);
  munmap(deeds, sizeof(Deeds));
}

}  // namespace
}  // namespace taut::testing
