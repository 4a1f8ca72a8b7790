// Many players, each with a link of its own.   game_players [URL [PLAYERS [INPUTS]]]
//
// Every player walks at random, one input a tick, and knows where it must be: a view that says something else, an input
// lost or applied twice, ends the program with code 1.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "game.taut.h"
#include "taut/taut.h"

namespace {

class Player {
 public:
  // `left` counts those who still play; the last one stops the loop.
  Player(taut::Dispatcher& loop, unsigned& left, taut::Link link, std::uint64_t inputs, unsigned seed)
      : loop_(loop), left_(left), link_(std::move(link)), game_(link_), inputs_(inputs), random_(seed) {}

  void join() {
    game_.Join({.name = "walker"}).then([this](const taut::Answer<game::Joined>& joined) {
      if (!joined) return fail(joined.status());
      number_ = joined->player();
      walk();
    });
  }
  [[nodiscard]] std::uint64_t seq() const { return seq_; }
  [[nodiscard]] std::uint64_t seen() const { return seen_; }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  void walk() {
    const auto dx = static_cast<std::int8_t>(static_cast<int>(random_() % 3) - 1);
    const auto dy = static_cast<std::int8_t>(static_cast<int>(random_() % 3) - 1);
    x_ += dx;
    y_ += dy;
    ++seq_;
    game_.Play({.player = number_, .seq = seq_, .dx = dx, .dy = dy}).then([this](const taut::Answer<game::View>& view) {
      if (!view) return fail(view.status());
      if (view->seq() != seq_ || view->tick() <= tick_ || view->x() != x_ || view->y() != y_)
        return fail("the view is not what follows from the inputs");
      tick_ = view->tick();
      seen_ += view->near()->size();
      seq_ == inputs_ ? leave() : walk();
    });
  }
  void leave() {
    game_.Leave({.player = number_}).then([this](const taut::Answer<game::Left>& left) {
      if (!left) return fail(left.status());
      if (left->inputs() != seq_ || left->x() != x_ || left->y() != y_)
        return fail("inputs were lost or applied twice");
      go();
    });
  }
  void go() {
    if (--left_ == 0) loop_.stop();
  }
  void fail(const taut::Status& status) {
    fail(std::string(to_text(status.code())) + ": " + std::string(status.text()));
  }
  void fail(const std::string& what) {
    wrong_ = "player " + std::to_string(number_) + ": " + what;
    go();
  }

  taut::Dispatcher& loop_;
  unsigned& left_;
  taut::Link link_;
  game::Game::Client game_;
  const std::uint64_t inputs_;
  std::mt19937 random_;
  std::uint32_t number_ = 0;
  std::int32_t x_ = 0, y_ = 0;
  std::uint64_t seq_ = 0, tick_ = 0, seen_ = 0;
  std::string wrong_;
};

}  // namespace

int main(int argc, char** argv) {
  const char* url = argc > 1 ? argv[1] : "shm://game?timeout=30s&inflight=4&ring=32KiB";
  const unsigned count = argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 200;
  const std::uint64_t inputs = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 120;
  taut::Dispatcher loop;
  unsigned left = count;
  std::vector<std::unique_ptr<Player>> players;
  for (unsigned i = 0; i < count; ++i) {
    auto link = loop.connect(url);
    if (!link) return taut::report(link.error());
    players.push_back(std::make_unique<Player>(loop, left, *std::move(link), inputs, i));
    players.back()->join();
  }
  if (left != 0) loop.run();
  unsigned long long applied = 0, seen = 0;
  bool well = true;
  for (const auto& player : players) {
    applied += player->seq();
    seen += player->seen();
    if (player->wrong().empty()) continue;
    std::fprintf(stderr, "%s\n", player->wrong().c_str());
    well = false;
  }
  std::printf("{\"players\": %u, \"inputs\": %llu, \"seen\": %llu}\n", count, applied, seen);
  return well ? 0 : 1;
}
