// co_await in the shapes that users write: g++ 12 is known to have got some of them wrong, so each runs here, under the
// sanitizers too, and checks what was sent and what came back.
#include "desks.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

using Client = desk::Orders::Client;
using Texts = std::vector<std::string>;

struct Shapes : Desks {
  // Runs the task to its end.
  void run(Task task) {
    wire->settle();
    EXPECT_TRUE(task.done());
  }
};

Task place_one(Client* orders, std::uint64_t* desk_id) {
  auto ack = co_await orders->Place({.id = 9, .quantity = 1});
  EXPECT_TRUE(ack) << ack.status();
  if (ack) *desk_id = ack->desk_id();
}

TEST_F(Shapes, a_call_with_a_braced_request) {
  std::uint64_t desk_id = 0;
  run(place_one(&*orders, &desk_id));
  EXPECT_EQ(desk_id, 1009u);
}

Task place_with_options(Client* orders, Inner* inner, Status* end) {
  inner->placed.clear();
  auto ack = co_await orders->Place({.id = 3, .quantity = 0, .side = desk::Side::sell}, {.timeout = 50us});
  *end = ack.status();
}

TEST_F(Shapes, a_timeout_is_an_answer) {
  Status end;
  Task task = place_with_options(&*orders, &inner, &end);
  wire->advance(60us);
  EXPECT_TRUE(task.done());
  EXPECT_EQ(end.code(), Code::deadline_exceeded);
  EXPECT_EQ(inner.placed, std::vector<std::uint64_t>{3});
}

Task snapshots(Client* orders, Inner* inner, Texts* notes) {
  // g++ 12 refuses a braced list of elements inside co_await ("array used as initializer"): the call is made before.
  auto call = orders->Snapshot({.seq = 1, .bids = {{100, 5}, {99, 7}}, .note = "two levels"});
  auto braced = co_await std::move(call);
  EXPECT_TRUE(braced) << braced.status();
  EXPECT_EQ(braced->levels(), 2u);
  EXPECT_EQ(braced->best_bid(), 100);
  notes->push_back(inner->note);

  auto temporary = co_await orders->Snapshot({.seq = 2,
                                              .bids = std::vector<desk::Level>(1, desk::Level(7, 1)),
                                              .note = std::string(40, 'n') + std::to_string(5)});
  EXPECT_TRUE(temporary) << temporary.status();
  notes->push_back(inner->note);

  const std::vector<desk::Level> levels(30, desk::Level(88, 1));
  const desk::BookInit book{.seq = 3, .bids = levels};
  auto kept = co_await orders->Snapshot(book);
  EXPECT_EQ(kept->best_bid(), 88);
  notes->push_back(inner->note);

  if (auto claim = orders->claim_Snapshot(400)) {
    claim->seq(4);
    EXPECT_EQ(claim->bids(2).size(), 2u);
    auto claimed = co_await orders->send(std::move(claim));
    EXPECT_TRUE(claimed) << claimed.status();
    EXPECT_EQ(claimed->levels(), 2u);
  }
}

TEST_F(Shapes, braced_lists_temporary_strings_containers_and_claims) {
  Texts notes;
  run(snapshots(&*orders, &inner, &notes));
  EXPECT_EQ(notes, (Texts{"two levels", std::string(40, 'n') + "5", "(none)"}));
}

Task within_expressions(Client* orders, std::vector<std::uint64_t>* seen) {
  // In a condition, in a loop's condition, as a discarded value, as an argument, and twice in one expression.
  if (auto ack = co_await orders->Place({.id = 1, .quantity = 1})) seen->push_back(ack->desk_id());
  for (std::uint64_t id = 2; (co_await orders->Place({.id = id, .quantity = 1}))->desk_id() < 1004; ++id) {
    seen->push_back(id);
  }
  (void)co_await orders->Place({.id = 5, .quantity = 1});
  seen->push_back((co_await orders->Place({.id = 6, .quantity = 1}))->desk_id());
  seen->push_back((co_await orders->Place({.id = 10, .quantity = 1}))->desk_id() +
                  (co_await orders->Place({.id = 20, .quantity = 1}))->desk_id());
  const std::uint64_t which = co_await orders->Place({.id = 30, .quantity = 1}) ? 1 : 0;
  seen->push_back(which);
}

TEST_F(Shapes, inside_other_expressions) {
  std::vector<std::uint64_t> seen;
  run(within_expressions(&*orders, &seen));
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1001, 2, 3, 1006, 2030, 1}));
  EXPECT_EQ(inner.placed, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 10, 20, 30}));
}

Task keeps_answers(Client* orders, std::vector<std::uint64_t>* ids) {
  auto first = co_await orders->Place({.id = 1, .quantity = 1});
  auto second = co_await orders->Place({.id = 2, .quantity = 1});
  auto moved = std::move(first);
  auto third = co_await orders->Place({.id = 3, .quantity = 1});
  *ids = {moved->id(), second->id(), third->id()};
}

TEST_F(Shapes, an_answer_owns_its_bytes_across_the_next_co_await) {
  std::vector<std::uint64_t> ids;
  run(keeps_answers(&*orders, &ids));
  EXPECT_EQ(ids, (std::vector<std::uint64_t>{1, 2, 3}));
}

Task refused(Client* orders, Status* end) {
  auto ack = co_await orders->Place({.id = 1, .price = -1, .quantity = 1});
  EXPECT_FALSE(ack);
  *end = ack.status();
}

TEST_F(Shapes, a_refusal_brings_its_code_and_sentence) {
  Status end;
  run(refused(&*orders, &end));
  EXPECT_EQ(end.code(), Code::out_of_range);
  EXPECT_EQ(end.text(), "a price below zero");
}

Task two_at_once(Client* orders, std::vector<std::uint64_t>* ids) {
  Started first{orders->Place({.id = 1})};  // the desk holds it
  Started second{orders->Place({.id = 2, .quantity = 1})};
  EXPECT_FALSE(first.done());
  auto two = co_await second;
  ids->push_back(two->id());
  auto one = co_await first;
  ids->push_back(one->desk_id());
}

TEST_F(Shapes, several_calls_are_under_way_at_once) {
  std::vector<std::uint64_t> ids;
  Task task = two_at_once(&*orders, &ids);
  wire->settle();
  EXPECT_EQ(inner.placed, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(ids, std::vector<std::uint64_t>{2});
  inner.let_go();
  run(std::move(task));
  EXPECT_EQ(ids, (std::vector<std::uint64_t>{2, 7}));
}

Task many_at_once(Client* orders, std::vector<std::uint64_t>* ids) {
  std::deque<Started<desk::Ack>> calls;
  for (std::uint64_t id = 1; id <= 20; ++id) calls.emplace_back(orders->Place({.id = id, .quantity = 1}));
  for (auto& call : calls) ids->push_back((co_await call)->id());
}

TEST_F(Shapes, started_calls_stand_in_containers_and_answer_in_any_order) {
  std::vector<std::uint64_t> ids;
  run(many_at_once(&*orders, &ids));
  ASSERT_EQ(ids.size(), 20u);
  EXPECT_EQ(ids.front(), 1u);
  EXPECT_EQ(ids.back(), 20u);
}

Task greets_at_length(greeter::Greeter::Client* greeter, std::string* text) {
  const std::string name(1000, 'n');
  auto reply = co_await greeter->SayHello({.name = name});
  EXPECT_TRUE(reply) << reply.status();
  if (reply) *text = reply->text()->str();
}

struct Hello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, Reply<greeter::HelloReply> reply) override {
    reply.send({.text = "Hello, " + request.name()->str()});
  }
};

TEST_F(Shapes, a_reply_of_any_size_is_owned) {
  Hello hello;
  Wire other;
  Link to_hello = other.connect(hello);
  greeter::Greeter::Client greeter{to_hello};
  std::string text;
  Task task = greets_at_length(&greeter, &text);
  other.settle();
  EXPECT_TRUE(task.done());
  EXPECT_EQ(text, "Hello, " + std::string(1000, 'n'));
}

TEST_F(Shapes, a_lambda_without_captures_is_a_task) {
  std::uint64_t seen = 0;
  run([](Client* client, std::uint64_t* to) -> Task {
    auto ack = co_await client->Place({.id = 4, .quantity = 1});
    *to = ack->id();
  }(&*orders, &seen));
  EXPECT_EQ(seen, 4u);
}

// ---- tasks that wait for tasks

Task child(Client* orders, std::uint64_t id, std::vector<std::uint64_t>* seen) {
  auto ack = co_await orders->Place({.id = id, .quantity = 1});
  seen->push_back(ack->id());
}
Task parent(Client* orders, std::vector<std::uint64_t>* seen) {
  co_await child(orders, 1, seen);
  seen->push_back(100);
  co_await child(orders, 2, seen);
  seen->push_back(200);
}

TEST_F(Shapes, a_task_waits_for_another) {
  std::vector<std::uint64_t> seen;
  run(parent(&*orders, &seen));
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 100, 2, 200}));
}

TaskOf<std::uint64_t> ask(Client* orders, std::uint64_t id) {
  auto ack = co_await orders->Place({.id = id, .quantity = 1});
  co_return ack ? ack->desk_id() : 0;
}
TaskOf<Answer<desk::Ack>> answer(Client* orders, std::uint64_t id) {
  auto ack = co_await orders->Place({.id = id, .quantity = 1});
  co_return std::move(ack);
}
TaskOf<std::string> at_once(std::string text) { co_return text + "!"; }
Task sums(Client* orders, std::uint64_t* sum, std::string* text) {
  *sum = co_await ask(orders, 1) + co_await ask(orders, 2);
  auto kept = co_await answer(orders, 3);
  *sum += kept->id();
  *text = co_await at_once("ready");
}

TEST_F(Shapes, a_task_has_a_value) {
  std::uint64_t sum = 0;
  std::string text;
  run(sums(&*orders, &sum, &text));
  EXPECT_EQ(sum, 1001u + 1002u + 3u);
  EXPECT_EQ(text, "ready!");
}

Task begins_two(Client* orders, std::uint64_t* sum) {
  auto one = ask(orders, 1);
  auto two = ask(orders, 2);
  *sum = co_await std::move(two) + co_await std::move(one);
}

TEST_F(Shapes, tasks_are_started_before_they_are_awaited) {
  std::uint64_t sum = 0;
  run(begins_two(&*orders, &sum));
  EXPECT_EQ(sum, 2003u);
}

// ---- somebody else's coroutine

struct Foreign {
  struct promise_type {
    Foreign get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};
Foreign foreign(Client* orders, std::vector<std::uint64_t>* seen) {
  auto ack = co_await orders->Place({.id = 8, .quantity = 1});
  seen->push_back(ack->id());
  co_await child(orders, 9, seen);
  seen->push_back(10);
}

TEST_F(Shapes, another_librarys_coroutine_awaits_calls_and_tasks) {
  std::vector<std::uint64_t> seen;
  foreign(&*orders, &seen);
  wire->settle();
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{8, 9, 10}));
}

}  // namespace
}  // namespace taut::testing
