// The world and its service: inputs are collected between two ticks, and applied, in the order in which they came, by
// the tick that answers them. One whose caller's time is over by then is not applied, and may be sent again.
//
// W1  a player's inputs are applied in order, each once: the service takes only the one behind the last that was
// W2  at most one input of a player waits for the tick
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "game.taut.h"
#include "taut/taut.h"

namespace game_server {

class World final : public game::Game::Service {
 public:
  static constexpr std::uint32_t kTicksPerSecond = 60;
  static constexpr std::size_t kNearMax = 16;
  static constexpr std::int32_t kSight = 8;

  void Join(const game::Joining&, taut::Reply<game::Joined> reply) override {
    const std::uint32_t player = ++joined_;
    players_.try_emplace(player);
    reply.send({.player = player, .ticks_per_second = kTicksPerSecond});
  }

  void Play(const game::Input& input, taut::Reply<game::View> reply) override {
    const auto found = players_.find(input.player());
    if (found == players_.end()) return reply.refuse(taut::Code::not_found, "nobody has this number");
    Player& player = found->second;
    const bool waits = player.waits_for > tick_;
    if (input.seq() != player.applied + (waits ? 2 : 1))
      return reply.refuse(taut::Code::out_of_range, "not the next input");
    if (std::abs(input.dx()) > 1 || std::abs(input.dy()) > 1)
      return reply.refuse(taut::Code::invalid_argument, "one step at most");
    if (waits) return reply.refuse(taut::Code::failed_precondition, "wait for the tick");
    if (waiting_.add(input, std::move(reply))) player.waits_for = tick_ + 1;
  }

  void Leave(const game::Leaving& leaving, taut::Reply<game::Left> reply) override {
    const auto found = players_.find(leaving.player());
    if (found == players_.end()) return reply.refuse(taut::Code::not_found, "nobody has this number");
    const Player& player = found->second;
    if (player.waits_for > tick_) return reply.refuse(taut::Code::failed_precondition, "wait for the tick");
    reply.send({.inputs = player.applied, .x = player.x, .y = player.y});
    players_.erase(found);
  }

  void Look(const game::Nothing&, taut::Reply<game::World> reply) override {
    reply.send(
        {.tick = tick_, .players = static_cast<std::uint32_t>(players_.size()), .joined = joined_, .inputs = inputs_});
  }

  // One tick: everybody moves, and then everybody who moved is told what it looks like.
  void step() {
    ++tick_;
    waiting_.run([this](std::span<Waiting> inputs) {
      for (const Waiting& input : inputs) {
        const auto player = players_.find(input->player());
        player->second.x += input->dx();
        player->second.y += input->dy();
        ++player->second.applied;
        ++inputs_;
      }
      for (Waiting& input : inputs) tell(input);
    });
  }

  [[nodiscard]] std::uint64_t tick() const { return tick_; }
  [[nodiscard]] std::uint64_t inputs() const { return inputs_; }

 private:
  struct Player {
    std::int32_t x = 0, y = 0;
    std::uint64_t applied = 0;
    std::uint64_t waits_for = 0;  // the tick that applies its last input
  };
  using Waiting = taut::BatchEntry<game::Input, game::View>;

  void tell(Waiting& input) {
    const Player& me = players_.find(input->player())->second;
    near_.clear();
    for (const auto& [number, other] : players_) {
      if (near_.size() == kNearMax) break;
      if (number == input->player() || std::abs(other.x - me.x) > kSight || std::abs(other.y - me.y) > kSight) continue;
      near_.emplace_back(number, other.x, other.y);
    }
    input.reply.send({.tick = tick_, .seq = me.applied, .x = me.x, .y = me.y, .near = near_});
  }

  std::unordered_map<std::uint32_t, Player> players_;
  taut::Batch<game::Input, game::View> waiting_{{.requests_max = 1024, .bytes_max = 64 * 1024}};
  std::vector<game::Seen> near_;
  std::uint32_t joined_ = 0;
  std::uint64_t tick_ = 0, inputs_ = 0;
};

}  // namespace game_server
