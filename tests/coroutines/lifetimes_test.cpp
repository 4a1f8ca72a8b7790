// Who goes first: the coroutine, its call, its link or its dispatcher; and what comes of a task that throws.
#include <stdexcept>

#include "desks.h"
#include "taut/loopback/loopback.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Client = desk::Orders::Client;

struct Lifetimes : Desks {};

// As many calls as `steps`, one behind the other; what the desk answers in `reached`.
Task walk(Guest, Client* orders, int steps, int* reached) {
  for (int i = 0; i != steps; ++i) {
    auto ack = co_await orders->Place({.id = static_cast<std::uint64_t>(i)});
    if (!ack) co_return;
    ++*reached;
  }
}

TEST_F(Lifetimes, a_task_that_is_let_go_runs_on_and_its_frame_goes_when_it_ends) {
  int reached = 0;
  walk(Guest(&guests), &*orders, 2, &reached);
  EXPECT_EQ(guests, 1);
  for (int i = 0; i != 2; ++i) wire->settle(), inner.let_go();
  EXPECT_EQ(guests, 1);
  wire->settle();
  EXPECT_EQ(reached, 2);
  EXPECT_EQ(guests, 0);
}

TEST_F(Lifetimes, tasks_are_destroyed_at_every_suspension_point) {
  for (int stop = 0; stop != 4; ++stop) {
    int reached = 0;
    Tasks tasks;
    tasks.hold(walk(Guest(&guests), &*orders, 5, &reached));
    wire->settle();
    for (int i = 0; i != stop; ++i) inner.let_go(), wire->settle();
    ASSERT_EQ(reached, stop);
    EXPECT_FALSE(tasks.empty());
    tasks.clear();
    EXPECT_EQ(guests, 0);
    EXPECT_TRUE(tasks.empty());
    inner.let_go();  // too late: nobody is told
    wire->settle();
    EXPECT_EQ(reached, stop);
  }
}

TEST_F(Lifetimes, a_destroyed_task_is_told_to_the_server) {
  int reached = 0;
  {
    Tasks tasks;
    tasks.hold(walk(Guest(&guests), &*orders, 1, &reached));
    wire->settle();
    ASSERT_EQ(inner.held.size(), 1u);
    EXPECT_FALSE(inner.held.front().cancelled());
  }
  wire->settle();
  EXPECT_TRUE(inner.held.front().cancelled());
}

TEST_F(Lifetimes, a_task_that_ends_leaves_its_tasks) {
  int reached = 0;
  Tasks tasks;
  for (int i = 1; i <= 3; ++i) tasks.hold(walk(Guest(&guests), &*orders, i % 3, &reached));  // 1, 2, 0 calls
  EXPECT_EQ(guests, 2);
  wire->settle();
  inner.let_go();
  wire->settle();
  EXPECT_EQ(guests, 1);
  EXPECT_FALSE(tasks.empty());
  inner.let_go();
  wire->settle();
  EXPECT_TRUE(tasks.empty());
}

Task grandchild(Guest, Client* orders, int* reached) {
  auto ack = co_await orders->Place({.id = 1});
  ++*reached;
}
Task child(Guest guest, Client* orders, int* reached) {
  co_await grandchild(guest.again(), orders, reached);
  ++*reached;
}
Task parent(Guest guest, Client* orders, int* reached) {
  co_await child(guest.again(), orders, reached);
  ++*reached;
}

TEST_F(Lifetimes, a_task_takes_the_tasks_along_that_it_waits_for) {
  int reached = 0;
  Tasks tasks;
  tasks.hold(parent(Guest(&guests), &*orders, &reached));
  wire->settle();
  EXPECT_EQ(guests, 3 + 2);  // each passed a copy on and keeps its own
  tasks.clear();
  EXPECT_EQ(guests, 0);
  wire->settle();
  EXPECT_EQ(reached, 0);
}

Task begins_and_forgets(Guest, Client* orders, int* reached) {
  {
    Started call{orders->Place({.id = 1})};
    EXPECT_FALSE(call.done());
  }
  auto ack = co_await orders->Place({.id = 2, .quantity = 1});
  if (ack) ++*reached;
}

TEST_F(Lifetimes, a_started_call_is_forgotten_with_its_object) {
  int reached = 0;
  begins_and_forgets(Guest(&guests), &*orders, &reached);
  wire->settle();
  EXPECT_EQ(reached, 1);
  EXPECT_EQ(inner.placed, std::vector<std::uint64_t>{2}) << "the cancel overtakes its call";
}

Task cancels(Client* orders, Status* end) {
  Started call{orders->Place({.id = 1})};
  call.cancel();
  *end = (co_await call).status();
}

TEST_F(Lifetimes, a_started_call_is_cancelled) {
  Status end;
  cancels(&*orders, &end);
  wire->settle();
  EXPECT_EQ(end.code(), Code::cancelled);
}

Task status_of(Guest, Client* orders, std::optional<Status>* end) {
  auto ack = co_await orders->Place({.id = 1});
  *end = ack.status();
}

TEST_F(Lifetimes, a_link_that_dies_resumes_those_who_wait) {
  std::optional<Status> end;
  status_of(Guest(&guests), &*orders, &end);
  wire->settle();
  wire->cut();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->why(), Why::peer_died);
  EXPECT_EQ(end->ran(), Ran::maybe);
}

TEST_F(Lifetimes, a_link_that_is_closed_resumes_those_who_wait) {
  std::optional<Status> end;
  status_of(Guest(&guests), &*orders, &end);
  orders.reset();
  link.reset();
  wire->settle();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code(), Code::cancelled);
}

// A coroutine may not be resumed inside co_await: else this loop would never let the dispatcher turn.
Task until_it_is_taken(Guest, Client* orders, int* refusals, std::uint64_t* desk_id) {
  while (true) {
    auto ack = co_await orders->Place({.id = 6, .quantity = 1});
    if (ack) {
      *desk_id = ack->desk_id();
      co_return;
    }
    EXPECT_TRUE(ack.status().safe_to_retry()) << ack.status();
    ++*refusals;
  }
}

TEST_F(Lifetimes, a_refused_call_that_is_repeated_lets_the_dispatcher_turn) {
  int refusals = 0;
  std::uint64_t desk_id = 0;
  wire->fill(*link);
  until_it_is_taken(Guest(&guests), &*orders, &refusals, &desk_id);
  EXPECT_EQ(refusals, 0) << "never inside co_await";
  for (int i = 0; i != 10; ++i) link->poll();
  EXPECT_GE(refusals, 9);
  EXPECT_EQ(desk_id, 0u);
  wire->release();
  EXPECT_EQ(desk_id, 1006u);
}

Task too_big(Client* orders, std::optional<Status>* end) {
  const std::string note(65, 'x');  // the schema caps it at 64
  const std::vector<desk::Level> none;
  auto ack = co_await orders->Snapshot({.seq = 1, .bids = none, .note = note});
  *end = ack.status();
}

TEST_F(Lifetimes, calls_that_are_refused_before_they_are_sent_end_like_others) {
  std::optional<Status> big, nobody;
  too_big(&*orders, &big);
  wire->settle();
  ASSERT_TRUE(big);
  EXPECT_EQ(big->why(), Why::too_big);
  wire->stop_serving();
  status_of(Guest(&guests), &*orders, &nobody);
  wire->settle();
  ASSERT_TRUE(nobody);
  EXPECT_EQ(nobody->why(), Why::not_connected);
}

TEST_F(Lifetimes, a_task_is_destroyed_while_its_refused_call_waits_to_be_told) {
  std::optional<Status> end;
  wire->stop_serving();
  Tasks tasks;
  tasks.hold(status_of(Guest(&guests), &*orders, &end));
  tasks.clear();
  EXPECT_EQ(guests, 0);
  wire->settle();
  EXPECT_FALSE(end);
}

// ---- the dispatcher goes

struct TwoDispatchers {
  static std::vector<std::unique_ptr<rpc::Transport>> transports(loopback::Network& network) {
    std::vector<std::unique_ptr<rpc::Transport>> list;
    list.push_back(network.transport());
    return list;
  }
  loopback::Network network;
  Inner inner;
  rpc::Dispatcher server{transports(network), {}};
  Result<Listener> listener = server.serve("loopback://desk", inner);
  std::optional<rpc::Dispatcher> client{std::in_place, transports(network), DispatcherOptions{}};
  std::optional<Result<Link>> link;
  TwoDispatchers() {
    network.drive(server);
    link.emplace(client->connect("loopback://desk"));
    EXPECT_TRUE(*link) << (*link).error();
  }
};

TEST_F(Lifetimes, the_dispatcher_goes_first_and_those_who_wait_are_told) {
  TwoDispatchers two;
  Client client{**two.link};
  std::optional<Status> end;
  status_of(Guest(&guests), &client, &end);
  two.client.reset();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code(), Code::cancelled);
}

Task never_gives_up(Guest, Client* orders, int* tries) {
  while (true) {
    ++*tries;
    auto ack = co_await orders->Place({.id = 6});
    if (ack) co_return;
  }
}

TEST_F(Lifetimes, a_task_that_never_gives_up_goes_with_its_dispatcher) {
  int tries = 0;
  {
    TwoDispatchers two;
    Client client{**two.link};
    never_gives_up(Guest(&guests), &client, &tries);
    two.client.reset();
    EXPECT_GE(tries, 2);
  }
  EXPECT_EQ(guests, 0);
}

Task parent_of_never(Guest guest, Client* orders, int* tries) {
  co_await never_gives_up(guest.again(), orders, tries);
  ADD_FAILURE() << "it has not ended";
}

TEST_F(Lifetimes, and_with_it_go_those_who_wait_for_it) {
  int tries = 0;
  Tasks tasks;
  {
    TwoDispatchers two;
    Client client{**two.link};
    tasks.hold(parent_of_never(Guest(&guests), &client, &tries));
    two.client.reset();
  }
  EXPECT_EQ(guests, 0);
  EXPECT_TRUE(tasks.empty());
}

// ---- many, deep, in order

Task one_of_many(Client* orders, std::uint64_t id, std::vector<std::uint64_t>* order) {
  auto ack = co_await orders->Place({.id = id, .quantity = 1});
  if (ack) order->push_back(ack->id());
}

TEST(ManyTasks, thousands_wait_at_once_and_go_on_in_the_order_of_their_answers) {
  Inner inner;
  Wire wire({.link = "ring=1MiB&inflight=4096"});
  Link link = wire.connect(inner);
  Client orders{link};
  FramePool frames{{.frame_bytes = 4096, .frames = 4000}};
  std::vector<std::uint64_t> order;
  for (std::uint64_t id = 1; id <= 4000; ++id) one_of_many(&orders, id, &order);
  wire.settle();
  ASSERT_EQ(order.size(), 4000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

// The stack below a coroutine must not grow with the calls that it made.
Task deep(Client* orders, int calls, std::ptrdiff_t* deepest) {
  const char* first = nullptr;
  for (int i = 0; i != calls; ++i) {
    (void)co_await orders->Place({.id = 1, .quantity = 1});
    const char* here = static_cast<const char*>(__builtin_frame_address(0));
    if (first == nullptr) first = here;
    *deepest = std::max(*deepest, std::abs(first - here));
  }
}
TaskOf<int> quick(int value) { co_return value; }
Task deep_in_tasks(int tasks, int* sum) {
  for (int i = 0; i != tasks; ++i) *sum += co_await quick(1);
}

TEST_F(Lifetimes, no_stack_grows_with_the_calls_and_tasks_that_were_awaited) {
  std::ptrdiff_t deepest = 0;
  deep(&*orders, 1000, &deepest);
  wire->settle();
  EXPECT_LT(deepest, 16 * 1024);
  int sum = 0;
  deep_in_tasks(100000, &sum);
  EXPECT_EQ(sum, 100000);
}

// ---- what tasks throw

// Asks the inner desk by a coroutine, and throws where a test wants it.
struct Outer final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    Task task = route(keep(order), std::move(reply));
    if (holds) tasks.hold(std::move(task));
  }
  Task route(Message<desk::Order> order, Reply<desk::Ack> reply) {
    if (order->price() == 1) throw std::runtime_error("before the first call");
    auto ack = co_await next->Place({.id = order->id(), .quantity = order->quantity()}, {.timeout = reply.left()});
    if (order->price() == 2) throw std::runtime_error("behind the call");
    if (order->price() == 3) co_await fails();
    if (order->price() == 4) co_return;
    if (order->price() == 5) (void)co_await next->Place({.id = 55});  // of its own timeout it has a second
    if (!ack) {
      reply.refuse(ack.status().code(), "upstream");
    } else {
      reply.send({.id = ack->id(), .desk_id = ack->desk_id(), .open = order->quantity()});
    }
  }
  Task fails() {
    (void)co_await next->Place({.id = 77, .quantity = 1});
    throw std::runtime_error("in a task within");
  }
  std::optional<Client> next;
  Tasks tasks;
  bool holds = false;
};

struct Relayed : ::testing::TestWithParam<bool> {
  Relayed() {
    outer.next.emplace(*to_inner);
    outer.holds = GetParam();
  }
  Status place(std::int32_t price, std::uint32_t quantity = 1) {
    return orders->Place({.id = 5, .price = price, .quantity = quantity}, taut::wait).status();
  }
  Inner inner;
  Outer outer;
  Wire wire;
  std::optional<Link> to_inner{wire.connect_inside(inner)};
  std::optional<Link> link{wire.connect(outer)};
  std::optional<Client> orders{std::in_place, *link};
};
INSTANTIATE_TEST_SUITE_P(Tasks, Relayed, ::testing::Values(false, true),
                         [](const auto& held) { return held.param ? "held" : "let_go"; });

TEST_P(Relayed, a_handler_goes_on_in_a_task) {
  const auto ack = orders->Place({.id = 5, .quantity = 1}, taut::wait);
  ASSERT_TRUE(ack) << ack.status();
  EXPECT_EQ(ack->desk_id(), 1005u);
}

TEST_P(Relayed, a_task_that_throws_answers_handler_threw_and_is_logged) {
  const char* const said[] = {"before the first call", "behind the call", "in a task within"};
  for (int price = 1; price <= 3; ++price) {
    const Status status = place(price);
    EXPECT_EQ(status.code(), Code::internal) << status;
    EXPECT_EQ(status.why(), Why::handler_threw) << status;
    EXPECT_EQ(status.ran(), Ran::yes);
    EXPECT_THAT(wire.log(), Contains(HasSubstr(said[price - 1]))) << price;
  }
  EXPECT_TRUE(outer.tasks.empty());
}

TEST_P(Relayed, a_task_that_ends_without_an_answer_drops_its_reply) { EXPECT_EQ(place(4).why(), Why::reply_dropped); }

TEST_P(Relayed, tasks_that_go_with_their_service_let_their_replies_go) {
  if (!GetParam()) return;
  std::optional<Status> end;
  orders->Place({.id = 5}).then([&](const auto& ack) { end = ack.status(); });  // the inner desk holds it
  wire.settle();
  ASSERT_FALSE(end);
  outer.tasks.clear();
  wire.settle();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->why(), Why::reply_dropped);
}

TEST_P(Relayed, what_a_task_calls_later_inherits_from_the_handler_that_started_it) {
  std::optional<Status> end;
  orders->Place({.id = 5, .price = 5, .quantity = 1}, {.timeout = 200us}).then([&](const auto& ack) {
    end = ack.status();
  });
  wire.settle();
  ASSERT_EQ(inner.placed, (std::vector<std::uint64_t>{5, 55}));
  ASSERT_EQ(inner.held.size(), 1u);
  EXPECT_LE(inner.held.front().left(), 200us);
  wire.advance(300us);
  EXPECT_TRUE(end);
  EXPECT_TRUE(inner.held.front().cancelled());
}

Task throws_later(Client* orders) {
  (void)co_await orders->Place({.id = 1, .quantity = 1});
  throw std::runtime_error("later");
}
Task catches(Client* orders, std::string* caught) {
  try {
    co_await throws_later(orders);
  } catch (const std::runtime_error& thrown) {
    *caught = thrown.what();
  }
}

TEST_F(Lifetimes, what_a_task_throws_comes_out_where_it_is_awaited) {
  std::string caught;
  catches(&*orders, &caught);
  wire->settle();
  EXPECT_EQ(caught, "later");
  EXPECT_THAT(wire->log(), ElementsAre());
}

TEST_F(Lifetimes, finish_polls_until_a_task_has_ended) {
  struct Both {  // settles as a server in another process would
    Wire& wire;
    void poll() { wire.settle(); }
  } loop{*wire};
  int reached = 0;
  EXPECT_TRUE(finish(loop, one_of_many(&*orders, 1, &inner.placed)));
  EXPECT_THROW((void)finish(loop, throws_later(&*orders)), std::runtime_error);
  EXPECT_FALSE(finish(loop, walk(Guest(&guests), &*orders, 1, &reached), 1ms)) << "the desk holds its order";
  EXPECT_EQ(guests, 0);
}

// ---- where frames are

Task pooled(FramePool&, Guest, Client* orders) { (void)co_await orders->Place({.id = 1}); }
struct Pooling {
  Task run(FramePool&, Guest, Client* orders) { (void)co_await orders->Place({.id = 1}); }
};

TEST_F(Lifetimes, frames_come_from_a_pool_and_go_back_to_it) {
  FramePool frames{{.frame_bytes = 4096, .frames = 2}};
  Pooling member;
  for (int round = 0; round != 3; ++round) {
    pooled(frames, Guest(&guests), &*orders);
    member.run(frames, Guest(&guests), &*orders);
    EXPECT_EQ(frames.counters().in_use, 2u);
    EXPECT_EQ(frames.counters().none_free, 0u);
    wire->settle();
    inner.let_go();
    wire->settle();
    EXPECT_EQ(frames.counters().in_use, 0u);
  }
  EXPECT_GT(frames.counters().largest, 300u);
  EXPECT_EQ(frames.counters().in_use_max, 2u);
}

TEST_F(Lifetimes, without_a_free_frame_the_heap_serves_and_it_is_counted) {
  FramePool small{{.frame_bytes = 64, .frames = 2}}, few{{.frame_bytes = 4096, .frames = 1}};
  Tasks tasks;
  tasks.hold(pooled(small, Guest(&guests), &*orders));
  for (int i = 0; i != 3; ++i) tasks.hold(pooled(few, Guest(&guests), &*orders));
  EXPECT_EQ(small.counters().too_large, 1u);
  EXPECT_EQ(few.counters().none_free, 2u);
  EXPECT_EQ(few.counters().in_use, 1u);
  tasks.clear();
  EXPECT_EQ(few.counters().in_use, 0u);
}

}  // namespace
}  // namespace taut::testing
