// Two processes that call each other on one link as fast as its small rings take it, each with books of its own: every
// call ends once, neither side waits for the other's room, and when one of them is killed the other's verdicts agree
// with the journal that it left behind.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <optional>
#include <string>

#include "echo.taut.h"
#include "support/accounting/desk.h"
#include "support/accounting/load.h"
#include "support/child_process.h"
#include "support/service_folder.h"

namespace taut::testing {
namespace {

constexpr const char* kUrl = "shm://both?ring=8KiB&urgent_ring=4KiB&inflight=32&reply_max=512&timeout=60s";
constexpr std::uint64_t kEnough = 5'000;  // calls of each side that are answered, where nobody is killed
constexpr int kKills = 10;

// What the processes tell each other beside their link.
struct Told {
  std::atomic<std::uint64_t> server_ok;  // calls of the server that its client answered
  std::atomic<bool> stop;                // no new calls
  std::atomic<bool> server_done, server_balanced;
};
struct Shared {
  Shared()
      : told(*static_cast<Told*>(
            mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~Shared() { munmap(&told, sizeof(Told)); }
  const ServiceFolder folder;
  Journal at_server, at_client;  // what ran there
  Told& told;
};

// Whoever says hello is called from then on.
struct Meeting final : echo::Echo::Service {
  void Echo(const echo::Bytes&, Reply<echo::Bytes> reply) override {
    met.emplace(reply.caller());
    reply.send({});
  }
  std::optional<Link> met;
};

// Kills its process at one of its requests, before the handler, in it, or behind its answer.
Hooks dying(Random& random) {
  const auto die = [at = 1 + random.below(600), seen = std::uint64_t{0}](std::uint64_t) mutable {
    if (++seen == at) raise(SIGKILL);
  };
  switch (random.below(3)) {
    case 0:
      return {.before_entry = die, .in_handler = {}, .after_answer = {}};
    case 1:
      return {.before_entry = {}, .in_handler = die, .after_answer = {}};
    default:
      return {.before_entry = {}, .in_handler = {}, .after_answer = die};
  }
}

// Serves a desk, and calls the desk of the client that said hello last. It waits for nothing: the client may wait for
// it.
class ServerEnd {
 public:
  explicit ServerEnd(Shared& shared, Hooks hooks = {}, std::uint64_t first_id = 1)
      : shared_(shared), desk_(loop_, shared.at_server, std::move(hooks)), random_(1), next_id_(first_id) {}

  bool serve() {
    auto listening = loop_.serve(kUrl, desk_, meeting_);
    if (listening) listener_.emplace(*std::move(listening));
    return listener_.has_value();
  }
  void step() {
    if (load_ && client_->up() && !shared_.told.stop) {
      load_->step();
      shared_.told.server_ok = load_->ok();
    } else {
      loop_.poll();
    }
    if (!load_ && meeting_.met) {
      client_.emplace(*std::move(meeting_.met));
      meeting_.met.reset();
      load_.emplace(*client_, shared_.at_client, random_, LoadOptions{.window = 40, .wait_one_in = 0}, next_id_);
    }
  }
  // The calls to a client that is gone, all of which have ended; then they are forgotten.
  [[nodiscard]] Load* ended() { return load_ && !client_->up() && load_->open() == 0 ? &*load_ : nullptr; }
  void forget() {
    next_id_ += load_->made();
    load_.reset();
    client_.reset();
  }
  [[nodiscard]] bool idle() const { return load_ && load_->open() == 0; }
  [[nodiscard]] const Load& load() const { return *load_; }

 private:
  Shared& shared_;
  Dispatcher loop_{{.log = [](Severity, std::string_view) {}}};
  Desk desk_;
  Meeting meeting_;
  Random random_;
  std::uint64_t next_id_;
  std::optional<Listener> listener_;
  std::optional<Link> client_;
  std::optional<Load> load_;
};

// Calls a desk, waits now and then, and serves its own desk meanwhile.
class ClientEnd {
 public:
  explicit ClientEnd(Shared& shared, Hooks hooks = {}, std::uint64_t first_id = 1)
      : desk_(loop_, shared.at_client, std::move(hooks)), random_(2) {
    auto made = loop_.connect(kUrl, {.serve = {desk_}});
    if (!made) return;
    link_.emplace(*std::move(made));
    link_->on_link([this](bool up) {
      if (up) hello();
    });
    load_.emplace(*link_, shared.at_server, random_, LoadOptions{.window = 40}, first_id);
    hello();
  }
  [[nodiscard]] bool connected() const { return link_.has_value(); }
  void step() { load_->step(); }
  [[nodiscard]] Link& link() { return *link_; }
  [[nodiscard]] Load& load() { return *load_; }

 private:
  void hello() {
    echo::Echo::Client(*link_).Echo({}).then([this](const Answer<echo::Bytes>& heard) {
      if (heard.status().code() == Code::resource_exhausted) hello();  // the ring was full
    });
  }
  Dispatcher loop_{{.log = [](Severity, std::string_view) {}}};
  Desk desk_;
  Random random_;
  std::optional<Link> link_;
  std::optional<Load> load_;
};

TEST(BothWays, sides_that_flood_each_other_both_get_their_answers) {
  Shared shared;
  ChildProcess server([&](ChildProcess::Ready ready) {
    ServerEnd end(shared);
    if (!end.serve()) _exit(1);
    ready();
    while (!shared.told.stop || !end.idle()) end.step();
    std::cout << "server: " << end.load() << std::endl;
    shared.told.server_balanced = end.load().books_balance();
    shared.told.server_done = true;
    while (true) end.step();  // its client may still be calling
  });
  ASSERT_TRUE(server.ready());
  ClientEnd client(shared);
  ASSERT_TRUE(client.connected());
  while (client.load().ok() < kEnough || shared.told.server_ok < kEnough) {
    ASSERT_FALSE(server.gone());
    for (int i = 0; i < 64; ++i) client.step();
  }
  shared.told.stop = true;
  while (client.load().open() != 0 || !shared.told.server_done) {
    ASSERT_FALSE(server.gone());
    client.link().poll();
  }
  std::cout << "client: " << client.load() << std::endl;
  EXPECT_TRUE(client.load().books_balance());
  EXPECT_TRUE(shared.told.server_balanced);
  EXPECT_TRUE(client.link().up()) << "nobody broke a rule";
  EXPECT_EQ(client.load().ended_with(Code::deadline_exceeded, Why::timeout), 0u);
  EXPECT_EQ(shared.at_server.run_twice() + shared.at_client.run_twice(), 0u);
}

void expect_settled(Load& load, int kill) {
  ASSERT_TRUE(load.books_balance()) << "after kill " << kill << ": " << load;
  ASSERT_LE(load.maybes(false), 1u) << "after kill " << kill << ": " << load;
  ASSERT_LE(load.maybes(true), 1u) << "after kill " << kill << ": " << load;
  load.forget_maybes();
}

TEST(BothWays, a_server_that_is_killed_while_both_call_leaves_right_verdicts) {
  Shared shared;
  Random random;
  const auto start = [&](std::uint64_t life) {
    const Hooks hooks = dying(random);
    return ChildProcess([&, hooks, life](ChildProcess::Ready ready) {
      ServerEnd end(shared, hooks, 1 + life * 1'000'000);
      if (!end.serve()) _exit(1);
      ready();
      while (true) end.step();
    });
  };
  ChildProcess server = start(0);
  ASSERT_TRUE(server.ready());
  ClientEnd client(shared);
  ASSERT_TRUE(client.connected());
  for (int kill = 0; kill < kKills; ++kill) {
    while (!server.gone()) {
      for (int i = 0; i < 64; ++i) client.step();
    }
    while (client.link().up()) client.step();
    while (client.load().open() != 0) client.link().poll();
    ASSERT_NO_FATAL_FAILURE(expect_settled(client.load(), kill));
    server = start(static_cast<std::uint64_t>(kill) + 1);
    ASSERT_TRUE(server.ready());
    while (!client.link().up() && !server.gone()) client.link().poll();
  }
  std::cout << client.load() << std::endl;
  EXPECT_GT(client.load().ok(), 0u);
  EXPECT_GT(shared.at_client.entries(), 0u) << "the servers called, too";
  EXPECT_EQ(shared.at_server.run_twice() + shared.at_client.run_twice(), 0u);
}

TEST(BothWays, a_client_that_is_killed_while_both_call_leaves_right_verdicts) {
  Shared shared;
  Random random;
  ServerEnd server(shared);
  ASSERT_TRUE(server.serve());
  std::uint64_t answered = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    const Hooks hooks = dying(random);
    const std::uint64_t first_id = 1 + static_cast<std::uint64_t>(kill) * 1'000'000;
    ChildProcess client([&](ChildProcess::Ready ready) {
      ready();  // at once: the server that it connects to waits in this very line
      ClientEnd end(shared, hooks, first_id);
      if (!end.connected()) _exit(1);
      while (true) end.step();
    });
    while (!client.gone()) {
      for (int i = 0; i < 64; ++i) server.step();
    }
    while (server.ended() == nullptr) server.step();
    answered += server.ended()->ok();
    ASSERT_NO_FATAL_FAILURE(expect_settled(*server.ended(), kill));
    server.forget();
  }
  std::printf("%llu calls of the server were answered\n", static_cast<unsigned long long>(answered));
  EXPECT_GT(answered, 0u);
  EXPECT_GT(shared.at_server.entries(), 0u);
  EXPECT_EQ(shared.at_server.run_twice() + shared.at_client.run_twice(), 0u);
}

}  // namespace
}  // namespace taut::testing
