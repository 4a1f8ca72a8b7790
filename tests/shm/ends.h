// A server's and a client's end of the transport, as a dispatcher would hold them, reduced to what a test looks at.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/temporary_directory.h"
#include "taut/memory/board.h"
#include "taut/rpc/seats.h"
#include "taut/rpc/transport.h"
#include "taut/shm/transport.h"

namespace taut::shm::testing {

using namespace std::chrono_literals;

using taut::testing::TemporaryDirectory;

// Everything that happened, in order of arrival.
struct TestInbox final : rpc::Inbox {
  struct Up {
    std::uint64_t endpoint;
    std::unique_ptr<rpc::Wire> wire;
  };
  struct Ended {
    std::uint64_t endpoint, link;
    rpc::LinkEnded how;
  };
  void link_up(std::uint64_t endpoint, std::unique_ptr<rpc::Wire> wire) override {
    ups.push_back({endpoint, std::move(wire)});
  }
  void link_ended(std::uint64_t endpoint, std::uint64_t link, rpc::LinkEnded how) override {
    endings.push_back({endpoint, link, std::move(how)});
  }
  void connect_failed(std::uint64_t, Error error) override { failures.push_back(error); }
  void log(Severity, std::string_view text) override { lines.emplace_back(text); }

  std::vector<Up> ups;
  std::vector<Ended> endings;
  std::vector<Error> failures;
  std::vector<std::string> lines;
};

// What one dispatcher has: a control plane, a board, an inbox.
struct End {
  explicit End(TransportOptions with_options) : options(std::move(with_options)) {
    auto made_control = rpc::ControlPlane::create();
    EXPECT_TRUE(made_control) << made_control.error();
    control = *std::move(made_control);
    auto made_board = memory::Board::create(0);
    EXPECT_TRUE(made_board) << made_board.error();
    board = std::make_shared<memory::Board>(*std::move(made_board));
    transport = make_transport(options);
  }

  // Polls until `done` or, with a watchdog, for ever.
  template <class Done>
  bool poll_until(Done done, std::chrono::seconds watchdog = 20s) {
    const auto give_up = std::chrono::steady_clock::now() + watchdog;
    while (!done()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      control->poll(10ms);
    }
    return true;
  }

  TransportOptions options;
  std::unique_ptr<rpc::ControlPlane> control;
  std::shared_ptr<memory::Board> board;
  TestInbox inbox;
  std::unique_ptr<rpc::Transport> transport;
};

inline constexpr rpc::MethodDescription kMethods[] = {
    {.name = "Echo", .id = 1, .request_bound = 0, .reply_bound = 0, .request = "test.Bytes", .reply = "test.Bytes"},
    {.name = "Add", .id = 2, .request_bound = 0, .reply_bound = 0, .request = "test.Two", .reply = "test.One"}};
inline constexpr std::byte kSchema[] = {std::byte{1}, std::byte{2}, std::byte{3}};
inline constexpr rpc::ServiceDescription kService{
    .name = "test.Service", .fingerprint = 42, .methods = kMethods, .schema = kSchema};

struct Server : End {
  explicit Server(TransportOptions with_options, const std::string& url = "shm://orders")
      : End(std::move(with_options)) {
    const rpc::ServiceDescription* services[] = {&kService};
    auto table = rpc::MethodTable::of(services);
    EXPECT_TRUE(table);
    methods = *std::move(table);
    listened = listen(url);
  }
  Error listen(const std::string& text) {
    const Error none(Code::ok, 0, {}, {});
    auto url = rpc::Url::parse(text);
    if (!url) return url.error();
    const auto seats = std::make_shared<rpc::Seats>(std::span<Service* const>{}, clock, rpc::LinkOptions{});
    (void)seats->found({1, inbox, *control, board, {}});
    auto made = transport->listen(*url, {.endpoint = 1,
                                         .control = *control,
                                         .inbox = inbox,
                                         .board_fd = board->fd(),
                                         .methods = methods,
                                         .services = {&kService},
                                         .limits = {},
                                         .clock = clock,
                                         .seats = seats});
    if (!made) return made.error();
    acceptor = *std::move(made);
    return none;
  }
  Clock clock = Clock::system();
  rpc::MethodTable methods;
  Error listened{Code::ok, 0, {}, {}};
  std::unique_ptr<rpc::Acceptor> acceptor;
};

struct Client : End {
  explicit Client(TransportOptions with_options, const std::string& url = "shm://orders")
      : End(std::move(with_options)) {
    auto parsed = rpc::Url::parse(url);
    EXPECT_TRUE(parsed);
    auto made = transport->connect(
        *parsed,
        {.endpoint = 7, .control = *control, .inbox = inbox, .board_fd = board->fd(), .options = {}, .clock = clock});
    EXPECT_TRUE(made) << made.error();
    connector = *std::move(made);
  }
  // The sentence of the failure, or nothing when the link came up.
  std::string connect() {
    const std::size_t before = inbox.failures.size() + inbox.ups.size();
    connector->attempt();
    EXPECT_TRUE(poll_until([&] { return inbox.failures.size() + inbox.ups.size() > before; }));
    return inbox.failures.empty() ? "" : std::string(inbox.failures.back().what());
  }
  [[nodiscard]] rpc::Wire& wire() { return *inbox.ups.back().wire; }

  Clock clock = Clock::system();
  std::unique_ptr<rpc::Connector> connector;
};

// Polls both ends, which live in one thread, until `done`.
template <class Done>
bool poll_both(End& a, End& b, Done done, std::chrono::seconds watchdog = 20s) {
  return a.poll_until([&] { return b.control->poll(0ns), done(); }, watchdog);
}

}  // namespace taut::shm::testing
