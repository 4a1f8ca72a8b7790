// The limit and the timeout of a method act as its schema says, between two dispatchers over shm://.
#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <thread>

#include "limited.taut.h"
#include "support/service_folder.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

struct Holding final : limited::Limited::Service {
  void Hold(const limited::Ask& ask, Reply<limited::Got> reply) override {
    held.emplace_back(ask.number(), std::move(reply));
  }
  void Free(const limited::Ask& ask, Reply<limited::Got> reply) override {
    for (auto& [number, waiting] : held) waiting.send({.number = number});
    held.clear();
    reply.send({.number = ask.number()});
  }
  void Late(const limited::Ask&, Reply<limited::Got> reply) override {
    left_ns = reply.left().count();
    late.push_back(std::move(reply));
  }
  std::vector<std::pair<std::uint32_t, Reply<limited::Got>>> held;
  std::vector<Reply<limited::Got>> late;
  std::atomic<std::int64_t> left_ns{-1};
};

// A server on a thread of its own, and a client whose calls end after half a minute where nothing else is said.
struct SchemaOptions : ::testing::Test {
  void serve(std::function<void(Listener&)> set_up = [](Listener&) {}) {
    std::promise<void> ready;
    server = std::thread([&, set_up] {
      taut::Dispatcher own;
      auto listener = own.serve("shm://limited", service);
      EXPECT_TRUE(listener) << listener.error();
      if (listener) set_up(*listener);
      loop = &own;
      ready.set_value();
      own.run();
    });
    ready.get_future().wait();
    auto made = taut::connect("shm://limited?timeout=30s");
    ASSERT_TRUE(made) << made.error();
    link.emplace(*std::move(made));
    client.emplace(*link);
  }
  void TearDown() override {
    client.reset();
    link.reset();
    if (loop != nullptr) loop->stop();
    if (server.joinable()) server.join();
  }
  // So many calls of Hold, of which those beyond the limit end at once; then the others. Returns how many were over it.
  int over_the_limit(int calls) {
    int ended = 0, over = 0, answered = 0;
    for (int i = 0; i != calls; ++i) {
      client->Hold({.number = static_cast<std::uint32_t>(i)}).then([&](const Answer<limited::Got>& answer) {
        ++ended;
        if (answer) {
          ++answered;
          return;
        }
        EXPECT_EQ(answer.status().code(), Code::resource_exhausted);
        EXPECT_EQ(answer.status().why(), Why::method_limit) << answer.status();
        EXPECT_EQ(answer.status().ran(), Ran::no);
        EXPECT_EQ(answered, 0) << "they end before those that were let in";
        ++over;
      });
    }
    bool freed = false;
    client->Free({}).then([&](const Answer<limited::Got>& answer) {
      EXPECT_TRUE(answer) << answer.status();
      freed = true;
    });
    while (ended != calls || !freed) link->poll();  // each ends by its timeout at the latest
    EXPECT_EQ(answered + over, calls);
    return over;
  }

  ServiceFolder folder;
  Holding service;
  std::thread server;
  taut::Dispatcher* loop = nullptr;
  std::optional<Link> link;
  std::optional<limited::Limited::Client> client;
};

TEST_F(SchemaOptions, TheLimitOfAMethodIsWhatItsServerTakesOn) {
  serve();
  EXPECT_EQ(over_the_limit(5), 3);
  EXPECT_EQ(over_the_limit(2), 0) << "answered calls count no more";
}

TEST_F(SchemaOptions, TheLimitOfTheListenerTakesItsPlace) {
  serve([](Listener& listener) { EXPECT_TRUE(listener.limit("Hold", 1)); });
  EXPECT_EQ(over_the_limit(5), 4);
}

TEST_F(SchemaOptions, AListenerMayLiftTheLimit) {
  serve([](Listener& listener) { EXPECT_TRUE(listener.limit("Hold", 0)); });
  EXPECT_EQ(over_the_limit(5), 0);
}

TEST_F(SchemaOptions, TheTimeoutOfAMethodEndsItsCallsAndIsKnownToTheServer) {
  serve();
  const auto late = client->Late({}, taut::wait);
  EXPECT_EQ(late.status().code(), Code::deadline_exceeded) << late.status();
  if (late.status().ran() == Ran::yes) {  // a busy machine may drop it in the queue
    EXPECT_GE(service.left_ns, 0);
    EXPECT_LE(service.left_ns, std::chrono::nanoseconds(20ms).count());
  }
  bool ended = false;
  client->Late({}).then([&](const Answer<limited::Got>& answer) {
    EXPECT_EQ(answer.status().code(), Code::deadline_exceeded) << answer.status();
    ended = true;
  });
  while (!ended) link->poll();
  const auto other = client->Free({.number = 7}, taut::wait);
  ASSERT_TRUE(other) << other.status() << ": it has the timeout of its link";
  EXPECT_EQ(other->number(), 7u);
}

}  // namespace
}  // namespace taut::testing
