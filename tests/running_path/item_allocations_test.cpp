// No item of a stream allocates, in either direction and on either side, nor does a one-way message.
#include <gtest/gtest.h>

#include <memory>

#include "counted.h"
#include "kinds.taut.h"
#include "support/service_folder.h"

namespace running_path {
namespace {

// An end of a stream, and credit that has been used up and come back many times, lie outside of what is counted.
constexpr std::uint64_t kItems = TAUT_CALLS, kMargin = 100'000, kAll = kItems + 2 * kMargin;

struct Streams final : kinds::Kinds::Service {
  void Watch(const kinds::Wanted& wanted, taut::Writer<kinds::Item> out) override {
    feed_ = std::make_unique<Feed>(Feed{std::move(out), wanted.count()});
    send();
  }
  void Load(taut::Reader<kinds::Item> in, taut::Reply<kinds::Total> reply) override {
    count_ = sum_ = 0;
    reply_ = std::move(reply);
    in.each([this](const kinds::Item& item) {
      ++count_;
      sum_ += item.number();
    });
    in.on_close([this](bool) { reply_.send({.count = count_, .sum = sum_}); });
  }
  void Tell(const kinds::Item&) override { ++told_; }
  void Ask(const kinds::Item&, taut::Reply<kinds::Item> reply) override { reply.send({.number = told_}); }

 private:
  struct Feed {
    taut::Writer<kinds::Item> out;
    std::uint64_t count, sent = 0;
  };
  void send() {
    while (feed_->sent != feed_->count) {
      const taut::Sent sent = feed_->out.send({.number = feed_->sent + 1});
      if (sent == taut::Sent::over) return;
      if (sent != taut::Sent::ok) return feed_->out.on_ready([this] { send(); });
      ++feed_->sent;
    }
    feed_->out.finish();
  }
  std::unique_ptr<Feed> feed_;
  taut::Reply<kinds::Total> reply_;
  std::uint64_t count_ = 0, sum_ = 0, told_ = 0;
};

// A server in another process and a client in this one, both counted.
struct Counted {
  Counted() { g_allocations = &mine; }
  ~Counted() {
    g_allocations = nullptr;
    kill(server, SIGKILL);
    waitpid(server, nullptr, 0);
  }
  // For the item of this number: looks at both counters behind the first items and before the last.
  void at(std::uint64_t number) {
    if (number == kMargin) here = mine.load(), there = shared.allocations.load();
    if (number == kMargin + kItems) here = mine.load() - here, there = shared.allocations.load() - there;
  }
  void expect_none() const {
    EXPECT_EQ(here, 0u) << "by the client";
    EXPECT_EQ(there, 0u) << "by the server";
  }

  taut::testing::ServiceFolder folder;
  Shared& shared = shared_memory();
  pid_t server = serve_counted<Streams>(shared);
  taut::Result<taut::Link> link = taut::connect("shm://allocations");
  kinds::Kinds::Client client{*link};
  std::atomic<std::uint64_t> mine{0};
  std::uint64_t here = 1, there = 1;
};

TEST(TAUT_SUITE, no_item_from_the_server_allocates) {
  Counted counted;
  std::uint64_t next = 0, wrong = 0;
  bool ended = false;
  counted.client.Watch({.count = kAll})
      .each([&](const kinds::Item& item) {
        wrong += item.number() != ++next ? 1 : 0;
        counted.at(next);
      })
      .then([&](const taut::Status&) { ended = true; });
  while (!ended) counted.link->poll();
  EXPECT_EQ(next, kAll);
  EXPECT_EQ(wrong, 0u);
  counted.expect_none();
}

TEST(TAUT_SUITE, no_item_that_is_pulled_allocates) {
  Counted counted;
  std::uint64_t next = 0, wrong = 0;
  auto items = counted.client.Watch({.count = kAll});
  ASSERT_TRUE(items.pull());
  while (!items.closed()) {
    while (const kinds::Item* const item = items.next()) {
      wrong += item->number() != ++next ? 1 : 0;
      counted.at(next);
    }
    counted.link->poll();
  }
  EXPECT_EQ(next, kAll);
  EXPECT_EQ(wrong, 0u);
  counted.expect_none();
}

TEST(TAUT_SUITE, no_item_to_the_server_allocates) {
  Counted counted;
  auto upload = counted.client.Load();
  std::uint64_t count = 0, sum = 0;
  bool ended = false;
  upload.then([&](const taut::Answer<kinds::Total>& total) {
    ended = true;
    if (total) count = total->count(), sum = total->sum();
  });
  for (std::uint64_t number = 1; number <= kAll && !ended;) {
    if (upload.send({.number = number})) {
      counted.at(number++);
    } else {
      counted.link->poll();
    }
  }
  upload.close();
  while (!ended) counted.link->poll();
  EXPECT_EQ(count, kAll);
  EXPECT_EQ(sum, kAll * (kAll + 1) / 2);
  counted.expect_none();
}

TEST(TAUT_SUITE, no_one_way_message_allocates) {
  Counted counted;
  for (std::uint64_t number = 1; number <= kAll;) {
    if (counted.client.Tell({.number = number})) {
      counted.at(number++);
    } else {
      counted.link->poll();
    }
  }
  const auto told = counted.client.Ask({}, taut::wait(taut::forever));
  ASSERT_TRUE(told) << told.status();
  EXPECT_EQ(told->number(), kAll);
  counted.expect_none();
}

}  // namespace
}  // namespace running_path
