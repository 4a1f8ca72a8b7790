// The feed: what a source uploads goes to everybody who watches its symbol.
//
// F1  a watcher sees ticks in order, none twice; a tick that is missing shows as a jump of `seq`
// F2  nothing is kept for a watcher: one that takes nothing costs the same as one that does
// F3  whoever is behind gets the newest tick as soon as there is room, also when no tick follows it
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "market.taut.h"
#include "taut/taut.h"

namespace market_data {

class Feed final : public market::Feed::Service {
 public:
  explicit Feed(std::span<const char* const> symbols) {
    for (const char* symbol : symbols) symbols_[symbol];
  }

  void Upload(taut::Reader<market::Quote> in, taut::Reply<market::Uploaded> reply) override {
    in.each([this](const market::Quote& quote) {
      ++quotes_;
      const auto symbol = symbols_.find(quote.symbol()->string_view());
      if (symbol == symbols_.end()) {
        ++unknown_;
      } else {
        publish(symbol->second, quote);
      }
    });
    in.on_close([this, reply = std::move(reply)](bool complete) mutable {
      if (complete) reply.send({.quotes = quotes_, .unknown = unknown_});
    });
  }

  void Watch(const market::Watching& watching, taut::Writer<market::Tick> out) override {
    const auto found = symbols_.find(watching.symbol()->string_view());
    if (closed_) return out.refuse(taut::Code::unavailable, "the feed is closing");
    if (found == symbols_.end()) return out.refuse(taut::Code::not_found, "the feed does not have this symbol");
    Symbol& symbol = found->second;
    const std::uint64_t id = ++last_watcher_;
    // Cancelled, killed, or its link is over: the place is free again.
    out.on_cancel([&symbol, id] { symbol.watchers.erase(id); });
    const auto watcher = symbol.watchers.try_emplace(id, Watcher{std::move(out), watching.when_slow()}).first;
    if (!tell(symbol, id, watcher->second)) symbol.watchers.erase(watcher);
  }

  void Sum(const market::Nothing&, taut::Reply<market::Totals> reply) override {
    std::uint32_t watchers = 0, behind = 0;
    for (const auto& [name, symbol] : symbols_) {
      watchers += static_cast<std::uint32_t>(symbol.watchers.size());
      for (const auto& [id, watcher] : symbol.watchers) behind += watcher.behind ? 1 : 0;
    }
    reply.send({.ticks = quotes_ - unknown_,
                .watchers = watchers,
                .behind = behind,
                .fell_behind = fell_behind_,
                .sent_away = sent_away_});
  }

  // Ends every stream, with `ok`: a drain then has nothing to wait for.
  void close() {
    closed_ = true;
    for (auto& [name, symbol] : symbols_) {
      for (auto& [id, watcher] : symbol.watchers) watcher.out.finish();
      symbol.watchers.clear();
    }
  }

 private:
  struct Watcher {
    taut::Writer<market::Tick> out;
    market::WhenSlow when_slow;
    bool behind = false;
  };
  struct Symbol {
    std::uint64_t seq = 0;
    std::int32_t bid = 0, ask = 0;
    std::map<std::uint64_t, Watcher> watchers;
  };

  void publish(Symbol& symbol, const market::Quote& quote) {
    ++symbol.seq;
    symbol.bid = quote.bid();
    symbol.ask = quote.ask();
    for (auto next = symbol.watchers.begin(); next != symbol.watchers.end();) {
      const auto watcher = next++;
      if (watcher->second.behind) continue;  // on_ready() tells it: keeps F1
      if (!tell(symbol, watcher->first, watcher->second)) symbol.watchers.erase(watcher);
    }
  }

  // Sends the newest tick. False: the watcher is to go.
  bool tell(Symbol& symbol, std::uint64_t id, Watcher& watcher) {
    const taut::Sent sent = watcher.out.send({.seq = symbol.seq, .bid = symbol.bid, .ask = symbol.ask});
    watcher.behind = sent == taut::Sent::no_credit || sent == taut::Sent::ring_full;
    if (!watcher.behind) return sent == taut::Sent::ok;
    ++fell_behind_;
    if (watcher.when_slow == market::WhenSlow::send_away) {
      ++sent_away_;
      watcher.out.refuse(taut::Code::resource_exhausted, "too slow for this feed");
      return false;
    }
    watcher.out.on_ready([this, &symbol, id] {  // keeps F3; by number, since the watcher may have gone by then
      const auto still = symbol.watchers.find(id);
      if (still != symbol.watchers.end() && !tell(symbol, id, still->second)) symbol.watchers.erase(still);
    });
    return true;
  }

  std::map<std::string, Symbol, std::less<>> symbols_;  // never changes: callbacks point into it
  bool closed_ = false;
  std::uint64_t last_watcher_ = 0, quotes_ = 0, unknown_ = 0, fell_behind_ = 0, sent_away_ = 0;
};

}  // namespace market_data
