// What every transport owes its users. One suite, run on each, inside the tree (worlds.cpp) and outside
// (docs/transports.md); taut/testing/contract.h says how a transport joins.
#include <algorithm>
#include <numeric>

#include "calculator.taut.h"
#include "support/expect_status.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

TEST_P(Transport, echoes_bytes_of_every_size) {
  echo::Echo::Client echo(*link);
  std::vector<std::uint8_t> data(3 * 16 * 1024);
  std::iota(data.begin(), data.end(), std::uint8_t{0});
  for (std::size_t size = 0; size < data.size(); size += size < 600 ? 1 : 97) {
    const auto bytes = std::span(data).first(size);
    const auto reply = echo.Echo({.data = bytes}, taut::wait);
    ASSERT_TRUE(reply) << size << ": " << reply.status();
    ASSERT_TRUE(std::ranges::equal(*reply->data(), bytes)) << size;
  }
}

TEST_P(Transport, carries_messages_up_to_what_the_server_takes) {
  echo::Echo::Client echo(*link);
  std::vector<std::uint8_t> data(17 << 20);
  for (std::size_t i = 0; i != data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 31 >> 3);
  const auto bytes = std::span(data).first((16 << 20) - 64);
  const auto reply = echo.Echo({.data = bytes}, wait(std::chrono::seconds(30)));
  ASSERT_TRUE(reply) << reply.status();
  EXPECT_TRUE(std::ranges::equal(*reply->data(), bytes));
  const auto refused = echo.Echo({.data = data}, taut::wait);
  EXPECT_STATUS(refused.status(), out_of_range, no, too_big, "message_max");
  EXPECT_TRUE(placed(1, answer).ok()) << "a refused message leaves the link as it was";
}

TEST_P(Transport, answers_of_one_lane_come_in_the_order_of_its_calls) {
  for (std::uint64_t id = 1; id <= 1000;) {
    while (id <= 1000 && id - answered.size() <= 32) place(id++);
    world->client().poll();
  }
  poll_until([&] { return ends.size() == 1000; });
  ASSERT_EQ(answered.size(), 1000u);
  EXPECT_TRUE(std::ranges::is_sorted(answered));
}

TEST_P(Transport, urgent_calls_are_answered_while_others_wait) {
  place(1, hold);
  EXPECT_TRUE(orders->Cancel({.id = 1}, taut::wait));
  EXPECT_TRUE(ends.empty());
  EXPECT_TRUE(placed(2, release_all).ok());
  poll_until([&] { return ends.size() == 1; });
  EXPECT_TRUE(ends[0].ok());
}

TEST_P(Transport, a_refusal_brings_its_code_and_sentence) {
  EXPECT_STATUS(placed(1, refuse), permission_denied, yes, none, "the desk says no");
}
TEST_P(Transport, a_dropped_reply_ends_its_call) {
  EXPECT_STATUS(placed(1, drop), aborted, yes, reply_dropped, "without an answer");
}
TEST_P(Transport, a_throwing_handler_ends_its_call_and_the_server_lives) {
  EXPECT_STATUS(placed(1, throw_up), internal, yes, handler_threw, "threw");
  EXPECT_TRUE(placed(2, answer).ok());
}
TEST_P(Transport, a_method_without_a_handler_is_unimplemented) {
  EXPECT_EQ(orders->Snapshot({.seq = 1, .bids = {{1, 2}}}, taut::wait).status().code(), Code::unimplemented);
}
TEST_P(Transport, a_service_that_the_server_does_not_have_is_an_unknown_method) {
  calculator::Calculator::Client calculator(*link);
  EXPECT_STATUS(calculator.Add({.a = 1, .b = 2}, taut::wait).status(), unimplemented, no, unknown_method,
                "method table");
}

// Another version of the schema: the ids decide, not the fingerprint. And bytes that are no message.
TEST_P(Transport, another_schema_calls_by_id_and_bad_bytes_are_refused_unread) {
  static constexpr rpc::MethodDescription kMethods[] = {
      {.name = "Place", .id = 1, .request_bound = 0, .reply_bound = 0, .request = "desk.Order", .reply = "desk.Ack"},
      {.name = "New", .id = 77, .request_bound = 0, .reply_bound = 0, .request = "desk.Order", .reply = "desk.Ack"}};
  static constexpr rpc::ServiceDescription kService{
      .name = "desk.Orders", .fingerprint = 1, .methods = kMethods, .schema = {}};
  rpc::Binding& binding = rpc::bind(link->state(), kService);
  const auto call = [&](std::uint32_t method, std::span<const std::byte> bytes) {
    rpc::AnswerBuffer buffer;
    auto claim = rpc::claim_call(link->state(), binding, method, static_cast<std::uint32_t>(bytes.size()));
    if (claim) std::ranges::copy(bytes, claim.payload());
    return rpc::wait_call(std::move(claim), static_cast<std::uint32_t>(bytes.size()), taut::wait, buffer);
  };
  const Message<desk::Order> good(order(5));
  EXPECT_TRUE(call(0, good.bytes()).ok());
  EXPECT_TRUE(world->journal.entered(5));
  EXPECT_STATUS(call(1, good.bytes()), unimplemented, no, unknown_method, "method table");
  const std::vector<std::byte> bad(good.bytes().size(), std::byte{0xee});
  EXPECT_STATUS(call(0, bad), invalid_argument, no, bad_message, "");
  EXPECT_STATUS(call(0, good.bytes().first(good.bytes().size() - 9)), invalid_argument, no, bad_message, "");
  EXPECT_STATUS(call(0, {}), invalid_argument, no, bad_message, "");
  EXPECT_EQ(world->journal.entries(), 1u);
}

TEST_P(Transport, a_timeout_ends_a_call_and_its_late_answer_harms_nobody) {
  EXPECT_STATUS(orders->Place(order(1, hold), taut::wait(20ms)).status(), deadline_exceeded, maybe, timeout,
                "no answer within the timeout");
  orders->Place(order(2, hold), {.timeout = 20ms}).then([this](const Answer<desk::Ack>& ack) {
    ends.push_back(ack.status());
  });
  poll_until([&] { return ends.size() == 1; });
  EXPECT_STATUS(ends[0], deadline_exceeded, maybe, timeout, "no answer within the timeout");
  EXPECT_TRUE(placed(3, release_all).ok());
  EXPECT_TRUE(placed(4, answer).ok());
}

TEST_P(Transport, metadata_and_trace_travel_beside_the_message_and_only_with_their_call) {
  Metadata metadata{{"tenant", "blue"}, {"token", std::string(900, 't')}};
  metadata.set_trace(*TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  for (int i = 0; i != 100; ++i) {
    const auto ack = orders->Place(order(1, tell_beside), taut::wait({.metadata = metadata}));
    EXPECT_STATUS(ack.status(), already_exists, yes, none, "blue 00f067aa0ba902b7-01");
    EXPECT_STATUS(placed(2, tell_beside), already_exists, yes, none, "nobody none");
  }
  orders->Place(order(3, tell_beside), {.metadata = metadata}).then([this](const Answer<desk::Ack>& ack) {
    ends.push_back(ack.status());
  });
  poll_until([&] { return ends.size() == 1; });
  EXPECT_STATUS(ends[0], already_exists, yes, none, "blue 00f067aa0ba902b7-01");
  Metadata wrong;
  EXPECT_FALSE(wrong.add("Not A Key", ""));
  EXPECT_STATUS(orders->Place(order(4), taut::wait({.metadata = wrong})).status(), invalid_argument, no, bad_metadata,
                "1 KiB");
  EXPECT_FALSE(world->journal.entered(4));
  EXPECT_TRUE(placed(5, answer).ok());
}

TEST_P(Transport, a_handler_knows_how_long_its_call_waited_and_what_is_left) {
  const auto ack = orders->Place(order(1, tell_time), taut::wait(30s));
  ASSERT_TRUE(ack) << ack.status();
  const auto queued = std::chrono::nanoseconds(ack->id()), left = std::chrono::nanoseconds(ack->desk_id());
  EXPECT_LE(left, 30s);
  EXPECT_LE(queued + left, 30s + 16ns) << "the two are parts of the timeout, which travels in steps of 16 ns";
  EXPECT_GT(left, 0ns);
  const auto patient = orders->Place(order(2, tell_time), taut::wait(forever));
  ASSERT_TRUE(patient) << patient.status();
  EXPECT_EQ(std::chrono::nanoseconds(patient->desk_id()), Nanoseconds::max());
}

TEST_P(Transport, a_deadline_in_the_past_refuses_its_call_before_it_is_sent) {
  EXPECT_STATUS(orders->Place(order(1), taut::wait(-1ns)).status(), deadline_exceeded, no, deadline_passed, "sent");
  EXPECT_TRUE(placed(2, answer).ok());
  EXPECT_FALSE(world->journal.entered(1));
}

TEST_P(Transport, deferred_answers_end_their_own_calls) {
  for (std::uint64_t id = 1; id <= 10; ++id) place(id, hold);
  EXPECT_TRUE(placed(11, release_all).ok());
  poll_until([&] { return ends.size() == 10; });
  EXPECT_EQ(answered, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST_P(Transport, callbacks_run_in_polls_and_never_inside_a_wait) {
  for (std::uint64_t id = 1; id <= 10; ++id) place(id);
  EXPECT_TRUE(placed(11, answer).ok());
  EXPECT_TRUE(ends.empty()) << "a callback ran inside a wait";
  poll_until([&] { return ends.size() == 10; });
  EXPECT_EQ(answered.size(), 10u);
}

TEST_P(Transport, a_wait_inside_a_callback_is_refused) {
  Status inside;
  orders->Place(order(1)).then([&](const Answer<desk::Ack>&) { inside = placed(2, answer); });
  poll_until([&] { return !inside.ok(); });
  EXPECT_STATUS(inside, failed_precondition, no, inside_handler, "use then()");
  EXPECT_FALSE(world->journal.entered(2));
}

TEST_P(Transport, one_call_more_than_granted_is_refused_and_runs_again_later) {
  for (std::uint64_t id = 1; id <= 65; ++id) place(id, hold);
  world->client().poll();
  poll_until([&] { return ends.size() == 1; });
  EXPECT_STATUS(ends[0], resource_exhausted, no, calls_in_flight, "inflight=");
  EXPECT_TRUE(orders->Cancel({.id = 1}, taut::wait)) << "the urgent lane has grants of its own";
}

TEST_P(Transport, a_second_claim_of_a_lane_is_refused_while_one_is_open) {
  {
    auto claim = orders->claim_Snapshot(100);
    ASSERT_TRUE(claim);
    EXPECT_STATUS(placed(1, answer), failed_precondition, no, open_claim, "another claim");
    EXPECT_TRUE(orders->Cancel({.id = 1}, taut::wait)) << "the other lane is free";
  }
  EXPECT_TRUE(placed(1, answer).ok());
}

TEST_P(Transport, many_links_do_not_mix_up_their_calls) {
  std::vector<Link> links;
  for (int i = 0; i < 20; ++i) links.push_back(connect());
  std::vector<std::uint64_t> sums(links.size());
  std::size_t done = 0;
  for (std::uint64_t round = 0; round < 20; ++round) {
    for (std::size_t i = 0; i < links.size(); ++i) {
      desk::Orders::Client client(links[i]);
      client.Place(order(1 + round * links.size() + i)).then([&, i](const Answer<desk::Ack>& ack) {
        ++done;
        if (ack) sums[i] += (ack->id() - 1) % links.size() == i;
      });
    }
    poll_until([&] { return done == (round + 1) * links.size(); });
  }
  EXPECT_THAT(sums, ::testing::Each(20u));
  EXPECT_EQ(world->journal.entries(), 400u);
}

// --- both directions

TEST_P(Transport, a_server_calls_the_client_that_called_it) {
  listen();
  for (std::uint64_t id = 1; id <= 10; ++id) place(id, ask_back);
  poll_until([&] { return ends.size() == 10; });
  EXPECT_EQ(answered, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(listener.taken, answered);
}

TEST_P(Transport, what_a_server_pushes_arrives_in_order) {
  listen();
  place(100, push, 50);
  poll_until([&] { return listener.taken.size() == 50; });
  std::vector<std::uint64_t> ids(50);
  std::iota(ids.begin(), ids.end(), 101);
  EXPECT_EQ(listener.taken, ids);
}

TEST_P(Transport, a_client_that_serves_nothing_is_called_in_vain) {
  place(1, ask_back);
  poll_until([&] { return ends.size() == 1; });
  EXPECT_STATUS(ends[0], unimplemented, yes, none, "no");
}

TEST_P(Transport, sides_that_flood_each_other_both_make_progress) {
  listen("&ring=4KiB&urgent_ring=4KiB&inflight=32&reply_max=512");
  constexpr std::uint32_t kOrders = 3000;
  std::optional<std::uint64_t> taken;
  orders->Place(order(1, flood, kOrders)).then([&](const Answer<desk::Ack>& ack) { taken = ack ? ack->id() : 0; });
  std::uint64_t id = 1;
  while (!taken || answered.size() < kOrders) {
    const std::size_t ended = ends.size() + 40;
    for (int i = 0; i < 40; ++i) place(++id);  // more than are granted
    poll_until([&] { return ends.size() == ended; });
  }
  EXPECT_EQ(*taken, kOrders);
  EXPECT_EQ(listener.taken.size(), kOrders);
  EXPECT_GT(ends.size(), answered.size()) << "some were refused";
  EXPECT_EQ(std::count_if(ends.begin(), ends.end(),
                          [](const Status& end) { return !end.ok() && end.code() != Code::resource_exhausted; }),
            0);
  EXPECT_EQ(world->journal.entries(), answered.size() + 1) << "what was refused did not run";
  EXPECT_EQ(world->journal.run_twice(), 0u);
  EXPECT_TRUE(link->up());
}

TEST_P(Transport, a_server_that_dies_while_its_client_answers_leaves_the_client_a_counter) {
  listen();
  listener.holds = true;
  place(1, ask_back);
  poll_until([&] { return !listener.held.empty(); });
  world->lose_server();
  poll_until([&] { return !link->up(); });
  listener.held.front().send({.id = 1});
  poll_until([&] { return ends.size() == 1; });
  EXPECT_STATUS(ends[0], unavailable, maybe, peer_died, "");
  world->start_server();
  poll_until([&] { return link->up(); });
  listener.holds = false;
  place(2, ask_back);
  poll_until([&] { return ends.size() == 2; });
  EXPECT_TRUE(ends[1].ok()) << ends[1];
}

TEST_P(Transport, a_client_that_goes_before_it_answers_costs_the_server_nothing) {
  listen();
  listener.holds = true;
  place(1, ask_back);
  poll_until([&] { return !listener.held.empty(); });
  link.reset();  // with its calls
  listener.held.clear();
  EXPECT_EQ(ends.size(), 1u);
  link.emplace(connect());
  orders.emplace(*link);
  EXPECT_TRUE(placed(2, answer).ok());
}

TEST_P(Transport, a_server_that_goes_while_a_call_waits_ends_it) {
  EXPECT_STATUS(placed(1, die), unavailable, maybe, peer_died, "");
  EXPECT_STATUS(placed(2, answer), unavailable, no, not_connected, "reconnects by itself");
}

TEST_P(Transport, a_link_reconnects_by_itself) {
  std::vector<bool> heard;
  link->on_link([&](bool up) { heard.push_back(up); });
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(placed(1, answer).ok());
    i % 2 == 0 ? world->lose_server() : world->dismiss_server();
    poll_until([&] { return !link->up(); });
    EXPECT_STATUS(placed(2, answer), unavailable, no, not_connected, "reconnects by itself");
    world->start_server();
    poll_until([&] { return link->up(); });
    EXPECT_TRUE(placed(3, answer).ok());
  }
  EXPECT_EQ(heard, (std::vector<bool>{false, true, false, true, false, true}));
}

TEST_P(Transport, answers_that_were_sent_arrive_before_the_end_is_told) {
  for (std::uint64_t id = 1; id <= 10; ++id) place(id);
  place(11, hold);
  place(12);
  world->client().poll();
  world->let_server_work([&] { return world->journal.entered(12); });
  world->dismiss_server();
  poll_until([&] { return ends.size() == 12; });
  EXPECT_EQ(answered, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12}));
  EXPECT_STATUS(ends.back(), unavailable, yes, peer_closed, "");
}

}  // namespace
}  // namespace taut::testing
