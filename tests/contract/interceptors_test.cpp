// Code before calls and behind them, on every transport: it hears of each call once on the way in and once at its end,
// and what it refuses does not run.
#include <stdexcept>

#include "support/expect_status.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

// At the server, in whose process nobody can ask it: it tells the journal. Calls enter it as numbers from 1,000,000
// on, and leave it by the same.
class Guard final : public ServerInterceptor {
 public:
  explicit Guard(Journal& journal) : journal_(journal) {}
  static constexpr std::uint64_t kFirst = 1'000'000;
  Status on_call(IncomingCall& call) override {
    const auto ticket = call.metadata().find("ticket");
    if (ticket == "false") return Status(Code::unauthenticated, Ran::no, Why::none, "no such ticket");
    if (ticket == "broken") throw std::runtime_error("a ticket that no guard can read");
    call.note() = ++let_in_;
    journal_.enter(kFirst + call.note());
    return {};
  }
  void on_end(IncomingCall& call, const CallEnd&) override { journal_.leave(kFirst + call.note()); }

 private:
  Journal& journal_;
  std::uint64_t let_in_ = 0;
};

// At the client: adds a ticket, and counts.
struct Porter final : ClientInterceptor {
  Status on_call(OutgoingCall& call) override {
    if (refuses) return Status(Code::permission_denied, Ran::no, Why::none, "nobody leaves");
    ++calls;
    EXPECT_TRUE(call.add_metadata("ticket", ticket));
    return {};
  }
  void on_end(OutgoingCall&, const CallEnd& end) override {
    ++ends;
    failed += end.status.ok() ? 0 : 1;
  }
  std::string ticket = "true";
  bool refuses = false;
  int calls = 0, ends = 0, failed = 0;
};

TEST_P(Transport, a_server_interceptor_hears_of_every_call_and_its_end) {
  Guard guard(world->journal);
  world->dismiss_server();
  poll_until([&] { return !link->up(); });
  world->guard = &guard;
  world->start_server();
  poll_until([&] { return link->up(); });
  Porter porter;
  ASSERT_TRUE(link->intercept(porter));
  EXPECT_TRUE(placed(1, answer).ok());
  EXPECT_STATUS(placed(2, throw_up), internal, yes, handler_threw, "");
  place(3, hold);
  poll_until([&] { return world->journal.entered(3); });
  EXPECT_TRUE(world->journal.left(Guard::kFirst + 1));
  EXPECT_TRUE(world->journal.left(Guard::kFirst + 2));
  EXPECT_TRUE(world->journal.entered(Guard::kFirst + 3));
  EXPECT_FALSE(world->journal.left(Guard::kFirst + 3)) << "the call is still open";

  porter.ticket = "false";
  EXPECT_STATUS(placed(4, answer), unauthenticated, no, intercepted, "no such ticket");
  porter.ticket = "broken";
  EXPECT_STATUS(placed(5, answer), internal, no, intercepted, "");
  EXPECT_FALSE(world->journal.entered(4) || world->journal.entered(5));
  porter.ticket = "true";
  EXPECT_TRUE(placed(6, release_all).ok());
  poll_until([&] { return ends.size() == 1; });
  EXPECT_TRUE(ends[0].ok()) << ends[0];
  EXPECT_TRUE(world->journal.left(Guard::kFirst + 3));
  EXPECT_EQ(world->journal.entries(), 4u + 4u) << "calls and entries of the guard, one each";
  EXPECT_EQ(porter.calls, 6);
  EXPECT_EQ(porter.ends, 6);
  EXPECT_EQ(porter.failed, 3);
}

TEST_P(Transport, a_client_interceptor_refuses_a_call_before_it_is_sent) {
  Porter porter;
  ASSERT_TRUE(link->intercept(porter));
  porter.refuses = true;
  place(1);
  EXPECT_STATUS(placed(2, answer), permission_denied, no, intercepted, "nobody leaves");
  poll_until([&] { return ends.size() == 1; });
  EXPECT_STATUS(ends[0], permission_denied, no, intercepted, "nobody leaves");
  porter.refuses = false;
  EXPECT_TRUE(placed(3, answer).ok());
  EXPECT_EQ(world->journal.entries(), 1u);
  EXPECT_EQ(porter.calls, 1);
  EXPECT_EQ(porter.ends, 1) << "only of what it let through";
}

}  // namespace
}  // namespace taut::testing
