// Streams of generated stubs, read and written by coroutines on both sides.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "kinds.taut.h"
#include "taut/testing.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

struct Source final : kinds::Kinds::Service {
  void Watch(const kinds::Wanted& wanted, Writer<kinds::Item> out) override {
    tasks.hold(send(keep(wanted), std::move(out)));
  }
  void Talk(Reader<kinds::Line> in, Writer<kinds::Line> out) override {
    ASSERT_TRUE(in.pull());
    tasks.hold(echo(std::move(in), std::move(out)));
  }
  Task send(Message<kinds::Wanted> wanted, Writer<kinds::Item> out) {
    for (std::uint64_t i = 0; i != wanted->count(); ++i) {
      while (!out.send({.number = wanted->first() + i})) {
        ++waited;
        if (!co_await taut::ready(out)) co_return;
      }
    }
    out.finish();
  }
  Task echo(Reader<kinds::Line> in, Writer<kinds::Line> out) {
    while (const kinds::Line* line = co_await taut::next(in)) {
      while (!out.send({.number = line->number(), .text = line->text()->string_view()})) {
        if (!co_await taut::ready(out)) co_return;
      }
    }
    if (in.complete()) out.finish();
  }
  Tasks tasks;
  int waited = 0;
};

struct TypedStreams : ::testing::Test {
  Source source;
  Wire wire;
  Link link = wire.connect(source);
  kinds::Kinds::Client client{link};
};

Task watch(kinds::Kinds::Client* client, std::uint64_t count, std::vector<std::uint64_t>* numbers, Status* end) {
  auto items = client->Watch({.first = 100, .count = count}, {.credit = 8});
  if (!items.pull()) co_return;
  while (const kinds::Item* item = co_await taut::next(items)) numbers->push_back(item->number());
  *end = items.status();
}

TEST_F(TypedStreams, a_server_stream_is_written_and_read_by_tasks) {
  std::vector<std::uint64_t> numbers;
  Status end(Code::unknown, Ran::maybe, Why::none);
  watch(&client, 1000, &numbers, &end);
  wire.settle();
  ASSERT_EQ(numbers.size(), 1000u);
  EXPECT_EQ(numbers.front(), 100u);
  EXPECT_EQ(numbers.back(), 1099u);
  EXPECT_TRUE(end.ok()) << end;
  EXPECT_GT(source.waited, 50);
  EXPECT_TRUE(source.tasks.empty());
}

TEST_F(TypedStreams, a_reader_that_is_destroyed_cancels_its_stream) {
  std::vector<std::uint64_t> numbers;
  Status end;
  Tasks reading;
  reading.hold(watch(&client, 1'000'000'000, &numbers, &end));
  for (int i = 0; i != 20; ++i) link.poll(), wire.server().poll();
  EXPECT_FALSE(source.tasks.empty());
  reading.clear();
  wire.settle();
  EXPECT_TRUE(source.tasks.empty());
}

Task talk(kinds::Kinds::Client* client, std::vector<std::string>* heard, bool* ended) {
  auto talk = client->Talk();
  if (!talk.pull()) co_return;
  for (std::uint64_t n = 1; n <= 3; ++n) {
    while (!talk.send({.number = n, .text = "line " + std::to_string(n)})) {
      if (!co_await taut::ready(talk)) co_return;
    }
    if (const kinds::Line* line = co_await taut::next(talk)) heard->push_back(line->text()->str());
  }
  talk.close();
  *ended = co_await taut::next(talk) == nullptr;
}

TEST_F(TypedStreams, tasks_talk_both_ways) {
  std::vector<std::string> heard;
  bool ended = false;
  talk(&client, &heard, &ended);
  wire.settle();
  EXPECT_EQ(heard, (std::vector<std::string>{"line 1", "line 2", "line 3"}));
  EXPECT_TRUE(ended);
  EXPECT_TRUE(source.tasks.empty());
}

}  // namespace
}  // namespace taut::testing
