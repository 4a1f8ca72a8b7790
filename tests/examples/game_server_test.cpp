// The world, stepped by hand.
#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "game_server/world.h"
#include "taut/testing.h"

namespace game_server {
namespace {

using taut::Code;

struct Game : ::testing::Test {
  std::uint32_t join() { return game.Join({.name = "Ada"}, taut::wait)->player(); }
  struct Seen {
    std::optional<Code> code;
    std::uint64_t tick = 0, seq = 0;
    std::int32_t x = 0, y = 0;
    std::size_t near = 0;
  };
  Seen& play(std::uint32_t player, std::uint64_t seq, std::int8_t dx, std::int8_t dy) {
    Seen& seen = views.emplace_back();
    game.Play({.player = player, .seq = seq, .dx = dx, .dy = dy}).then([&seen](const taut::Answer<game::View>& view) {
      seen.code = view.status().code();
      if (view) seen = {Code::ok, view->tick(), view->seq(), view->x(), view->y(), view->near()->size()};
    });
    wire.settle();
    return seen;
  }
  void step() {
    world.step();
    wire.settle();
  }

  World world;
  taut::testing::Wire wire;
  taut::Link link = wire.connect(world);
  game::Game::Client game{link};
  std::deque<Seen> views;
};

TEST_F(Game, an_input_is_answered_by_the_tick_that_applies_it) {
  const auto player = join();
  const Seen& seen = play(player, 1, 1, -1);
  EXPECT_FALSE(seen.code.has_value());
  step();
  ASSERT_EQ(seen.code, Code::ok);
  EXPECT_EQ(seen.tick, 1u);
  EXPECT_EQ(seen.x, 1);
  EXPECT_EQ(seen.y, -1);
  step();
  EXPECT_EQ(game.Look({}, taut::wait)->inputs(), 1u);
}

TEST_F(Game, an_input_that_is_not_the_next_one_or_too_far_or_too_early_is_refused) {
  const auto player = join();
  EXPECT_EQ(play(player, 2, 0, 0).code, Code::out_of_range);
  EXPECT_EQ(play(player, 1, 2, 0).code, Code::invalid_argument);
  EXPECT_EQ(play(player + 1, 1, 0, 0).code, Code::not_found);
  play(player, 1, 1, 0);
  EXPECT_EQ(play(player, 1, 1, 0).code, Code::out_of_range) << "taken already";
  EXPECT_EQ(play(player, 2, 1, 0).code, Code::failed_precondition);
  step();
  EXPECT_EQ(game.Leave({.player = player}, taut::wait)->x(), 1);
}

TEST_F(Game, players_see_those_who_are_near) {
  const auto one = join(), two = join();
  const Seen& seen = play(one, 1, 0, 0);
  step();
  EXPECT_EQ(seen.near, 1u);
  for (std::uint64_t seq = 1; seq <= 9; ++seq) {
    play(two, seq, 1, 0);
    step();
  }
  const Seen& alone = play(one, 2, 0, 0);
  step();
  EXPECT_EQ(alone.near, 0u);
}

}  // namespace
}  // namespace game_server
