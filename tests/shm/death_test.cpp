// Death is proven by the pidfd of the process that spoke in the handshake, and by nothing else.
#include <gmock/gmock.h>
#include <sched.h>

#include <filesystem>

#include "ends.h"
#include "support/process.h"
#include "taut/memory/descriptor.h"

namespace taut::shm::testing {
namespace {

using taut::testing::Child;
using taut::testing::open_descriptors;
using taut::testing::Talk;
using ::testing::HasSubstr;

// With both ways to hold a process: the kernel's pidfd, and what older kernels leave.
struct Death : ::testing::TestWithParam<bool> {
  TemporaryDirectory directory;
  TransportOptions options{.directory = directory.path(), .scm_pidfd = GetParam()};

  // A server that says 'r' when it listens, 'l' for every link that is up, 'd', 'c' or 'v' for each that ended.
  int serve(Talk& talk) const {
    Server server(options);
    TestInbox& inbox = server.inbox;
    talk.say('r');
    std::size_t told = 0;
    (void)server.poll_until(
        [&] {
          for (; told < inbox.ups.size(); ++told) talk.say('l');
          for (const TestInbox::Ended& ended : inbox.endings) {
            told -=
                std::erase_if(inbox.ups, [&](const auto& up) { return up.wire->agreement().link_id == ended.link; });
            // Said when the link's descriptors are closed: a test counts them next.
            talk.say(ended.how.why == Why::peer_died ? 'd' : ended.how.why == Why::peer_closed ? 'c' : 'v');
          }
          inbox.endings.clear();
          return talk.heard();
        },
        3600s);
    return 0;
  }
  // A server whose queue accepts, and which never answers. Says 'r' when it listens.
  int stay_silent(Talk& talk) const {
    Server end(options);
    talk.say('r');
    (void)talk.hear();
    return 0;
  }
  // A client that says 'l' when its link is up, and then waits.
  int be_a_client(Talk& talk) const {
    Client client(options);
    talk.say(client.connect().empty() ? 'l' : 'x');
    (void)talk.hear();
    return 0;
  }
};
INSTANTIATE_TEST_SUITE_P(link, Death, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "scm_pidfd" : "credentials"; });

TEST_P(Death, of_a_server_is_told_to_its_client) {
  Child server([&](Talk& talk) { return serve(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  Client client(options);
  ASSERT_EQ(client.connect(), "");
  ASSERT_EQ(server.talk().hear(), 'l');
  // The mark that a survivor reads for its verdict, as the dying server left it.
  server.kill(SIGKILL);
  ASSERT_TRUE(client.poll_until([&] { return !client.inbox.endings.empty(); }));
  EXPECT_EQ(client.inbox.endings[0].how.why, Why::peer_died) << client.inbox.endings[0].how.text;
  EXPECT_THAT(client.inbox.endings[0].how.text,
              HasSubstr("the server of shm://orders, pid " + std::to_string(server.pid()) + ", died"));
  EXPECT_EQ(client.wire().lane(ring::Lane::normal).peer->taken.position.load(), client.wire().agreement().out[0].first);
  client.wire().ring_bell();  // on a dead link: nothing happens
}

TEST_P(Death, of_a_client_is_told_to_its_server) {
  Child server([&](Talk& talk) { return serve(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  Child client([&](Talk& talk) { return be_a_client(talk); });
  ASSERT_EQ(client.talk().hear(), 'l');
  ASSERT_EQ(server.talk().hear(), 'l');
  client.kill(SIGKILL);
  EXPECT_EQ(server.talk().hear(), 'd');
}

TEST_P(Death, is_seen_in_a_zombie_that_nobody_reaps) {
  Child server([&](Talk& talk) { return serve(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  Child parent([&](Talk& talk) {
    if (fork() == 0) {
      Client client(options);
      talk.say(client.connect().empty() ? 'l' : 'x');
      (void)talk.hear();
      raise(SIGKILL);
    }
    pause();  // and never waits for its child
    return 0;
  });
  ASSERT_EQ(parent.talk().hear(), 'l');
  ASSERT_EQ(server.talk().hear(), 'l');
  parent.talk().say('k');
  EXPECT_EQ(server.talk().hear(), 'd');
}

TEST_P(Death, is_not_what_a_stop_is) {
  Child server([&](Talk& talk) { return serve(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  Client client(options);
  ASSERT_EQ(client.connect(), "");
  server.kill(SIGSTOP);
  int status = 0;
  ASSERT_EQ(waitpid(server.pid(), &status, WUNTRACED), server.pid());
  client.control->poll(50ms);
  EXPECT_TRUE(client.inbox.endings.empty());
  server.kill(SIGCONT);
}

TEST_P(Death, of_the_process_alone_counts_while_its_child_holds_the_socket) {
  Child server([&](Talk& talk) { return serve(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  Child client([&](Talk& talk) {
    Client end(options);
    if (!end.connect().empty()) return 1;
    const pid_t heir = fork();  // with copies of all descriptors, so nothing hangs up
    if (heir == 0) {
      prctl(PR_SET_PDEATHSIG, 0);
      pause();
    }
    talk.say('l');
    std::string number = std::to_string(heir);
    for (const char digit : number) talk.say(digit);
    talk.say('.');
    pause();
    return 0;
  });
  ASSERT_EQ(client.talk().hear(), 'l');
  pid_t heir = 0;
  for (char digit = client.talk().hear(); digit != '.'; digit = client.talk().hear()) heir = heir * 10 + (digit - '0');
  ASSERT_EQ(server.talk().hear(), 'l');
  client.kill(SIGKILL);
  EXPECT_EQ(server.talk().hear(), 'd');
  ::kill(heir, SIGKILL);
}

TEST_P(Death, in_the_handshake_leaves_nothing_behind) {
  Child server([&](Talk& talk) { return serve(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  const std::string fds = "/proc/" + std::to_string(server.pid()) + "/fd";
  const auto open_at_server = [&] { return std::distance(std::filesystem::directory_iterator(fds), {}); };
  ASSERT_EQ(Client(options).connect(), "");  // the first link warms it up
  ASSERT_EQ(server.talk().hear(), 'l');
  ASSERT_EQ(server.talk().hear(), 'c');
  const auto before = open_at_server();
  for (int round = 0; round < 100; ++round) {
    Child client([&](Talk& talk) { return be_a_client(talk); });
    usleep(static_cast<useconds_t>(round * 30));  // not to wait for anything: any moment will do
  }
  while (open_at_server() != before) sched_yield();  // ctest's timeout ends it
  int links = 0;
  while (server.talk().heard()) links += server.talk().hear() == 'l' ? 1 : -1;
  EXPECT_EQ(links, 0) << "each link that came up ended";
  EXPECT_EQ(Client(options).connect(), "");
}

TEST_P(Death, of_a_server_in_the_handshake_is_a_failed_attempt) {
  Child server([&](Talk& talk) { return stay_silent(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  Client client(options);
  const int before = open_descriptors();
  client.connector->attempt();
  client.control->poll(0ns);
  EXPECT_TRUE(client.inbox.failures.empty());
  server.kill(SIGKILL);
  ASSERT_TRUE(client.poll_until([&] { return !client.inbox.failures.empty(); }));
  EXPECT_THAT(std::string(client.inbox.failures[0].what()), HasSubstr("closed the connection in the handshake"));
  EXPECT_EQ(client.inbox.failures[0].code(), Code::unavailable) << "worth another attempt";
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(Death, is_not_what_silence_is) {
  Child server([&](Talk& talk) { return stay_silent(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  TransportOptions hasty = options;
  hasty.handshake_timeout = 30ms;
  Client client(hasty);
  EXPECT_THAT(client.connect(), HasSubstr("the server of shm://orders did not answer within 30 ms"));
  EXPECT_EQ(client.inbox.failures[0].code(), Code::deadline_exceeded);
}

TEST_P(Death, of_a_forked_child_is_not_its_parents) {
  Child server([&](Talk& talk) { return serve(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  auto client = std::make_unique<Client>(options);
  ASSERT_EQ(client->connect(), "");
  ASSERT_EQ(server.talk().hear(), 'l');
  for (const bool with_destructors : {false, true}) {
    Child child([&](Talk&) {
      if (with_destructors) client.reset();
      return 0;
    });
    EXPECT_EQ(child.wait(), 0);
  }
  client->control->poll(50ms);
  EXPECT_TRUE(client->inbox.endings.empty());
  EXPECT_FALSE(server.talk().heard());
  client->wire().ring_bell();
  client.reset();
  EXPECT_EQ(server.talk().hear(), 'c') << "said by the parent";
}

// Two containers that share a directory and nothing else: neither sees the other's pids. A pid means nothing there, so
// links need the kernel's pidfd.
struct DeathElsewhere : Death {};
INSTANTIATE_TEST_SUITE_P(link, DeathElsewhere, ::testing::Values(true), [](const auto&) { return "scm_pidfd"; });

TEST_P(DeathElsewhere, is_seen_from_another_namespace) {
  if (geteuid() != 0) GTEST_SKIP() << "only root makes PID namespaces without a user namespace";
  Child container([&](Talk& talk) {
    if (unshare(CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS) != 0) return talk.say('x'), 1;
    const pid_t server = fork();  // pid 1 of its namespace
    if (server == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      _exit(serve(talk));
    }
    int status = 0;
    waitpid(server, &status, 0);
    return 0;
  });
  ASSERT_EQ(container.talk().hear(), 'r') << "unshare failed";
  Client client(options);
  ASSERT_EQ(client.connect(), "");
  ASSERT_EQ(container.talk().hear(), 'l');
  {
    Child other([&](Talk& talk) { return be_a_client(talk); });
    ASSERT_EQ(other.talk().hear(), 'l');
    ASSERT_EQ(container.talk().hear(), 'l');
  }
  EXPECT_EQ(container.talk().hear(), 'd');
  container.kill(SIGKILL);  // and the server with it
  ASSERT_TRUE(client.poll_until([&] { return !client.inbox.endings.empty(); }));
  EXPECT_EQ(client.inbox.endings[0].how.why, Why::peer_died);
}

TEST_P(Death, behind_a_goodbye_is_a_goodbye) {
  Child server([&](Talk& talk) { return serve(talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  Child client([&](Talk& talk) {
    Client end(options);
    talk.say(end.connect().empty() ? 'l' : 'x');
    (void)talk.hear();
    return 0;  // the wire says goodbye, and the process ends at once
  });
  ASSERT_EQ(client.talk().hear(), 'l');
  ASSERT_EQ(server.talk().hear(), 'l');  // a client that is gone before its server has confirmed never had a link there
  client.talk().say('k');
  EXPECT_EQ(client.wait(), 0);
  EXPECT_EQ(server.talk().hear(), 'c');
}

}  // namespace
}  // namespace taut::shm::testing
