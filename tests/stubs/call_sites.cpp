// What users write, compiled by every compiler that is there with all warnings as errors. It is not run.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "calculator.taut.h"
#include "echo.taut.h"
#include "everything.taut.h"
#include "greeter.taut.h"
#include "kinds.taut.h"
#include "orders.taut.h"

using namespace std::chrono_literals;

struct Desk final : desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    kept.push_back(taut::keep(order));
    reply.send({.id = order.id(), .open = order.quantity()});
  }
  void Cancel(const desk::Cancel&, taut::Reply<desk::Ack> reply) override {
    reply.refuse(taut::Code::not_found, "gone");
  }
  std::vector<taut::Message<desk::Order>> kept;
};

// Handlers that wait.
struct Router final : desk::Orders::Service {
  explicit Router(taut::Link& link) : next(link) {}
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    route(taut::keep(order), std::move(reply));
    tasks.hold(pooled(frames, taut::keep(order)));
  }
  taut::Task route(taut::Message<desk::Order> order, taut::Reply<desk::Ack> reply) {
    auto ack = co_await next.Place({.id = order->id()}, {.timeout = reply.left()});
    if (ack) {
      reply.send({.id = ack->id()});
    } else {
      reply.refuse(ack.status().code(), "upstream");
    }
  }
  taut::TaskOf<std::uint64_t> ask(std::uint64_t id) { co_return (co_await next.Place({.id = id}))->desk_id(); }
  taut::Task pooled(taut::FramePool&, taut::Message<desk::Order> order) {
    taut::Started call{next.Cancel({.id = order->id()})};
    if (co_await ask(1) != 0) (void)co_await call;
  }
  desk::Orders::Client next;
  taut::FramePool frames;
  taut::Tasks tasks;
};

struct Kitchen final : everything::Kitchen::Service {
  void Log(const everything::Leaf& leaf, const taut::Told& told) override {
    if (told.metadata().find("tenant") == "blue") std::puts(leaf.text() != nullptr ? leaf.text()->c_str() : "");
  }
};

struct Feeds final : kinds::Kinds::Service {
  void Watch(const kinds::Wanted&, taut::Writer<kinds::Item> out) override { watchers.push_back(std::move(out)); }
  void Load(taut::Reader<kinds::Item> in, taut::Reply<kinds::Total> reply) override {
    in.each([this](const kinds::Item& item) { total += item.number(); });
    in.on_close([this, reply = std::move(reply)](bool complete) mutable {
      if (complete) reply.send({.sum = total});
    });
  }
  void publish(std::uint64_t n) {
    std::erase_if(watchers, [&](auto& w) { return !w.send({.number = n}); });
  }
  std::vector<taut::Writer<kinds::Item>> watchers;
  std::uint64_t total = 0;
};

void call_every_kind(taut::Link& link) {
  kinds::Kinds::Client calls{link};
  if (!calls.Tell({.number = 1})) std::puts("not sent");
  calls.Watch({.count = 3}, {.credit = 4096}).each([](const kinds::Item& item) { std::printf("%u\n", item.stream()); });
  taut::CallRef watch = calls.Watch({.count = 3}).each([](const auto&) {}).then([](const taut::Status&) {});
  watch.cancel();
  auto load = calls.Load();
  if (load.send({.number = 1}) == taut::Sent::no_credit) load.on_ready([] {});
  load.close().then([](const taut::Answer<kinds::Total>& total) { (void)total.status(); });
  auto talk = calls.Talk({.timeout = 1s});
  talk.each([](const kinds::Line& line) { std::puts(line.text()->c_str()); });
  if (talk.send({.text = "hello"})) talk.close();
}

void call_everything(taut::Link& link, std::span<const std::byte> raw, std::vector<desk::Level> side) {
  greeter::Greeter::Client greeter{link};
  auto reply = greeter.SayHello({.name = "World"}, taut::wait);
  if (!reply) return;
  std::puts(reply->text()->c_str());

  desk::Orders::Client orders{link};
  auto ack = orders.Place({.id = 8, .price = 101}, taut::wait(50us));
  orders
      .Place({.id = 7, .side = desk::Side::sell, .party = {taut::text("AAPL"), taut::text("ACME")}}, {.timeout = 50us})
      .then([](const taut::Answer<desk::Ack>& answer) {
        if (!answer && answer.status().safe_to_retry()) std::puts("again");
      });
  orders.Snapshot({.seq = 1, .bids = {{100, 5}, {99, 7}}, .note = "open"}).then([](const auto&) {});
  orders.Snapshot({.seq = 1, .bids = side, .asks = std::span(side).first(1)}).then([](auto& answer) {
    (void)answer.status();
  });
  if (auto book = orders.claim_Snapshot(400)) {
    book->seq(9);
    std::ranges::copy(side, book->bids(side.size()).begin());
    orders.send(std::move(book), {.timeout = taut::forever}).then([](const taut::Answer<desk::BookAck>&) {});
  }

  echo::Echo::Client echo{link};
  echo.Echo({.data = raw}).then([](const auto&) {});
  echo.Echo({.data = {1, 2, 3}}).then([](const auto&) {});
  echo.Echo({.data = std::string_view("abc")}).then([](const auto&) {});

  calculator::Calculator::Client calculator{link};
  if (auto sum = calculator.Add({.a = 1, .b = 2}, taut::wait)) std::printf("%f\n", sum->value());

  everything::Kitchen::Client kitchen{link};
  if (!kitchen.Log({.text = "burnt"})) std::puts("not sent");
  kitchen.Cook({.scalars = {.i8 = 1}, .nullable = {{.u64 = 4}}, .words = {"a", "b"}, .leaves = {{.text = "x"}, {}}})
      .then([](const auto&) {});
  kitchen.Grow({.value = 1, .children = {{.value = 2, .children = {{.value = 3}}}, {.value = 4}}})
      .then([](const auto&) {});
}
