// What docs/production.md shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "greeter.taut.h"
#include "taut/stubs/to_text.h"
#include "taut/taut.h"
#include "taut/testing.h"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Production, the_log_callback_hears_what_the_library_has_to_say) {
  std::vector<std::string> lines;
  taut::DispatcherOptions options;
  options.log = [&lines](taut::Severity severity, std::string_view line) {
    if (severity != taut::Severity::info) lines.emplace_back(line);
  };
  taut::Dispatcher loop(options);
  loop.poll();
  std::thread([&loop] { loop.poll(); }).join();
  EXPECT_THAT(lines, ElementsAre(HasSubstr("hand the work over with post()")));
}

struct Logging final : greeter::Greeter::Service {
  void SayHello(const greeter::HelloRequest& request, taut::Reply<greeter::HelloReply> reply) override {
    seen << taut::to_text<greeter::Greeter>(request);
    reply.refuse(taut::Code::unavailable, "not today");
  }
  std::ostringstream seen;
};

TEST(Production, messages_and_statuses_are_lines_of_a_log) {
  Logging service;
  taut::testing::Wire wire;
  taut::Link link = wire.connect(service);
  greeter::Greeter::Client greeter{link};
  const auto reply = greeter.SayHello({.name = "Ada\n"}, taut::wait);
  std::ostringstream status;
  status << reply.status();
  EXPECT_EQ(service.seen.str(), R"({name: "Ada\x0a"})");
  EXPECT_THAT(status.str(), HasSubstr("not today"));
}

}  // namespace
