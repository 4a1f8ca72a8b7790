// Messages of megabytes between processes, in pieces and through arenas, on good days and bad ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "echo.taut.h"
#include "support/child_process.h"
#include "support/expect_status.h"
#include "support/service_folder.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::size_t kMegabyte = 1 << 20;

std::vector<std::uint8_t> pattern(std::size_t bytes, unsigned seed) {
  std::vector<std::uint8_t> data(bytes);
  std::uint32_t x = seed;
  for (std::uint8_t& byte : data) byte = static_cast<std::uint8_t>((x = x * 1664525 + 1013904223) >> 24);
  return data;
}

struct Mirror final : echo::Echo::Service {
  void Echo(const echo::Bytes& request, Reply<echo::Bytes> reply) override {
    reply.send({.data = std::span(request.data()->data(), request.data()->size())});
  }
};

// The parameter is what both URLs say.
class LargeMessages : public ::testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] std::string url() const { return std::string("shm://echo") + GetParam(); }
  ChildProcess start_server() {
    return ChildProcess([this](ChildProcess::Ready ready) {
      const Signals stop{SIGTERM};
      Dispatcher loop;
      Mirror mirror;
      auto listener = loop.serve(url(), mirror);
      if (!listener) _exit(report(listener.error()));
      ready();
      loop.run_until(stop);
    });
  }
  ChildProcess start_client(const std::vector<std::uint8_t>& data) {
    return ChildProcess([this, &data](ChildProcess::Ready ready) {
      auto link = connect(url());
      if (!link) _exit(report(link.error()));
      echo::Echo::Client echo{*link};
      ready();
      while (true) (void)echo.Echo({.data = data}, taut::wait);
    });
  }
  Link connected() {
    auto link = connect(url() + (*GetParam() != '\0' ? "&" : "?") + "timeout=60s");
    EXPECT_TRUE(link) << link.error();
    return *std::move(link);
  }
  static void expect_echoed(const Answer<echo::Bytes>& answer, const std::vector<std::uint8_t>& data) {
    ASSERT_TRUE(answer) << answer.status();
    EXPECT_TRUE(std::ranges::equal(*answer->data(), data)) << answer->data()->size() << " bytes came back";
  }

  const ServiceFolder folder;
};
INSTANTIATE_TEST_SUITE_P(In, LargeMessages, ::testing::Values("", "?check=copy", "?arena=40MiB"), [](const auto& info) {
  const std::string name = info.param;
  return name.empty() ? "pieces" : name == "?check=copy" ? "pieces_copied" : "arena";
});

TEST_P(LargeMessages, travel_both_ways_to_waits_and_callbacks) {
  const ChildProcess server = start_server();
  Link link = connected();
  echo::Echo::Client echo{link};
  for (unsigned i = 0; i != 4; ++i) {
    const auto data = pattern((4 * i + 3) * kMegabyte + i, i);
    expect_echoed(echo.Echo({.data = data}, taut::wait), data);
    bool over = false;
    echo.Echo({.data = data}).then([&](const Answer<echo::Bytes>& answer) {
      expect_echoed(answer, data);
      over = true;
    });
    while (!over) link.poll();
  }
}

TEST_P(LargeMessages, on_their_way_to_a_server_that_is_killed_did_not_run) {
  ChildProcess server = start_server();
  Link link = connected();
  echo::Echo::Client echo{link};
  const auto data = pattern(8 * kMegabyte, 1);
  expect_echoed(echo.Echo({.data = data}, taut::wait), data);
  server.signal(SIGSTOP);
  std::optional<Status> ended;
  echo.Echo({.data = data}).then([&](const Answer<echo::Bytes>& answer) { ended = answer.status(); });
  for (int i = 0; i != 100; ++i) link.poll();
  ASSERT_FALSE(ended);
  server.kill();
  while (!ended) link.poll();
  EXPECT_STATUS(*ended, unavailable, no, peer_died, "died");
}

TEST_P(LargeMessages, of_clients_that_are_killed_harm_nobody) {
  const ChildProcess server = start_server();
  Link link = connected();
  echo::Echo::Client echo{link};
  const auto data = pattern(2 * kMegabyte, 1);
  for (int i = 0; i != 10; ++i) {
    ChildProcess client = start_client(data);
    ASSERT_TRUE(client.ready());
    expect_echoed(echo.Echo({.data = data}, taut::wait), data);  // so the other one is in the middle of it
    client.kill();
    expect_echoed(echo.Echo({.data = data}, taut::wait), data);
  }
}

TEST_P(LargeMessages, for_a_client_that_is_stopped_keep_nobody_waiting) {
  const ChildProcess server = start_server();
  const auto data = pattern(8 * kMegabyte, 1);
  ChildProcess client = start_client(data);
  ASSERT_TRUE(client.ready());
  Link link = connected();
  echo::Echo::Client echo{link};
  client.signal(SIGSTOP);
  for (int i = 0; i != 1000; ++i)
    expect_echoed(echo.Echo({.data = std::string_view("small")}, taut::wait), {'s', 'm', 'a', 'l', 'l'});
  client.signal(SIGCONT);
}

TEST_P(LargeMessages, of_small_calls_are_overtaken) {
  const ChildProcess server = start_server();
  Link link = connected();
  echo::Echo::Client echo{link};
  const auto data = pattern(8 * kMegabyte, 1);
  int order = 0, large = 0, small = 0;
  echo.Echo({.data = data}).then([&](const Answer<echo::Bytes>& answer) {
    expect_echoed(answer, data);
    large = ++order;
  });
  echo.Echo({.data = std::string_view("small")}).then([&](const auto&) { small = ++order; });
  while (order != 2) link.poll();
  const bool in_arena = std::string_view(GetParam()).find("arena") != std::string_view::npos;
  EXPECT_EQ(small < large, !in_arena) << "what is handed over at once is answered in order";
}

}  // namespace
}  // namespace taut::testing
