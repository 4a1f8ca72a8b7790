// Who holds a service's name: one server at a time, whatever happens to it.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>

#include "ends.h"
#include "support/process.h"
#include "taut/shm/service_directory.h"

namespace taut::shm::testing {
namespace {

using taut::testing::Child;
using taut::testing::leave_descriptors;
using taut::testing::open_descriptors;
using taut::testing::Talk;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Serves until it is killed: says 'r' when it holds the name, 'x' when it was refused.
int serve(const TransportOptions& options, Talk& talk) {
  Server server(options);
  talk.say(server.listened.code() == Code::ok ? 'r' : 'x');
  if (server.listened.code() != Code::ok) return 1;
  (void)server.poll_until([&] { return talk.heard(); }, 3600s);
  return 0;
}

// A link to whoever serves now, from this process.
std::string connect(const TransportOptions& options) {
  Client client(options);
  return client.connect();
}

struct Names : ::testing::Test {
  TemporaryDirectory directory;
  TransportOptions options{.directory = directory.path()};
};

TEST_F(Names, are_taken_and_given_back) {
  {
    Server server(options);
    ASSERT_EQ(server.listened.code(), Code::ok) << server.listened;
    EXPECT_EQ(server.acceptor->url(), "shm://orders");
    EXPECT_THAT(directory.files(), ElementsAre("orders.lock", "orders.sock"));
    struct stat status {};
    ASSERT_EQ(stat((directory.path() + "/orders.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
  }
  EXPECT_THAT(directory.files(), ElementsAre());
}

TEST_F(Names, are_held_by_one_server_and_the_other_hears_its_pid) {
  Child first([&](Talk& talk) { return serve(options, talk); });
  ASSERT_EQ(first.talk().hear(), 'r');
  Server second(options);
  EXPECT_EQ(second.listened.code(), Code::already_exists);
  EXPECT_THAT(std::string(second.listened.what()),
              HasSubstr("shm://orders is served already, by pid " + std::to_string(first.pid())));
  EXPECT_EQ(connect(options), "") << "the first serves on";
  Server other(options, "shm://quotes");
  EXPECT_EQ(other.listened.code(), Code::ok) << "another name is free";
}

TEST_F(Names, are_held_by_a_server_that_is_stopped) {
  Child first([&](Talk& talk) { return serve(options, talk); });
  ASSERT_EQ(first.talk().hear(), 'r');
  first.kill(SIGSTOP);
  Server second(options);
  EXPECT_THAT(std::string(second.listened.what()), HasSubstr("by pid " + std::to_string(first.pid())));
}

TEST_F(Names, of_a_killed_server_are_taken_over) {
  Child first([&](Talk& talk) { return serve(options, talk); });
  ASSERT_EQ(first.talk().hear(), 'r');
  first.kill(SIGKILL);
  first.wait();
  EXPECT_THAT(connect(options), HasSubstr("shm://orders has no server: the one that made"));
  Server second(options);
  EXPECT_EQ(second.listened.code(), Code::ok) << second.listened;
}

TEST_F(Names, go_to_exactly_one_of_two_that_start_at_once) {
  for (int round = 0; round < 30; ++round) {
    const auto start = [&](Talk& talk) {
      (void)talk.hear();
      return serve(options, talk);
    };
    Child one(start), two(start);
    one.talk().say('g');
    two.talk().say('g');
    const std::string said{one.talk().hear(), two.talk().hear()};
    ASSERT_TRUE(said == "rx" || said == "xr") << said << " in round " << round;
    // Each round leaves the name of a dead server to the next.
  }
}

TEST_F(Names, survive_two_hundred_kills_without_a_trace) {
  const auto files_of_one = std::vector<std::string>{"orders.lock", "orders.sock"};
  int before = 0;
  for (int round = 0; round < 200; ++round) {
    Child server([&](Talk& talk) { return serve(options, talk); });
    ASSERT_EQ(server.talk().hear(), 'r') << round;
    ASSERT_EQ(connect(options), "") << round;
    server.kill(SIGKILL);
    server.wait();
    if (round == 0) before = open_descriptors();
    ASSERT_EQ(open_descriptors(), before) << round;
    ASSERT_EQ(directory.files(), files_of_one) << round;
  }
}

// Killed at any moment of taking the name: the next server finds it free.
TEST_F(Names, survive_kills_while_they_are_taken) {
  for (int round = 0; round < 100; ++round) {
    {
      Child starting([&](Talk& talk) { return serve(options, talk); });
      usleep(static_cast<useconds_t>(round * 20));  // not to wait for anything: any moment will do
      starting.kill(SIGKILL);
    }
    Server next(options);
    ASSERT_EQ(next.listened.code(), Code::ok) << next.listened << " in round " << round;
  }
  EXPECT_THAT(directory.files(), ElementsAre());
}

TEST_F(Names, are_left_alone_by_a_server_that_lost_them) {
  auto first = std::make_unique<Server>(options);
  ASSERT_EQ(first->listened.code(), Code::ok);
  std::filesystem::remove(directory.path() + "/orders.sock");  // by a cleaner of directories
  Server second(options);
  ASSERT_EQ(second.listened.code(), Code::ok) << second.listened;
  first.reset();
  EXPECT_TRUE(std::filesystem::exists(directory.path() + "/orders.sock"));
  Client client(options);
  client.connector->attempt();
  EXPECT_TRUE(poll_both(second, client, [&] { return client.inbox.ups.size() == 1; }));
}

TEST_F(Names, are_kept_by_a_server_that_goes_into_the_background) {
  Child parent([&](Talk& talk) {
    auto server = std::make_unique<Server>(options);
    if (server->listened.code() != Code::ok) return 1;
    const pid_t background = fork();
    if (background != 0) _exit(0);  // as daemon() does: what the parent made is the child's now
    talk.say('b');
    (void)server->poll_until([&] { return talk.heard(); }, 3600s);
    server.reset();
    talk.say('d');
    return 0;
  });
  ASSERT_EQ(parent.talk().hear(), 'b');
  EXPECT_EQ(parent.wait(), 0) << "whoever called listen() is dead";
  Client client(options);
  ASSERT_EQ(client.connect(), "");
  client.control->poll(50ms);
  EXPECT_TRUE(client.inbox.endings.empty()) << "alive, and known to be: " << client.inbox.endings[0].how.text;
  EXPECT_NE(client.wire().agreement().peer_pid, parent.pid());
  Server second(options);
  EXPECT_THAT(std::string(second.listened.what()),
              HasSubstr("by pid " + std::to_string(client.wire().agreement().peer_pid)));
  parent.talk().say('q');
  ASSERT_EQ(parent.talk().hear(), 'd');
  EXPECT_THAT(directory.files(), ElementsAre()) << "and gives its name back";
}

TEST_F(Names, are_not_given_back_by_a_child_that_only_ends) {
  auto server = std::make_unique<Server>(options);
  ASSERT_EQ(server->listened.code(), Code::ok);
  Child child([&](Talk&) { return server.reset(), 0; });
  EXPECT_EQ(child.wait(), 0);
  Client client(options);
  client.connector->attempt();
  EXPECT_TRUE(poll_both(*server, client, [&] { return client.inbox.ups.size() == 1; }));
}

TEST_F(Names, must_be_names) {
  for (const char* bad : {"shm://a/b", "shm://..", "shm://.hidden", "shm://a%20b", "shm://ö"}) {
    Server server(options, bad);
    EXPECT_THAT(std::string(server.listened.what()), HasSubstr("cannot name a service")) << bad;
  }
  Server longest(options, "shm://" + std::string(65, 'x'));
  EXPECT_EQ(longest.listened.code(), Code::invalid_argument);
  EXPECT_THAT(directory.files(), ElementsAre());
}

TEST_F(Names, that_nobody_serves_are_not_found_and_the_others_are_told) {
  Server quotes(options, "shm://quotes"), trades(options, "shm://trades");
  EXPECT_THAT(connect(options),
              AllOf(HasSubstr("no service 'orders' in " + directory.path()), HasSubstr("there are: quotes, trades")));
  auto opened = ServiceDirectory::open(directory.path(), false);
  ASSERT_TRUE(opened);
  EXPECT_THAT(opened->names(), ElementsAre("quotes", "trades"));
}

// --- the directory

struct Directories : Names {
  [[nodiscard]] std::string listen_error(const std::string& path) const {
    return std::string(Server({.directory = path}).listened.what());
  }
};

TEST_F(Directories, that_are_missing_are_an_error_on_both_sides) {
  const std::string missing = directory.path() + "/missing";
  EXPECT_THAT(listen_error(missing), HasSubstr(missing + ", does not exist"));
  EXPECT_THAT(connect({.directory = missing}), HasSubstr(missing + ", does not exist"));
}

TEST_F(Directories, that_others_can_write_are_refused) {
  for (const mode_t mode : {0777, 0770, 01777}) {
    ASSERT_EQ(chmod(directory.path().c_str(), mode), 0);
    EXPECT_THAT(listen_error(directory.path()), HasSubstr("others could stand in for a service"));
    EXPECT_THAT(connect(options), HasSubstr("others could stand in for a service"));
  }
  ASSERT_EQ(chmod(directory.path().c_str(), 0755), 0);
  EXPECT_EQ(listen_error(directory.path()), "");
}

TEST_F(Directories, of_another_user_are_refused) {
  // Only root can give a directory away; everybody else finds root's.
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(chown(directory.path().c_str(), 65534, 65534), 0);
  }
  EXPECT_THAT(listen_error(root ? directory.path() : "/usr"),
              HasSubstr("belongs to uid " + std::to_string(root ? 65534 : 0) + ", and this process runs as uid " +
                        std::to_string(geteuid())));
}

TEST_F(Directories, that_cannot_be_written_are_an_error) {
  ASSERT_EQ(chmod(directory.path().c_str(), 0500), 0);
  Child ordinary([&](Talk&) {
    // Root may write anywhere, so become the owner without its powers.
    if (geteuid() == 0) {
      if (chown(directory.path().c_str(), 65534, 65534) != 0) return 1;
      if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return 2;
    }
    const Server server(options);
    return server.listened.code() == Code::permission_denied &&
                   std::string(server.listened.what()).find("orders.lock: EACCES") != std::string::npos
               ? 0
               : 3;
  });
  EXPECT_EQ(ordinary.wait(), 0);
}

TEST_F(Directories, that_are_links_or_files_are_refused) {
  const std::string link = directory.path() + "/link", file = directory.path() + "/file",
                    real = directory.path() + "/real";
  ASSERT_EQ(mkdir(real.c_str(), 0700), 0);
  ASSERT_EQ(symlink(real.c_str(), link.c_str()), 0);
  for (const std::string& path : {link, link + "/"}) {
    EXPECT_THAT(listen_error(path), HasSubstr("is a symbolic link or no directory")) << path;
    EXPECT_THAT(connect({.directory = path}), HasSubstr("is a symbolic link or no directory")) << path;
  }
  memory::Descriptor made(open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  EXPECT_THAT(listen_error(file), HasSubstr("is a symbolic link or no directory"));
}

TEST_F(Directories, whose_path_does_not_fit_a_socket_are_an_error_with_the_numbers) {
  const std::string deep = directory.path() + "/" + std::string(100, 'd');
  ASSERT_EQ(mkdir(deep.c_str(), 0700), 0);
  const std::string numbers =
      "has " + std::to_string(deep.size() + std::strlen("/orders.sock")) + " bytes and may have 107";
  EXPECT_THAT(listen_error(deep), HasSubstr(numbers));
  EXPECT_THAT(connect({.directory = deep}), HasSubstr(numbers));
  EXPECT_TRUE(std::filesystem::is_empty(deep));
  EXPECT_THAT(listen_error("/" + std::string(300, 'd')), HasSubstr("has a path of 301 bytes"));
}

TEST_F(Directories, come_from_the_environment) {
  Child run([&](Talk&) {
    setenv("TAUT_DIR", directory.path().c_str(), 1);
    const auto named = ServiceDirectory::open({}, false);
    if (!named || named->path() != directory.path()) return 1;
    unsetenv("TAUT_DIR");

    setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1);
    const auto none = ServiceDirectory::open({}, false);
    if (none || std::string(none.error().what()).find("no service was started here yet") == std::string::npos) return 2;
    const auto made = ServiceDirectory::open({}, true);
    struct stat status {};
    if (!made || made->path() != directory.path() + "/taut") return 3;
    if (fstat(made->fd(), &status) != 0 || (status.st_mode & 0777) != 0700) return 4;

    setenv("XDG_RUNTIME_DIR", "/missing", 1);
    setenv("TMPDIR", directory.path().c_str(), 1);
    const auto temporary = ServiceDirectory::open({}, true);
    return temporary && temporary->path() == directory.path() + "/taut-" + std::to_string(geteuid()) ? 0 : 5;
  });
  EXPECT_EQ(run.wait(), 0);
}

TEST_F(Directories, that_vanish_under_a_server_only_end_new_connects) {
  Server server(options);
  Client client(options);
  client.connector->attempt();
  ASSERT_TRUE(poll_both(server, client, [&] { return client.inbox.ups.size() == 1; }));
  std::filesystem::remove_all(directory.path());
  client.control->poll(10ms);
  server.control->poll(10ms);
  EXPECT_TRUE(client.inbox.endings.empty() && server.inbox.endings.empty());
  EXPECT_THAT(connect(options), HasSubstr("does not exist"));
}

// --- shortage

TEST_F(Names, are_not_taken_without_memory_for_a_link) {
  Child limited([&](Talk&) {
    const rlimit limit{8192, 8192};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Server server(options);
    const std::string what(server.listened.what());
    return server.listened.code() == Code::resource_exhausted &&
                   what.find("reserving 77824 bytes for 'taut:orders:1:server' failed; RLIMIT_FSIZE is 8192 bytes") == 0
               ? 0
               : 1;
  });
  EXPECT_EQ(limited.wait(), 0);
  EXPECT_THAT(directory.files(), ElementsAre());
}

TEST_F(Names, cannot_be_connected_to_without_memory_for_a_link) {
  Server server(options);
  Child limited([&](Talk&) {
    Client client(options);
    const rlimit limit{8192, 8192};
    setrlimit(RLIMIT_FSIZE, &limit);
    return client.connect().find("reserving 77824 bytes for 'taut:orders:7:client' failed; RLIMIT_FSIZE is 8192") == 0
               ? 0
               : 1;
  });
  EXPECT_EQ(limited.wait(), 0);
}

TEST_F(Names, are_refused_for_want_of_descriptors_with_the_limit) {
  Child limited([&](Talk&) {
    Server server(options);
    leave_descriptors(0);
    const Error refused = server.listen("shm://quotes");
    if (std::string(refused.what()).find("RLIMIT_NOFILE allows this process") == std::string::npos) return 1;
    return refused.code() == Code::resource_exhausted ? 0 : 2;
  });
  EXPECT_EQ(limited.wait(), 0);
}

// Serves with so many descriptors to spare, and says how many polls had something to do.
int serve_with(int free, const TransportOptions& options, Talk& talk) {
  Server server(options);
  leave_descriptors(free);
  talk.say('r');
  int busy = 0;
  while (!talk.heard()) busy += server.control->poll(10ms) > 0 ? 1 : 0;
  return busy < 100 ? 0 : 1;  // a socket that stays ready would keep it busy all the time
}

// Without a descriptor for it a connection can neither be accepted nor got rid of.
TEST_F(Names, of_a_server_without_descriptors_refuse_and_do_not_spin) {
  Child server([&](Talk& talk) { return serve_with(0, options, talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(connect(options), AllOf(HasSubstr("shm://orders refused the link: accepting a link"),
                                        HasSubstr("a link needs 4 descriptors and RLIMIT_NOFILE allows")));
  }
  server.talk().say('q');
  EXPECT_EQ(server.wait(), 0);
}

TEST_F(Names, of_a_server_with_too_few_descriptors_for_a_link_refuse_it) {
  for (int free = 1; free < kDescriptorsPerLink; ++free) {
    Child server([&](Talk& talk) { return serve_with(free, options, talk); });
    ASSERT_EQ(server.talk().hear(), 'r');
    EXPECT_THAT(connect(options), AllOf(HasSubstr("refused the link"), HasSubstr("RLIMIT_NOFILE"))) << free;
    server.talk().say('q');
    EXPECT_EQ(server.wait(), 0);
  }
  Child server([&](Talk& talk) { return serve_with(kDescriptorsPerLink, options, talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  EXPECT_EQ(connect(options), "");
}

TEST_F(Names, of_a_client_without_descriptors_say_so) {
  Child server([&](Talk& talk) { return serve(options, talk); });
  ASSERT_EQ(server.talk().hear(), 'r');
  for (int free = 0; free <= kDescriptorsWhileConnecting; ++free) {
    Child client([&](Talk&) {
      Client end(options);
      leave_descriptors(free);
      const int used = open_descriptors();
      const std::string error = end.connect();
      if (free == kDescriptorsWhileConnecting) return error.empty() ? 0 : 1;
      if (error.find("RLIMIT_NOFILE allows this process") == std::string::npos) return 2;
      return open_descriptors() == used ? 0 : 3;
    });
    EXPECT_EQ(client.wait(), 0) << free << " free descriptors";
  }
}

}  // namespace
}  // namespace taut::shm::testing
