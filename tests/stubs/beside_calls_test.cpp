// What goes beside typed messages and streams, as their handlers ask for it.
#include <gmock/gmock.h>

#include "kinds.taut.h"
#include "taut/testing.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

// Says what it was asked by whom, and calls back who asked.
struct Asked final : kinds::Kinds::Service {
  void Tell(const kinds::Item& item, const Told& told) override {
    note("Tell", told);
    waited = told.queued();
    if (item.number() == 7) back.emplace(told.caller());
  }
  void Watch(const kinds::Wanted&, Writer<kinds::Item> out) override {
    note("Watch", out);
    waited = out.queued();
    left = out.left();
    back.emplace(out.caller());
    out.finish();
    EXPECT_TRUE(out.metadata().empty()) << "the call has ended";
  }
  void Load(Reader<kinds::Item>, Reply<kinds::Total> reply) override {
    note("Load", reply);
    reply.send({});
  }
  void Talk(Reader<kinds::Line>, Writer<kinds::Line> out) override {
    note("Talk", out);
    out.finish();
  }
  template <class Beside>
  void note(const std::string& method, const Beside& beside) {
    notes.push_back(method + " " + std::string(beside.metadata().find("tenant").value_or("-")) +
                    (beside.trace() != nullptr ? " traced" : "") + (beside.peer().uid ? " known" : ""));
  }
  std::vector<std::string> notes;
  Nanoseconds waited{-1}, left{-1};
  std::optional<Link> back;
};

struct Events final : kinds::Kinds::Service {
  void Tell(const kinds::Item& item, const Told&) override { numbers.push_back(item.number()); }
  std::vector<std::uint64_t> numbers;
};

struct BesideCalls : ::testing::Test {
  BesideCalls() {
    token.set_trace(*TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  }
  Metadata token{{"tenant", "blue"}};
  Asked asked;
  Events events;
  Wire wire{{.serve = {events}}};
  Link link = wire.connect(asked);
  kinds::Kinds::Client calls{link};
};

TEST_F(BesideCalls, EveryKindOfHandlerKnowsMetadataAndTrace) {
  EXPECT_TRUE(calls.Tell({.number = 1}, token));
  calls.Watch({}, {.metadata = token}).each([](const kinds::Item&) {}).then([](const Status&) {});
  auto load = calls.Load({.metadata = token});
  load.close().then([](const Answer<kinds::Total>&) {});
  auto talk = calls.Talk({.metadata = token});
  talk.each([](const kinds::Line&) {});
  talk.then([](const Status&) {});
  EXPECT_TRUE(calls.Tell({.number = 2}));
  wire.advance(1us);
  EXPECT_THAT(asked.notes,
              ElementsAre("Tell blue traced", "Watch blue traced", "Load blue traced", "Talk blue traced", "Tell -"));
}

TEST_F(BesideCalls, AWriterKnowsHowMuchTimeIsLeft) {
  calls.Watch({}, {.timeout = 160us}).each([](const kinds::Item&) {}).then([](const Status&) {});
  wire.advance(1us);
  EXPECT_GT(asked.left, 0us);
  EXPECT_LE(asked.left, 160us);
  EXPECT_GE(asked.waited, 0us);
}

TEST_F(BesideCalls, AMessageAndAStreamBringTheClientThatSentThem) {
  EXPECT_TRUE(calls.Tell({.number = 7}));
  wire.advance(1us);
  ASSERT_TRUE(asked.back);
  EXPECT_TRUE(kinds::Kinds::Client(*asked.back).Tell({.number = 8}));
  calls.Watch({}).each([](const kinds::Item&) {}).then([](const Status&) {});
  wire.advance(1us);
  EXPECT_TRUE(kinds::Kinds::Client(*asked.back).Tell({.number = 9}));
  wire.advance(1us);
  EXPECT_THAT(events.numbers, ElementsAre(8, 9));
  asked.back.reset();
}

}  // namespace
}  // namespace taut::testing
