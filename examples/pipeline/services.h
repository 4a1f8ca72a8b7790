// The three services. Each is served by a program of its own.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "shop.taut.h"
#include "taut/taut.h"

namespace shop_pipeline {

class Catalog final : public shop::Catalog::Service {
 public:
  void Find(const shop::Query& query, taut::Reply<shop::Articles> reply) override {
    const auto found = articles_.find(query.word()->string_view());
    if (found == articles_.end()) return reply.refuse(taut::Code::not_found, "nothing of this kind");
    reply.send({.articles = found->second});
  }

 private:
  const std::map<std::string, std::vector<std::uint64_t>, std::less<>> articles_{{"lamp", {11, 12, 13}},
                                                                                 {"chair", {21, 22}}};
};

// Answers when it knows the price. Those who wait are kept by their replies; who gives up is forgotten at once.
class Prices final : public shop::Prices::Service {
 public:
  void Ask(const shop::Article& article, taut::Reply<shop::Price> reply) override {
    const auto known = cents_.find(article.article());
    if (known != cents_.end()) return reply.send({.article = known->first, .cents = known->second});
    const std::uint64_t id = ++last_;
    reply.on_cancel([this, id] {
      waiting_.erase(id);
      ++cancelled_;
    });
    waiting_.try_emplace(id, Waiting{article.article(), std::move(reply)});
  }
  void Set(const shop::Price& price, taut::Reply<shop::Nothing> reply) override {
    cents_[price.article()] = price.cents();
    for (auto next = waiting_.begin(); next != waiting_.end();) {
      const auto waiting = next++;
      if (waiting->second.article != price.article()) continue;
      waiting->second.reply.send({.article = price.article(), .cents = price.cents()});
      waiting_.erase(waiting);
    }
    reply.send({});
  }
  void Sum(const shop::Nothing&, taut::Reply<shop::PriceTotals> reply) override {
    reply.send({.waiting = static_cast<std::uint32_t>(waiting_.size()), .cancelled = cancelled_});
  }

 private:
  struct Waiting {
    std::uint64_t article;
    taut::Reply<shop::Price> reply;
  };
  std::uint64_t last_ = 0, cancelled_ = 0;
  std::map<std::uint64_t, std::uint32_t> cents_;
  std::map<std::uint64_t, Waiting> waiting_;
};

// Asks the catalog, then for all prices at once, and sends each offer as soon as it is its turn.
class Shop final : public shop::Shop::Service {
 public:
  Shop(taut::Link& catalog, taut::Link& prices) : catalog_(catalog), prices_(prices) {}

  void Offers(const shop::Query& query, taut::Writer<shop::Price> out) override {
    jobs_.remove_if([](const taut::Tasks& job) { return job.empty(); });
    taut::Tasks& job = jobs_.emplace_back();
    // Nobody wants the offers any more: the task goes where it stands, and with it the calls that it waits for.
    out.on_cancel([&job] { job.clear(); });
    job.hold(offers(frames_, taut::keep(query), std::move(out)));
  }

 private:
  taut::Task offers(taut::FramePool&, taut::Message<shop::Query> query, taut::Writer<shop::Price> out) {
    auto found = co_await catalog_.Find({.word = query->word()->string_view()}, {.timeout = out.left()});
    if (!found) co_return out.refuse(found.status().code(), "the catalog did not answer");

    // All are sent before the first is awaited. Each has what is left of the caller's time.
    std::deque<taut::Started<shop::Price>> asked;
    for (const std::uint64_t article : *found->articles()) {
      asked.emplace_back(prices_.Ask({.article = article}, {.timeout = out.left()}));
    }
    for (taut::Started<shop::Price>& one : asked) {
      auto price = co_await one;
      if (!price) co_return out.refuse(price.status().code(), "a price is missing");
      while (!out.send({.article = price->article(), .cents = price->cents()})) {
        if (!co_await taut::ready(out)) co_return;
      }
    }
    out.finish();
  }

  shop::Catalog::Client catalog_;
  shop::Prices::Client prices_;
  taut::FramePool frames_{{.frame_bytes = 4096, .frames = 64}};
  std::list<taut::Tasks> jobs_;  // last: it goes first
};

}  // namespace shop_pipeline
