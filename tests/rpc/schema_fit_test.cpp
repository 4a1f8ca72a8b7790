// A client and a server of different schemas: what works, what is refused, and what the refusals say. Services of bytes
// with descriptions made by hand; real schemas in real processes: tests/evolution.
#include "pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr MethodDescription method(std::string_view name, std::uint16_t id, bool needed = false) {
  return {.name = name,
          .id = id,
          .needed = needed,
          .request_bound = 0,
          .reply_bound = 0,
          .request = "test.Request",
          .reply = "test.Reply"};
}

// The server is test.Bytes of byte_service.h: Echo 1, Small 2, Big 3, Urgent 4, fingerprint 0x5eed.
constexpr MethodDescription kNext[] = {method("Echo", 1), method("Later", 99)};
constexpr MethodDescription kSwapped[] = {method("Echo", 1), method("Tiny", 2)};
constexpr MethodDescription kNeedy[] = {method("Echo", 1, true), method("Later", 99, true)};
constexpr MethodDescription kPlain[] = {method("Echo", 1)};
const ServiceDescription next{"test.Bytes", 0xbeef, kNext, {}};
const ServiceDescription swapped{"test.Bytes", 0xbeef, kSwapped, {}};
const ServiceDescription needy{"test.Bytes", 0xbeef, kNeedy, {}};
const ServiceDescription needy_elsewhere{"test.Other", 0xbeef, kNeedy, {}};
const ServiceDescription plain{"test.Bytes", 0xbeef, kPlain, {}};
const ServiceDescription plain_elsewhere{"test.Other", 0xbeef, kPlain, {}};
const ServiceDescription same{"test.Bytes", 0x5eed, kPlain, {}};

template <const ServiceDescription& kDescription>
struct Of {  // as generated code has it
  static const ServiceDescription& description() noexcept { return kDescription; }
};

Status called(Link& link, const ServiceDescription& service, std::uint32_t method) {
  AnswerBuffer buffer;
  return wait_call(claim_call(link.state(), bind(link.state(), service), method, 0), 0, wait, buffer);
}

struct SchemaFit : ::testing::Test {
  SchemaFit() { pair.server_turns_in_waits(); }
  Pair pair;
  Link& link = pair.client().link();
};

TEST_F(SchemaFit, another_fingerprint_with_the_same_methods_is_no_obstacle) {
  EXPECT_TRUE(link.fits(next));
  EXPECT_TRUE(called(link, next, 0).ok());
  EXPECT_TRUE(pair.caller().connect<Of<next>>(pair.url));
}

TEST_F(SchemaFit, a_method_that_the_server_lacks_is_unimplemented_and_names_both_sides) {
  const Status status = called(link, next, 1);
  EXPECT_EQ(status.code(), Code::unimplemented);
  EXPECT_EQ(status.why(), Why::unknown_method);
  EXPECT_EQ(status.ran(), Ran::no);
  EXPECT_EQ(status.text(),
            "the server's method table lacks 'Later' (id 99) of test.Bytes: schema 0x000000000000beef here, "
            "0x0000000000005eed at the server");
  EXPECT_EQ(called(link, plain_elsewhere, 0).text(),
            "the server's method table lacks test.Other; it offers: test.Bytes");
}

TEST_F(SchemaFit, one_id_of_two_methods_refuses_the_service_and_sends_nothing) {
  const auto fit = link.fits(swapped);
  ASSERT_FALSE(fit);
  EXPECT_EQ(fit.error().what(),
            "loopback://bytes: id 2 of test.Bytes is the method 'Tiny' here and 'Small' at the server "
            "(schema 0x000000000000beef here, 0x0000000000005eed at the server)");
  for (std::uint32_t method : {0u, 1u}) {  // the other method too: nobody knows what else was changed
    const Status status = called(link, swapped, method);
    EXPECT_EQ(status.code(), Code::failed_precondition);
    EXPECT_EQ(status.why(), Why::schema_mismatch);
    EXPECT_EQ(status.ran(), Ran::no);
    EXPECT_THAT(std::string(status.text()), HasSubstr("'Tiny' here and 'Small' at the server"));
  }
  EXPECT_EQ(pair.service.received[kEcho] + pair.service.received[kSmall], 0);
  EXPECT_EQ(pair.log.count("no call is sent to loopback://bytes: id 2 of test.Bytes"), 1);
}

TEST_F(SchemaFit, a_connect_that_names_its_services_is_refused_at_once) {
  const auto refused = pair.caller().connect<Of<next>, Of<swapped>>(pair.url);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::failed_precondition);
  EXPECT_THAT(std::string(refused.error().what()), HasSubstr("'Tiny' here and 'Small' at the server"));
}

TEST_F(SchemaFit, a_needed_method_that_the_server_lacks_refuses_the_service) {
  EXPECT_THAT(std::string(link.fits(needy).error().what()),
              AllOf(HasSubstr("the server lacks the method 'Later' (id 99) of test.Bytes, which this client needs"),
                    HasSubstr("0x000000000000beef here, 0x0000000000005eed at the server")));
  EXPECT_EQ(called(link, needy, 0).why(), Why::schema_mismatch);
  EXPECT_THAT(
      std::string(link.fits(needy_elsewhere).error().what()),
      HasSubstr("the server offers no test.Other, of which this client needs the method 'Echo' (id 1); it offers: "
                "test.Bytes"));
}

TEST_F(SchemaFit, exact_refuses_every_other_fingerprint) {
  Link exact = *pair.caller().connect(pair.url + "?schema=exact");
  pair.settle();
  EXPECT_TRUE(exact.fits(same));
  EXPECT_TRUE(called(exact, same, 0).ok());
  EXPECT_EQ(exact.fits(plain).error().what(),
            "loopback://bytes: schema=exact, but test.Bytes differs: schema 0x000000000000beef here, "
            "0x0000000000005eed at the server");
  EXPECT_EQ(called(exact, plain, 0).why(), Why::schema_mismatch);
  EXPECT_THAT(std::string(exact.fits(plain_elsewhere).error().what()), HasSubstr("offers no test.Other"));
  EXPECT_TRUE(called(link, plain, 0).ok()) << "the other link did not ask for it";
}

TEST_F(SchemaFit, exact_is_for_clients) {
  const auto refused = pair.server().serve("loopback://other?schema=exact", pair.service);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::invalid_argument);
}

TEST(SchemaFitOfALink, is_asked_anew_when_the_server_comes_back) {
  Pair pair;
  Link late = pair.connect();
  pair.destroy_server();
  pair.settle_links();
  EXPECT_EQ(late.fits(plain).error().code(), Code::unavailable);
  bind(late.state(), swapped);
  EXPECT_EQ(pair.log.count("no call is sent"), 0) << "nothing is known of a server that is not there";
  EXPECT_EQ(called(late, swapped, 0).why(), Why::not_connected);
  pair.restart_server();
  pair.until([&] { return late.up(); });
  EXPECT_EQ(called(late, swapped, 0).why(), Why::schema_mismatch);
  EXPECT_EQ(pair.log.count("no call is sent"), 1);
}

}  // namespace
}  // namespace taut::rpc::testing
