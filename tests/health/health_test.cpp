// The health service, with both sides in one thread: what it knows, whom it tells, and what a drain does.
#include "taut/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "greeter.taut.h"
#include "orders.taut.h"
#include "rpc/joined.h"
#include "rpc/pair.h"
#include "taut/stubs/await_stream.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using rpc::Dispatcher;
using rpc::testing::Joint;
using rpc::testing::Logs;
using rpc::testing::transports;
using State = Health::State;
using ::testing::Each;
using ::testing::ElementsAre;

struct Hello final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest&, Reply<greeter::HelloReply> reply) override {
    if (holds) return held.push_back(std::move(reply));
    reply.send({.text = "Hello"});
  }
  bool holds = false;
  std::vector<Reply<greeter::HelloReply>> held;
};

struct Desk final : desk::Orders::Service {
  void Place(const desk::Order&, Reply<desk::Ack> reply) override { reply.send({}); }
  void Cancel(const desk::Cancel&, Reply<desk::Ack> reply) override { reply.send({}); }
  void Snapshot(const desk::Book&, Reply<desk::BookAck> reply) override { reply.send({}); }
};

// Has the last name of greeter.Greeter; nobody calls it.
struct OtherGreeter final : Service {
  const rpc::ServiceDescription& description() const noexcept override {
    static const rpc::ServiceDescription other{"other.Greeter", 1, rpc::testing::ByteService::described().methods, {}};
    return other;
  }
};

// What became of one call of Check or Ready.
struct Asked {
  std::optional<State> state;
  Status status;
};
// What one watcher was told.
struct Watched {
  std::vector<State> states;
  std::optional<Status> end;
};

class HealthTest : public ::testing::Test {
 protected:
  Listener serve(const std::string& name, auto&... services) {
    auto listener = server_->serve("joined://" + name, services...);
    EXPECT_TRUE(listener) << listener.error();
    return *std::move(listener);
  }
  Link connect(const std::string& name, const std::string& options = "") {
    auto link = caller_->connect("joined://" + name + options);
    EXPECT_TRUE(link) << link.error();
    settle();
    return *std::move(link);
  }
  void settle() {
    for (int idle = 0; idle < 3;) {
      const int done = (server_ ? server_->poll() : 0) + caller_->poll();
      idle = done == 0 ? idle + 1 : 0;
    }
  }
  // Control planes have their turn too.
  void settle_links() {
    for (int i = 0; i != 3; ++i) {
      ticks_ += 1'000'000;
      settle();
    }
  }

  Asked ask(Link& link, const std::string& service, bool ready = false) {
    health::Health::Client client(link);
    Asked asked;
    const auto keep = [&asked](const Answer<health::Report>& answer) {
      asked.status = answer.status();
      if (answer) asked.state = answer->state();
    };
    if (ready) {
      client.Ready({.service = service}).then(keep);
    } else {
      client.Check({.service = service}).then(keep);
    }
    settle();
    return asked;
  }
  std::optional<State> check(Link& link, const std::string& service = "") { return ask(link, service).state; }
  Watched& watch(Link& link, const std::string& service = "") {
    health::Health::Client client(link);
    Watched& watched = watched_.emplace_back();
    client.Watch({.service = service})
        .each([&watched](const health::Report& report) { watched.states.push_back(report.state()); })
        .then([&watched](const Status& status) { watched.end = status; });
    settle();
    return watched;
  }

  std::uint64_t ticks_ = 1'000'000;
  Logs log_;
  Joint joint_;
  Hello hello_;
  Desk desk_;
  Health health_;
  std::deque<Watched> watched_;
  std::optional<Dispatcher> server_{std::in_place, transports(joint_.transport()), options()};
  std::optional<Dispatcher> caller_{std::in_place, transports(joint_.transport()), options()};

 private:
  DispatcherOptions options() {
    DispatcherOptions options;
    options.log = log_.callback();
    options.clock = Clock::manual(&ticks_);
    return options;
  }
};

TEST_F(HealthTest, it_knows_the_services_that_are_served_with_it_and_all_are_serving) {
  const Listener listener = serve("both", hello_, health_, desk_);
  Link link = connect("both");
  for (const char* name : {"", "desk.Orders", "Orders", "greeter.Greeter", "Greeter"}) {
    EXPECT_EQ(check(link, name), State::serving) << name;
    EXPECT_EQ(health_.state(name), State::serving) << name;
  }
}

TEST_F(HealthTest, a_service_that_is_not_there_is_not_found) {
  const Listener listener = serve("both", hello_, health_);
  Link link = connect("both");
  for (const char* name : {"desk.Orders", "Orders", "Gree", "reeter.Greeter", "taut.health.Health", "."}) {
    EXPECT_EQ(ask(link, name).status.code(), Code::not_found) << name;
    EXPECT_EQ(ask(link, name, true).status.code(), Code::not_found) << name;
    EXPECT_EQ(watch(link, name).end->code(), Code::not_found) << name;
    EXPECT_FALSE(health_.set(name, State::not_serving)) << name;
    EXPECT_FALSE(health_.state(name)) << name;
  }
  EXPECT_EQ(check(link), State::serving);
}

TEST_F(HealthTest, of_two_services_with_one_last_name_each_needs_its_whole_name) {
  OtherGreeter other;
  const Listener listener = serve("both", hello_, other, health_);
  Link link = connect("both");
  EXPECT_EQ(ask(link, "Greeter").status.code(), Code::not_found);
  EXPECT_FALSE(health_.set("Greeter", State::not_serving));
  ASSERT_TRUE(health_.set("other.Greeter", State::not_serving));
  EXPECT_EQ(check(link, "greeter.Greeter"), State::serving);
  EXPECT_EQ(check(link, "other.Greeter"), State::not_serving);
}

TEST_F(HealthTest, what_is_set_of_one_service_is_said_of_it_and_of_all_together) {
  const Listener listener = serve("both", hello_, desk_, health_);
  Link link = connect("both");
  ASSERT_TRUE(health_.set("Orders", State::not_serving));
  EXPECT_EQ(check(link, "Orders"), State::not_serving);
  EXPECT_EQ(check(link, "Greeter"), State::serving);
  EXPECT_EQ(check(link), State::not_serving);
  health_.set(State::draining);
  EXPECT_EQ(check(link, "Greeter"), State::draining);
  EXPECT_EQ(check(link), State::draining);
  ASSERT_TRUE(health_.set("", State::serving));
  EXPECT_EQ(check(link), State::serving);
}

TEST_F(HealthTest, a_probe_that_looks_at_the_outcome_alone_succeeds_only_while_it_serves) {
  const Listener listener = serve("both", hello_, desk_, health_);
  Link link = connect("both");
  EXPECT_TRUE(ask(link, "", true).status.ok());
  ASSERT_TRUE(health_.set("Orders", State::not_serving));
  EXPECT_TRUE(ask(link, "Greeter", true).status.ok());
  const Asked refused = ask(link, "", true);
  EXPECT_EQ(refused.status.code(), Code::unavailable);
  EXPECT_EQ(refused.status.text(), "not_serving");
}

TEST_F(HealthTest, a_watcher_is_told_the_state_now_and_each_other_one_once) {
  const Listener listener = serve("both", hello_, desk_, health_);
  Link link = connect("both");
  Watched& orders = watch(link, "Orders");
  Watched& all = watch(link);
  for (const State state : {State::not_serving, State::not_serving, State::serving}) {
    ASSERT_TRUE(health_.set("Orders", state));
    settle();
  }
  ASSERT_TRUE(health_.set("Greeter", State::not_serving));
  settle();
  EXPECT_THAT(orders.states, ElementsAre(State::serving, State::not_serving, State::serving));
  EXPECT_THAT(all.states, ElementsAre(State::serving, State::not_serving, State::serving, State::not_serving));
  EXPECT_FALSE(orders.end);
}

TEST_F(HealthTest, a_slow_watcher_gets_the_latest_state_and_none_between) {
  const Listener listener = serve("both", hello_, health_);
  Link link = connect("both");
  auto stream = health::Health::Client(link).Watch({}, {.credit = 1});
  ASSERT_TRUE(stream.pull());
  settle();
  for (const State state : {State::not_serving, State::serving, State::draining, State::not_serving, State::draining}) {
    health_.set(state);
    settle();
  }
  std::vector<State> seen;
  for (int looks = 0; looks != 4; ++looks) {
    const health::Report* const report = stream.next();
    if (report != nullptr) seen.push_back(report->state());
    settle();
  }
  EXPECT_THAT(seen, ElementsAre(State::serving, State::draining));
  health_.set(State::serving);  // it keeps up again
  settle();
  const health::Report* const report = stream.next();
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->state(), State::serving);
}

TEST_F(HealthTest, many_watchers_hear_the_same) {
  const Listener listener = serve("both", hello_, health_);
  std::deque<Link> links;
  for (int i = 0; i != 8; ++i) {
    Link& link = links.emplace_back(connect("both"));
    for (int calls = 0; calls != 64; ++calls) watch(link);
  }
  health_.set(State::not_serving);
  settle();
  links.erase(links.begin(), links.begin() + 4);  // half of them go
  settle_links();
  health_.set(State::serving);
  settle();
  ASSERT_EQ(watched_.size(), 512u);
  for (std::size_t i = 0; i != 256; ++i) {
    ASSERT_THAT(watched_[i].states, ElementsAre(State::serving, State::not_serving));
    ASSERT_EQ(watched_[i].end->code(), Code::cancelled);
  }
  for (std::size_t i = 256; i != 512; ++i) {
    ASSERT_THAT(watched_[i].states, ElementsAre(State::serving, State::not_serving, State::serving));
  }
}

// The server would else keep the place of each, and the client has one.
TEST_F(HealthTest, a_watcher_that_cancels_leaves_its_place) {
  const Listener listener = serve("both", hello_, health_);
  Link link = connect("both", "?inflight=1");
  for (int i = 0; i != 3; ++i) {
    auto stream = health::Health::Client(link).Watch({});
    ASSERT_TRUE(stream.pull());
    settle();
    EXPECT_NE(stream.next(), nullptr) << i;
    stream.cancel();
    settle();
  }
}

TEST_F(HealthTest, a_drain_is_told_and_watchers_sent_away_before_the_name_goes) {
  Listener listener = serve("both", hello_, desk_, health_);
  Link link = connect("both");
  Watched& orders = watch(link, "Orders");
  Watched& all = watch(link);
  bool name_is_gone = false;
  joint_.name_goes = [&] {
    while (caller_->poll() != 0) {  // nothing turns the server in between
    }
    name_is_gone = true;
    for (const Watched& watched : {orders, all}) {
      EXPECT_THAT(watched.states, ElementsAre(State::serving, State::draining));
      ASSERT_TRUE(watched.end);
      EXPECT_EQ(watched.end->code(), Code::unavailable);
      EXPECT_EQ(watched.end->why(), Why::draining);
    }
    EXPECT_EQ(health_.state(), State::draining);
  };
  EXPECT_TRUE(listener.drain());
  EXPECT_TRUE(name_is_gone);
}

// It has no room for the state: the end of its call says the same.
TEST_F(HealthTest, a_slow_watcher_does_not_hold_up_a_drain) {
  Listener listener = serve("both", hello_, health_);
  Link link = connect("both");
  std::optional<Status> end;
  auto stream = health::Health::Client(link).Watch({}, {.credit = 1});
  ASSERT_TRUE(stream.pull());
  std::move(stream).then([&end](const Status& status) { end = status; });
  settle();
  EXPECT_TRUE(listener.drain()) << "and it does not turn meanwhile";
  settle_links();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->why(), Why::draining) << *end;
}

TEST_F(HealthTest, a_check_behind_the_drain_is_refused_and_says_why) {
  hello_.holds = true;
  Listener listener = serve("both", hello_, health_);
  Link link = connect("both");
  greeter::Greeter::Client(link).SayHello({.name = "keeps the link"}).then([](const Answer<greeter::HelloReply>&) {});
  settle();
  std::optional<Status> end;
  health::Health::Client(link).Check({}).then([&end](const Answer<health::Report>& answer) { end = answer.status(); });
  listener.begin_drain();  // the check is on its way
  settle();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code(), Code::unavailable);
  EXPECT_EQ(end->why(), Why::draining);
  EXPECT_EQ(end->ran(), Ran::no);
  hello_.held.clear();
}

TEST_F(HealthTest, a_copy_under_a_name_of_its_own_answers_while_the_others_drain) {
  hello_.holds = true;
  Health outside(health_);
  Listener listener = serve("both", hello_, health_);
  const Listener beside = serve("health", outside);
  Link link = connect("both"), asking = connect("health");
  greeter::Greeter::Client(link).SayHello({.name = "takes long"}).then([](const Answer<greeter::HelloReply>&) {});
  Watched& watched = watch(asking);
  ASSERT_TRUE(health_.set("Greeter", State::not_serving));
  settle();
  ASSERT_TRUE(outside.set("Greeter", State::serving));
  settle();
  listener.begin_drain();
  settle();
  EXPECT_EQ(check(asking, "Greeter"), State::draining);
  EXPECT_EQ(check(asking), State::draining);
  EXPECT_THAT(watched.states, ElementsAre(State::serving, State::not_serving, State::serving, State::draining));
  EXPECT_FALSE(watched.end) << "its own listener does not drain";
  hello_.held.clear();
  settle_links();
  EXPECT_TRUE(listener.drained());
}

// As dispatchers that share a listener: one of them goes, and the service is still there.
TEST_F(HealthTest, a_service_drains_when_all_that_serve_it_do) {
  Health second(health_), outside(health_);
  Hello other;
  Listener one = serve("one", hello_, health_), two = serve("two", other, second);
  const Listener beside = serve("health", outside);
  Link asking = connect("health");
  EXPECT_TRUE(one.drain());
  EXPECT_EQ(health_.state("Greeter"), State::draining);
  EXPECT_EQ(second.state("Greeter"), State::serving);
  EXPECT_EQ(check(asking), State::serving);
  EXPECT_TRUE(two.drain());
  EXPECT_EQ(check(asking), State::draining);
}

TEST_F(HealthTest, it_is_served_again_behind_a_drain) {
  {
    Listener listener = serve("both", hello_, desk_, health_);
    ASSERT_TRUE(health_.set("Orders", State::not_serving));
    EXPECT_TRUE(listener.drain());
  }
  const Listener listener = serve("both", hello_, health_);
  Link link = connect("both");
  EXPECT_EQ(check(link), State::serving) << "Orders is not served any more";
  EXPECT_FALSE(health_.state("Orders"));
  EXPECT_THAT(watch(link).states, ElementsAre(State::serving));
}

TEST_F(HealthTest, watchers_whose_server_is_gone_hold_nothing) {
  std::optional<Listener> listener = serve("both", hello_, health_);
  Link link = connect("both");
  Watched& watched = watch(link);
  listener.reset();
  server_.reset();
  settle_links();
  ASSERT_TRUE(watched.end);
  EXPECT_EQ(watched.end->code(), Code::unavailable);
  health_.set(State::not_serving);  // there is nobody to tell
  EXPECT_EQ(health_.state(), State::not_serving);
}

TEST_F(HealthTest, it_may_be_set_from_any_thread) {
  const Listener listener = serve("both", hello_, desk_, health_);
  Link link = connect("both");
  Watched& orders = watch(link, "Orders");
  Watched& greeter = watch(link, "Greeter");
  std::atomic<int> done{0};
  const auto flicker = [this, &done](const char* name) {
    for (int i = 0; i != 2000; ++i) {
      EXPECT_TRUE(health_.set(name, i % 2 == 0 ? State::not_serving : State::serving));
    }
    EXPECT_TRUE(health_.set(name, State::draining));
    ++done;
  };
  std::thread one(flicker, "Orders"), two(flicker, "Greeter");
  while (done != 2) settle();
  one.join();
  two.join();
  settle();
  for (const Watched& watched : {orders, greeter}) {
    EXPECT_EQ(watched.states.back(), State::draining);
    for (std::size_t i = 1; i < watched.states.size(); ++i) ASSERT_NE(watched.states[i], watched.states[i - 1]);
  }
}

}  // namespace
}  // namespace taut::testing
