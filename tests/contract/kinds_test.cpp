// What every transport owes each kind of call: order, an end that comes once and last, credit that stops whoever is too
// fast, and nothing lost on the way. The second part of the suite that transport_test.cpp begins.
#include <string>

#include "support/expect_status.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

// Longer than every ring and credit, so that both run out many times.
constexpr std::uint64_t kMany = 20'000;

kinds::WantedInit feed(std::uint32_t stream, std::uint64_t count, kinds::Ending ending = kinds::Ending::finish) {
  return {.stream = stream, .ending = ending, .first = 1, .count = count};
}

// One stream at its receiver: what came, and how it ended.
struct Watched {
  explicit Watched(std::uint32_t stream) : items{.stream = stream} {}
  Followed items;
  int ends = 0;
  Status status;
  std::uint64_t before_end = 0;  // items that had come when the end was told
  void watch(Stream<kinds::Item> stream) {
    stream.each([this](const kinds::Item& item) { items.take(item); }).then([this](const Status& how) { end(how); });
  }
  void end(const Status& how) {
    ++ends;
    status = how;
    before_end = items.count;
  }
  void expect(std::uint64_t count) const {
    EXPECT_EQ(ends, 1);
    EXPECT_EQ(items.count, count);
    EXPECT_EQ(before_end, count) << "the end came before an item";
    EXPECT_EQ(items.wrong, 0u);
  }
};

// Sends the items 1 to `count` of a stream as fast as they are taken, then closes it.
template <class Out>
class Pump {
 public:
  Pump(Out out, std::uint32_t stream, std::uint64_t count) : out(std::move(out)), stream_(stream), end_(count + 1) {
    send();
  }
  Out out;
  [[nodiscard]] std::uint64_t sent() const { return next_ - 1; }
  std::uint64_t no_credit = 0;

 private:
  void send() {
    while (next_ != end_) {
      const Sent sent = out.send(item(stream_, next_));
      if (sent == Sent::over) return;
      if (sent != Sent::ok) {
        no_credit += sent == Sent::no_credit ? 1 : 0;
        return out.on_ready([this] { send(); });
      }
      ++next_;
    }
    out.close();
  }
  std::uint32_t stream_;
  std::uint64_t next_ = 1, end_;
};

void expect_total(const Answer<kinds::Total>& total, std::uint32_t stream, std::uint64_t count) {
  ASSERT_TRUE(total) << total.status();
  EXPECT_EQ(total->stream(), stream);
  EXPECT_EQ(total->count(), count);
  EXPECT_EQ(total->sum(), sum_of_all(stream, count));
}

// ---- server streams

TEST_P(Transport, a_server_stream_brings_every_item_in_order_and_then_its_end) {
  for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, kMany}) {
    Watched watched(7);
    watched.watch(calls->Watch(feed(7, count)));
    poll_until([&] { return watched.ends != 0; });
    EXPECT_TRUE(watched.status.ok()) << watched.status;
    watched.expect(count);
  }
}

TEST_P(Transport, a_server_stream_ends_with_what_its_handler_said_behind_its_items) {
  Watched refused(1), dropped(2), thrown(3);
  refused.watch(calls->Watch(feed(1, 10, kinds::Ending::refuse)));
  dropped.watch(calls->Watch(feed(2, 10, kinds::Ending::drop)));
  thrown.watch(calls->Watch(feed(3, 10, kinds::Ending::throw_up)));
  poll_until([&] { return refused.ends + dropped.ends + thrown.ends == 3; });
  EXPECT_STATUS(refused.status, permission_denied, yes, none, "the feed is closed");
  EXPECT_STATUS(dropped.status, aborted, yes, reply_dropped, "without an answer");
  EXPECT_STATUS(thrown.status, internal, yes, handler_threw, "threw");
  for (const Watched* watched : {&refused, &dropped, &thrown}) watched->expect(10);
}

TEST_P(Transport, a_receiver_that_takes_nothing_stops_its_sender_and_nobody_else) {
  auto stream = calls->Watch(feed(5, kMany), {.credit = 16});
  ASSERT_TRUE(stream.pull());
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(placed(1, answer).ok());
    world->client().poll();
  }
  Followed taken{.stream = 5};
  const auto take = [&] {
    while (const kinds::Item* const item = stream.next()) taken.take(*item);
  };
  world->client().poll();
  take();
  EXPECT_EQ(taken.count, 16u) << "the credit is what came before anything was taken";
  poll_until([&] { return take(), stream.closed(); });
  EXPECT_TRUE(stream.status().ok()) << stream.status();
  EXPECT_EQ(taken.count, kMany);
  EXPECT_EQ(taken.wrong, 0u);
}

TEST_P(Transport, a_stream_that_is_cancelled_ends_once_and_its_handler_hears_of_it) {
  Watched watched(9);
  CallRef call = calls->Watch({.stream = 9, .ending = kinds::Ending::stay, .first = 1, .count = 3})
                     .each([&](const kinds::Item& item) { watched.items.take(item); })
                     .then([&](const Status& status) { watched.end(status); });
  poll_until([&] { return watched.items.count == 3; });
  EXPECT_FALSE(world->journal.entered(1));
  call.cancel();
  EXPECT_EQ(watched.ends, 0) << "callbacks run in turns";
  poll_until([&] { return watched.ends != 0; });
  EXPECT_EQ(watched.status.code(), Code::cancelled);
  world->let_server_work([&] { return world->journal.entered(1); });
  EXPECT_TRUE(placed(1, answer).ok());
  watched.expect(3);
}

TEST_P(Transport, a_wait_in_the_middle_of_a_stream_keeps_its_items_for_the_next_turn) {
  Watched watched(4);
  watched.watch(calls->Watch(feed(4, 200)));
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t before = watched.items.count;
    EXPECT_TRUE(placed(1, answer).ok());
    EXPECT_EQ(watched.items.count, before) << "an item was handed over inside a wait";
  }
  poll_until([&] { return watched.ends != 0; });
  watched.expect(200);
}

// ---- client streams

TEST_P(Transport, an_upload_is_answered_when_it_is_whole) {
  for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, kMany}) {
    const auto stream = static_cast<std::uint32_t>(count == 0 ? 0 : 6);
    Pump upload(calls->Load(), stream, count);
    bool ended = false;
    upload.out.then([&](const Answer<kinds::Total>& total) {
      ended = true;
      expect_total(total, stream, count);
    });
    poll_until([&] { return ended; });
    EXPECT_EQ(upload.sent(), count);
    EXPECT_EQ(upload.out.send(item(6, count + 1)), Sent::over);
  }
}

TEST_P(Transport, a_server_that_reads_nothing_stops_an_upload_until_it_reads_on) {
  Pump upload(calls->Load(), slow, kMany);
  std::uint64_t count = 0;
  upload.out.then([&](const Answer<kinds::Total>& total) {
    expect_total(total, slow, kMany);
    count = total ? total->count() : 1;
  });
  poll_until([&] { return upload.no_credit != 0; });
  std::uint64_t stuck = 0;
  while (stuck != upload.sent()) {  // until the credit that is still on its way has come
    stuck = upload.sent();
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(placed(1, answer).ok());
    world->client().poll();
  }
  EXPECT_LT(stuck, 1000u) << "far beyond what the server takes";
  EXPECT_EQ(count, 0u);
  auto kept = calls->Ask({.stream = take_what_is_kept}, taut::wait);
  ASSERT_TRUE(kept) << kept.status();
  EXPECT_EQ(kept->number(), 1u) << "the one item that it had read";
  poll_until([&] { return count != 0; });
  EXPECT_EQ(count, kMany);
}

TEST_P(Transport, an_upload_that_is_refused_half_way_takes_no_more) {
  Pump upload(calls->Load(), refuse_third, kMany);
  Status ended;
  upload.out.then([&](const Answer<kinds::Total>& total) { ended = total.status(); });
  poll_until([&] { return !ended.ok(); });
  EXPECT_STATUS(ended, permission_denied, yes, none, "no third one");
  EXPECT_LT(upload.sent(), kMany);
  EXPECT_EQ(upload.out.send(item(refuse_third, 4)), Sent::over);
  EXPECT_TRUE(placed(1, answer).ok());
}

TEST_P(Transport, an_upload_that_is_let_go_is_never_taken_for_whole) {
  constexpr std::uint32_t kStream = 77;
  int ends = 0;
  Status ended;
  {
    auto upload = calls->Load();
    EXPECT_TRUE(upload.send(item(kStream, 1)));
    EXPECT_TRUE(placed(1, answer).ok()) << "behind which the server has begun with the upload";
    upload.then([&](const Answer<kinds::Total>& total) {
      ++ends;
      ended = total.status();
    });
  }
  poll_until([&] { return ends != 0; });
  EXPECT_EQ(ended.code(), Code::cancelled);
  world->let_server_work([&] { return world->journal.entered(kStream); });
}

// ---- both ways

TEST_P(Transport, both_ways_every_item_comes_back_also_behind_the_half_close) {
  Followed back{.stream = 8};
  int ends = 0;
  Status ended;
  auto duplex = calls->Swap();
  duplex.each([&](const kinds::Item& item) { back.take(item); });
  duplex.then([&](const Status& status) {
    ++ends;
    ended = status;
  });
  Pump swap(std::move(duplex), 8, kMany);
  std::uint64_t back_at_close = 0;
  poll_until([&] {
    if (swap.sent() < kMany) back_at_close = back.count;
    return ends != 0;
  });
  EXPECT_TRUE(ended.ok()) << ended;
  EXPECT_EQ(back.count, kMany);
  EXPECT_EQ(back.wrong, 0u);
  EXPECT_LT(back_at_close, kMany) << "items came behind the half-close";
  EXPECT_EQ(ends, 1);
}

TEST_P(Transport, both_ways_texts_of_every_size_come_back_whole) {
  auto talk = calls->Talk();
  std::vector<std::string> said, heard;
  bool ended = false;
  talk.each([&](const kinds::Line& line) { heard.push_back(line.text()->str()); });
  talk.then([&](const Status& status) {
    ended = true;
    EXPECT_TRUE(status.ok()) << status;
  });
  for (std::size_t size = 0; size <= 4096; size += size < 64 ? 1 : 257) {
    said.emplace_back(size, static_cast<char>('a' + size % 26));
    const kinds::LineInit line{.number = said.size(), .text = said.back()};
    poll_until([&] { return static_cast<bool>(talk.send(line)); });
    poll_until([&] { return heard.size() == said.size(); });
  }
  EXPECT_EQ(talk.send({.text = std::string(4097, 'x')}), Sent::too_big) << "the schema's cap";
  talk.close();
  EXPECT_EQ(talk.send({.text = "late"}), Sent::over);
  poll_until([&] { return ended; });
  EXPECT_EQ(heard, said);
}

// ---- several at once, and ends

TEST_P(Transport, several_streams_at_once_do_not_mix_up_their_items) {
  constexpr std::uint64_t kEach = kMany / 10;
  std::vector<std::unique_ptr<Watched>> watched;
  std::vector<std::unique_ptr<Pump<Upload<kinds::Item, kinds::Total>>>> uploads;
  std::size_t answered_count = 0, ended_count = 0;
  for (std::uint32_t stream = 100; stream < 108; ++stream) {
    watched.push_back(std::make_unique<Watched>(stream));
    watched.back()->watch(calls->Watch(feed(stream, kEach), {.credit = 8 + stream % 3}));
    uploads.push_back(std::make_unique<Pump<Upload<kinds::Item, kinds::Total>>>(calls->Load(), stream, kEach));
    uploads.back()->out.then([&, stream](const Answer<kinds::Total>& total) {
      ++answered_count;
      expect_total(total, stream, kEach);
    });
  }
  for (std::uint64_t id = 1; id <= 20; ++id) place(id);
  poll_until([&] {
    ended_count = 0;
    for (const auto& one : watched) ended_count += one->ends != 0 ? 1u : 0u;
    return answered_count == uploads.size() && ended_count == watched.size() && ends.size() == 20;
  });
  for (const auto& one : watched) one->expect(kEach);
}

TEST_P(Transport, a_server_that_goes_ends_its_streams_once_each) {
  Watched watched(1);
  watched.watch(calls->Watch(feed(1, 100, kinds::Ending::stay)));
  auto upload = calls->Load();
  Status answered_with;
  upload.then([&](const Answer<kinds::Total>& total) { answered_with = total.status(); });
  poll_until([&] { return watched.items.count == 100; });
  world->lose_server();
  poll_until([&] { return watched.ends != 0 && !answered_with.ok(); });
  EXPECT_EQ(watched.status.code(), Code::unavailable) << watched.status;
  EXPECT_EQ(answered_with.code(), Code::unavailable) << answered_with;
  EXPECT_EQ(upload.send(item(1, 1)), Sent::over);
  watched.expect(100);
}

// ---- one-way messages

TEST_P(Transport, one_way_messages_arrive_once_and_in_order) {
  constexpr std::uint64_t kGate = 2 * kMany;
  std::uint64_t refused = 0;
  // The server handles none before the first one was refused.
  ASSERT_TRUE(calls->Tell({.stream = hold_up, .number = kGate}));
  for (std::uint64_t number = 1; number <= kMany;) {
    if (calls->Tell(item(0, number))) {
      ++number;
    } else {
      if (++refused == 1) world->journal.leave(kGate);
      world->client().poll();
    }
  }
  const auto told = calls->Ask({.stream = how_many_were_told}, wait(60s));
  ASSERT_TRUE(told) << told.status();
  EXPECT_EQ(told->number(), kMany);
  EXPECT_EQ(told->sum(), 0u) << "lost, doubled, out of order, or torn";
  EXPECT_EQ(world->journal.run_twice(), 0u);
  EXPECT_GT(refused, 0u) << "a full ring says so; on no transport it holds so many";
  world->dismiss_server();
  poll_until([&] { return !link->up(); });
  EXPECT_FALSE(calls->Tell(item(0, 1))) << "there is no server";
}

}  // namespace
}  // namespace taut::testing
