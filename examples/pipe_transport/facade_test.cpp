// A program that has this transport beside those of taut: one argument more where it makes its dispatcher or link.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "echo.taut.h"
#include "pipe_transport.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "taut/taut.h"

namespace pipe_transport {
namespace {

struct EchoService final : echo::Echo::Service {
  void Echo(const echo::Bytes& request, taut::Reply<echo::Bytes> reply) override {
    reply.send({.data = std::span(request.data()->data(), request.data()->size())});
  }
};

TEST(Facade, serves_and_calls_through_pipes_and_through_shared_memory) {
  const taut::testing::ServiceFolder folder;
  const std::string pipe = "pipe://" + folder.path() + "/echo";
  const taut::testing::ChildProcess server([&](taut::testing::ChildProcess::Ready ready) {
    EchoService echo;
    const taut::Signals stop{SIGTERM};
    taut::Dispatcher loop({}, make_transport());
    auto through_pipes = loop.serve(pipe, echo);
    auto through_memory = loop.serve("shm://echo", echo);
    if (!through_pipes || !through_memory) return;
    ready();
    loop.run_until(stop);
  });
  ASSERT_TRUE(server.ready());
  for (const std::string& url : {pipe, std::string("shm://echo")}) {
    auto link = taut::connect(url + "?timeout=60s&connect_timeout=60s", {}, make_transport());
    ASSERT_TRUE(link) << link.error();
    const std::uint8_t data[] = {1, 2, 3};
    const auto reply = echo::Echo::Client(*link).Echo({.data = data}, taut::wait);
    ASSERT_TRUE(reply) << reply.status();
    EXPECT_THAT(*reply->data(), ::testing::ElementsAre(1, 2, 3)) << url;
  }
}

// Who misspells the scheme is told what there is.
TEST(Facade, an_unknown_scheme_names_those_that_are_known) {
  const auto link = taut::connect("pip:///nowhere", {}, make_transport());
  ASSERT_FALSE(link);
  EXPECT_THAT(std::string(link.error().hint()) + std::string(link.error().what()), ::testing::HasSubstr("pipe://"));
}

}  // namespace
}  // namespace pipe_transport
