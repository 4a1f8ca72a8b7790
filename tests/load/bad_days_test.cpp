// What a caller sees when the process at the other end of shared memory has a bad day: code, ran, why and the text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <sstream>
#include <string>
#include <vector>

#include "echo.taut.h"
#include "client/link_state.h"  // counters and the peer's board: what a tool would read from the segments
#include "support/accounting/desk.h"
#include "support/accounting/load.h"
#include "support/child_process.h"
#include "support/expect_status.h"
#include "support/service_folder.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// What an order asks the handler to do, in its price.
enum Wish : std::int32_t { answer, hold, die, die_mid_claim };

desk::OrderInit order(std::uint64_t id, std::int32_t wish = answer) {
  static constexpr std::uint8_t kZeros[8] = {};
  return {.id = id,
          .price = wish,
          .quantity = 1,
          .party = desk::Party(flatbuffers::span<const std::uint8_t, 8>(kZeros, 8),
                               flatbuffers::span<const std::uint8_t, 4>(kZeros, 4))};
}

struct WishDesk final : desk::Orders::Service {
  explicit WishDesk(Journal& with) : journal(with) {}
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    journal.enter(order.id());
    if (order.price() == die) raise(SIGKILL);
    if (order.price() == hold) return held.push_back(std::move(reply));
    reply.send({.id = order.id()});
  }
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override { reply.send({.id = cancel.id()}); }
  Journal& journal;
  std::vector<Reply<desk::Ack>> held;
};

struct HoldingEcho final : echo::Echo::Service {
  explicit HoldingEcho(Journal& with) : journal(with) {}
  void Echo(const echo::Bytes& request, Reply<echo::Bytes> reply) override {
    journal.enter((*request.data())[0]);
    held.push_back(std::move(reply));
  }
  Journal& journal;
  std::vector<Reply<echo::Bytes>> held;
};

template <class... Services>
void serve(ChildProcess::Ready ready, Dispatcher& loop, Services&... services) {
  auto listener = loop.serve("shm://desk", services...);
  if (!listener) _exit(report(listener.error()));
  ready();
  loop.run_until(Signals{SIGTERM});
}

class BadDays : public ::testing::Test {
 protected:
  ChildProcess start_desk(Hooks hooks = {}) {
    return ChildProcess([this, hooks](ChildProcess::Ready ready) {
      Dispatcher loop;
      Desk desk(loop, journal, hooks, 0);
      serve(ready, loop, desk);
    });
  }
  ChildProcess start_wishes() {
    return ChildProcess([this](ChildProcess::Ready ready) {
      Dispatcher loop;
      WishDesk desk(journal);
      HoldingEcho echo(journal);
      serve(ready, loop, desk, echo);
    });
  }
  void connect() {
    auto made = loop.connect("shm://desk?timeout=60s");
    ASSERT_TRUE(made) << made.error();
    link.emplace(*std::move(made));
    orders.emplace(*link);
  }
  [[nodiscard]] rpc::LinkEnd& end() { return *link->state().end(); }

  const ServiceFolder folder;
  Journal journal;
  Random random;
  Dispatcher loop{{.log = [this](Severity, std::string_view line) { logged.emplace_back(line); }}};
  std::vector<std::string> logged;
  std::optional<Link> link;
  std::optional<desk::Orders::Client> orders;
};

TEST_F(BadDays, a_server_killed_while_idle_ran_nothing) {
  ChildProcess server = start_wishes();
  connect();
  ASSERT_TRUE(orders->Place(order(1), taut::wait));
  server.kill();
  EXPECT_STATUS(orders->Place(order(2), taut::wait).status(), unavailable, no, peer_died, "died");
  EXPECT_STATUS(orders->Place(order(3), taut::wait).status(), unavailable, no, not_connected,
                "has no server at present");
}

TEST_F(BadDays, a_killed_server_that_nobody_reaps_is_dead_all_the_same) {
  ChildProcess server = start_wishes();
  connect();
  server.signal(SIGKILL);
  while (link->up()) loop.poll();
  siginfo_t info{};
  EXPECT_EQ(waitid(P_PID, static_cast<id_t>(server.pid()), &info, WEXITED | WNOHANG | WNOWAIT), 0);
  EXPECT_EQ(info.si_pid, server.pid()) << "it is a zombie still";
}

TEST_F(BadDays, a_server_killed_in_a_handler_leaves_yes_maybe_and_no) {
  ChildProcess server = start_wishes();
  connect();
  std::vector<Status> ends(3);
  const std::array wishes{hold, die, answer};
  for (std::size_t at = 0; at != wishes.size(); ++at) {
    orders->Place(order(at + 1, wishes[at])).then([&ends, at](const Answer<desk::Ack>& ack) {
      ends[at] = ack.status();
    });
  }
  while (link->up()) loop.poll();
  while (ends[2].ok()) loop.poll();
  EXPECT_STATUS(ends[0], unavailable, yes, peer_died, "died");
  EXPECT_STATUS(ends[1], unavailable, maybe, peer_died, "died");
  EXPECT_STATUS(ends[2], unavailable, no, peer_died, "died");
  EXPECT_TRUE(journal.entered(1) && journal.entered(2) && !journal.entered(3));
}

TEST_F(BadDays, a_server_killed_between_claiming_and_sending_its_answer_may_have_run_the_call) {
  ChildProcess server([](ChildProcess::Ready ready) {
    struct Raw final : Service {
      const rpc::ServiceDescription& description() const noexcept override {
        static constexpr rpc::MethodDescription kMethods[] = {{.name = "Place",
                                                               .id = 1,
                                                               .request_bound = 0,
                                                               .reply_bound = 40,
                                                               .request = "desk.Order",
                                                               .reply = "desk.Ack",
                                                               .serve = [](Service&, rpc::ServedCall& call) {
                                                                 call.taken();
                                                                 rpc::RawReply reply = call.reply();
                                                                 std::memset(reply.claim(40), 0xff, 40);
                                                                 raise(SIGKILL);
                                                               }}};
        static constexpr rpc::ServiceDescription kService{
            .name = "desk.Orders", .fingerprint = 1, .methods = kMethods, .schema = {}};
        return kService;
      }
    } raw;
    Dispatcher loop;
    serve(ready, loop, raw);
  });
  connect();
  EXPECT_STATUS(orders->Place(order(1), taut::wait).status(), unavailable, maybe, peer_died, "died");
}

TEST_F(BadDays, an_answer_sent_before_the_kill_is_an_answer) {
  ChildProcess server = start_desk({.before_entry = {}, .in_handler = {}, .after_answer = [](std::uint64_t id) {
                                      if (id == 2) raise(SIGKILL);
                                    }});
  connect();
  ASSERT_TRUE(orders->Place(order(1), taut::wait));
  EXPECT_TRUE(orders->Place(order(2), taut::wait));
}

// Refusals and answers of one turn are committed together; a call that was refused in it did not run, whatever the mark
// of a later call says.
TEST_F(BadDays, a_call_refused_in_the_turn_of_the_kill_is_not_reported_as_run) {
  ChildProcess server = start_wishes();
  connect();
  echo::Echo::Client echo(*link);
  server.signal(SIGSTOP);
  // More than one turn's records, so that the second turn answers in a batch.
  for (std::uint64_t i = 0; i < 64; ++i) orders->Cancel({.id = i}).then([](const Answer<desk::Ack>&) {});
  std::vector<Status> ends(16);
  for (std::uint8_t i = 0; i < 16; ++i) {
    const std::uint8_t data[] = {static_cast<std::uint8_t>(100 + i)};
    echo.Echo({.data = data}).then([&ends, i](const Answer<echo::Bytes>& answer) { ends[i] = answer.status(); });
  }
  Status killer;
  orders->Place(order(99, die)).then([&killer](const Answer<desk::Ack>& ack) { killer = ack.status(); });
  server.signal(SIGCONT);
  while (killer.ok()) loop.poll();
  EXPECT_STATUS(killer, unavailable, maybe, peer_died, "died");
  int refused = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    EXPECT_EQ(ends[i].ran() == Ran::yes, journal.entered(100 + i)) << i << ": " << ends[i];
    refused += !journal.entered(100 + i);
  }
  EXPECT_GT(refused, 0) << "nothing was refused: the test does not test";
}

TEST_F(BadDays, a_server_stopped_past_the_deadline_answers_late_and_is_used_again) {
  ChildProcess server = start_wishes();
  connect();
  ASSERT_TRUE(orders->Place(order(1), taut::wait));
  server.signal(SIGSTOP);
  EXPECT_STATUS(orders->Place(order(2), taut::wait(20ms)).status(), deadline_exceeded, maybe, timeout,
                "no answer within the timeout");
  EXPECT_TRUE(link->up()) << "stopped is not dead";
  EXPECT_EQ(end().counters().calls_timed_out.value(), 1u);
  server.signal(SIGCONT);
  while (end().counters().answers_late.value() == 0) loop.poll();
  // Whether it ran depends on where the server was stopped; its caller was told `maybe`.
  EXPECT_TRUE(orders->Place(order(3), taut::wait));
  EXPECT_EQ(end().counters().answers_late.value(), 1u);
}

TEST_F(BadDays, a_child_of_a_client_is_refused_and_the_parent_goes_on) {
  ChildProcess server = start_wishes();
  connect();
  ASSERT_TRUE(orders->Place(order(1), taut::wait));
  ChildProcess child([this](ChildProcess::Ready) {
    const Status waited = orders->Place(order(2), taut::wait).status();
    int refusals = waited.code() == Code::failed_precondition && waited.ran() == Ran::no &&
                   waited.why() == Why::forked && waited.text().find("child of fork()") != std::string_view::npos;
    orders->Place(order(3)).then(
        [&refusals](const Answer<desk::Ack>& ack) { refusals += ack.status().why() == Why::forked; });
    loop.poll();
    orders.reset();
    link.reset();
    _exit(refusals == 2 ? 0 : 1);
  });
  const int how = child.wait();
  EXPECT_TRUE(WIFEXITED(how)) << "killed by signal " << WTERMSIG(how);
  EXPECT_EQ(WEXITSTATUS(how), 0) << "the child's calls were not refused as they must be";
  EXPECT_TRUE(orders->Place(order(4), taut::wait));
  EXPECT_FALSE(journal.entered(2) || journal.entered(3));
  server.kill();
  while (link->up()) loop.poll();  // a child that still held the socket would not hide the death
}

TEST_F(BadDays, a_server_that_goes_into_the_background_after_listening_is_alive_and_known_to_be) {
  auto* daemon =
      static_cast<std::atomic<pid_t>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ChildProcess starter([&](ChildProcess::Ready ready) {
    Dispatcher loop;
    WishDesk desk(journal);
    auto listener = loop.serve("shm://desk", desk);
    if (!listener) _exit(report(listener.error()));
    const pid_t background = fork();
    if (background != 0) {
      daemon->store(background);
      _exit(0);
    }
    ready();
    alarm(60);  // nobody else would end it if the test died here
    loop.run();
  });
  starter.wait();
  connect();
  for (std::uint64_t id = 1; id < 100; ++id) ASSERT_TRUE(orders->Place(order(id), taut::wait));
  EXPECT_TRUE(link->up());
  kill(daemon->load(), SIGKILL);
  EXPECT_STATUS(orders->Place(order(100), taut::wait).status(), unavailable, no, peer_died, "died");
  munmap(daemon, 4096);
}

TEST_F(BadDays, a_client_killed_in_a_claim_does_not_touch_another_client) {
  ChildProcess server = start_desk();
  connect();
  Load load(*link, journal, random);
  for (int round = 0; round < 5; ++round) {
    ChildProcess other([](ChildProcess::Ready ready) {
      Dispatcher own;
      auto another = own.connect("shm://desk");
      if (!another) _exit(report(another.error()));
      desk::Orders::Client client(*another);
      for (int i = 0; i < 32; ++i) client.Place(order(0)).then([](const Answer<desk::Ack>&) {});
      auto claim = client.claim_Snapshot(200);
      claim->seq(7);
      ready();
      raise(SIGKILL);
    });
    while (!other.gone()) load.step();
  }
  for (int i = 0; i < 1000; ++i) load.step();
  while (load.open() != 0) loop.poll();
  EXPECT_TRUE(load.books_balance()) << load;
  EXPECT_EQ(load.made(), load.ok()) << load;
  EXPECT_TRUE(link->up());
}

TEST_F(BadDays, a_server_restarted_in_good_order_under_load_loses_nothing) {
  ChildProcess server = start_desk();
  connect();
  Load load(*link, journal, random);
  for (int life = 0; life < 5; ++life) {
    const std::uint64_t before = load.ok();
    while (load.ok() < before + 500) load.step();
    server.signal(SIGTERM);
    while (link->up()) load.step();
    while (load.open() != 0) loop.poll();
    EXPECT_EQ(server.wait(), 0);
    ASSERT_TRUE(load.books_balance()) << load;
    ASSERT_LE(load.maybes(false), 1u) << load;
    ASSERT_LE(load.maybes(true), 1u) << load;
    load.forget_maybes();
    server = start_desk();
    while (!link->up()) loop.poll();
  }
  EXPECT_EQ(load.ended_with(Code::unavailable, Why::peer_died), 0u) << load;
  EXPECT_EQ(journal.run_twice(), 0u);
}

TEST_F(BadDays, a_sleeping_server_is_woken_by_one_bell_for_each_call) {
  ChildProcess server = start_wishes();
  connect();
  for (std::uint64_t id = 1; id <= 20; ++id) {
    while ((end().wire().peer_board()->load(std::memory_order_seq_cst) & ring::board::asleep) == 0) loop.poll();
    const std::uint64_t bells = end().counters().bells_rung.value();
    ASSERT_TRUE(orders->Place(order(id), taut::wait));
    ASSERT_EQ(end().counters().bells_rung.value(), bells + 1);
  }
}

}  // namespace
}  // namespace taut::testing
