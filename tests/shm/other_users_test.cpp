// Links between users: nobody unless it was said on both sides, copies by default, and descriptors that stay readable
// only. Most of it takes processes of several users, and so root to make them.
#include <gmock/gmock.h>
#include <grp.h>
#include <sched.h>
#include <sys/stat.h>

#include "caught.h"
#include "hostile_client.h"
#include "support/process.h"
#include "taut/shm/describe.h"

namespace taut::shm::testing {
namespace {

using memory::Descriptor;
using taut::testing::Child;
using taut::testing::Talk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uid_t kGuest = 65532, kStranger = 65533;
constexpr gid_t kClub = 4242;

// In a child: becomes that user, member of `groups`.
void become(uid_t uid, std::vector<gid_t> groups = {}) {
  if (setgroups(groups.size(), groups.data()) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) {
    std::perror("becoming another user");
    _exit(99);
  }
}

bool has(std::string_view text, std::string_view part) {
  if (text.find(part) != std::string_view::npos) return true;
  std::fprintf(stderr, "'%.*s' does not say '%.*s'\n", static_cast<int>(text.size()), text.data(),
               static_cast<int>(part.size()), part.data());
  return false;
}

struct OtherUsers : ::testing::Test {
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can make processes of other users";
    ASSERT_EQ(chmod(directory.path().c_str(), 0711), 0);
  }
  [[nodiscard]] std::string url(const std::string& options = "") const { return "shm://orders" + options; }

  // What a client of `uid` hears, in a process of its own: an empty sentence is a link. The server polls meanwhile.
  struct Heard {
    int exit;
    std::size_t links;
  };
  template <class Check>
  Heard client_of(Server& server, uid_t uid, const std::string& client_url, Check check,
                  const std::vector<gid_t>& groups = {}) {
    Child other([&](Talk& talk) {
      become(uid, groups);
      Client client(options, client_url);
      const std::string sentence = client.connect();
      const int exit = check(client, sentence) ? 0 : 1;
      talk.say('s');
      (void)talk.hear();  // the link lives until the test has looked at its other end
      return exit;
    });
    EXPECT_TRUE(server.poll_until([&] { return other.talk().heard(); }));
    while (server.control->poll(0ns) != 0) {  // the last that the client sent
    }
    const std::size_t links = server.inbox.ups.size();
    other.talk().say('e');
    return {other.wait(), links};
  }
  static bool is_up(Client&, const std::string& sentence) { return has(sentence.empty() ? "up" : sentence, "up"); }

  TemporaryDirectory directory;
  TransportOptions options{.directory = directory.path()};
};

TEST_F(OtherUsers, are_let_in_by_uid_and_their_records_are_copied) {
  Server server(options, url("?allow=uid:65531,uid:65532"));
  ASSERT_EQ(server.listened.code(), Code::ok) << server.listened;
  const auto heard = client_of(server, kGuest, url("?allow=uid:0"), [](Client& client, const std::string& sentence) {
    return is_up(client, sentence) && client.wire().agreement().check == rpc::Check::copy;
  });
  EXPECT_EQ(heard.exit, 0);
  ASSERT_EQ(heard.links, 1u);
  EXPECT_EQ(server.inbox.ups[0].wire->agreement().check, rpc::Check::copy);
}

TEST_F(OtherUsers, are_read_in_place_only_where_it_is_said) {
  Server server(options, url("?check=in_place&allow=uid:65532"));
  const auto heard = client_of(server, kGuest, url("?allow=uid:0"), is_up);
  EXPECT_EQ(heard.exit, 0);
  ASSERT_EQ(heard.links, 1u);
  EXPECT_EQ(server.inbox.ups[0].wire->agreement().check, rpc::Check::in_place);
}

TEST(OwnUser, is_read_in_place) {
  TemporaryDirectory directory;
  Server server({.directory = directory.path()});
  Client client({.directory = directory.path()});
  client.connector->attempt();
  ASSERT_TRUE(poll_both(server, client, [&] { return !server.inbox.ups.empty() && !client.inbox.ups.empty(); }));
  EXPECT_EQ(server.inbox.ups[0].wire->agreement().check, rpc::Check::in_place);
  EXPECT_EQ(client.wire().agreement().check, rpc::Check::in_place);
}

TEST_F(OtherUsers, who_are_not_named_are_refused_with_both_uids) {
  Server server(options, url("?allow=uid:65532"));
  const auto heard = client_of(server, kStranger, url("?allow=uid:0"), [](Client&, const std::string& sentence) {
    return has(sentence, "the client runs as uid 65533 and this process as uid 0");
  });
  EXPECT_EQ(heard.exit, 0);
  EXPECT_EQ(heard.links, 0u);
  EXPECT_THAT(server.inbox.lines, ElementsAre(HasSubstr("refused a link: the client runs as uid 65533")));
}

TEST_F(OtherUsers, cannot_even_connect_where_nobody_is_allowed) {
  Server server(options);
  const auto heard = client_of(server, kGuest, url("?allow=uid:0"), [](Client& client, const std::string&) {
    return client.inbox.failures[0].code() == Code::permission_denied && client.inbox.failures[0].os_errno() == EACCES;
  });
  EXPECT_EQ(heard.exit, 0);
  EXPECT_THAT(server.inbox.lines, IsEmpty());
}

TEST_F(OtherUsers, whose_server_is_not_trusted_are_told_both_uids_before_anything_is_sent) {
  Server server(options, url("?allow=uid:65532"));
  for (const char* trusted : {"", "?allow=uid:65531"}) {
    const auto heard = client_of(server, kGuest, url(trusted), [](Client& client, const std::string& sentence) {
      return has(sentence, "belongs to uid 0, and this process runs as uid 65532") &&
             has(client.inbox.failures[0].hint(), "?allow=uid:0");
    });
    EXPECT_EQ(heard.exit, 0);
    EXPECT_EQ(heard.links, 0u);
  }
}

// In a directory of the client's own stands the socket of another user: a relay, or a thief.
TEST_F(OtherUsers, are_known_by_the_sender_of_the_welcome_and_not_by_the_directory) {
  Server server(options, url("?allow=uid:65532"));
  TemporaryDirectory of_guest;
  ASSERT_EQ(rename((directory.path() + "/orders.sock").c_str(), (of_guest.path() + "/orders.sock").c_str()), 0);
  ASSERT_EQ(chown(of_guest.path().c_str(), kGuest, kGuest), 0);
  options.directory = of_guest.path();
  const auto heard = client_of(server, kGuest, url(), [](Client&, const std::string& sentence) {
    return has(sentence, "the server of shm://orders runs as uid 0 and this process as uid 65532");
  });
  EXPECT_EQ(heard.exit, 0);
  EXPECT_EQ(heard.links, 0u);
}

TEST_F(OtherUsers, of_the_directorys_group_are_let_in_by_their_membership) {
  ASSERT_EQ(chown(directory.path().c_str(), 0, kClub), 0);
  ASSERT_EQ(chmod(directory.path().c_str(), 0751), 0);  // others reach the socket: the handshake tells them apart
  Server server(options, url("?allow=group"));
  ASSERT_EQ(server.listened.code(), Code::ok) << server.listened;
  EXPECT_EQ(client_of(server, kGuest, url("?allow=uid:0"), is_up, {17, kClub}).exit, 0) << "a further group";
  EXPECT_EQ(client_of(server, kGuest, url("?allow=uid:0"), is_up, {kClub}).links, 2u);
  const auto refused = client_of(
      server, kStranger, url("?allow=uid:0"),
      [](Client&, const std::string& sentence) { return has(sentence, "the client runs as uid 65533"); }, {17});
  EXPECT_EQ(refused.exit, 0);
  EXPECT_EQ(refused.links, 2u);

  ASSERT_EQ(chmod(directory.path().c_str(), 0750), 0);
  const auto kept_out = client_of(server, kStranger, url("?allow=uid:0"), [](Client& client, const std::string&) {
    return client.inbox.failures[0].os_errno() == EACCES;
  });
  EXPECT_EQ(kept_out.exit, 0) << "the directory's mode, before anything of ours";
}

TEST_F(OtherUsers, may_ask_what_a_service_is_when_they_may_call_it) {
  Server server(options, url("?allow=uid:65532"));
  Child other([&](Talk& talk) {
    become(kGuest);
    const auto trusted = describe("orders", 5s, directory.path(), {.uids = {0}});
    const auto untrusted = describe("orders", 5s, directory.path());
    talk.say('d');
    return trusted && trusted->methods.method_count() == 2 && !untrusted ? 0 : 1;
  });
  EXPECT_TRUE(server.poll_until([&] { return other.talk().heard(); }));
  EXPECT_EQ(other.wait(), 0);
}

TEST(Listener, that_allows_others_refuses_a_directory_that_keeps_them_out) {
  TemporaryDirectory directory;
  Server none({.directory = directory.path()}, "shm://orders?allow=uid:65532");
  EXPECT_THAT(std::string(none.listened.what()), HasSubstr("other users are allowed, and the mode 0700"));
  ASSERT_EQ(chmod(directory.path().c_str(), 0701), 0);
  Server not_group({.directory = directory.path()}, "shm://orders?allow=group");
  EXPECT_THAT(std::string(not_group.listened.what()), HasSubstr("other users are allowed, and the mode 0701"));
  EXPECT_THAT(std::string(not_group.listened.hint()), HasSubstr("chmod 0750"));
}

TEST(Listener, that_allows_nobody_has_a_socket_of_its_own_user) {
  TemporaryDirectory directory;
  const auto mode = [&] {
    struct stat status {};
    EXPECT_EQ(stat((directory.path() + "/orders.sock").c_str(), &status), 0);
    return status.st_mode & 0777;
  };
  const mode_t before = umask(0);
  {
    Server server({.directory = directory.path()});
    EXPECT_EQ(mode(), 0600u);
  }
  umask(077);
  ASSERT_EQ(chmod(directory.path().c_str(), 0711), 0);
  Server server({.directory = directory.path()}, "shm://orders?allow=uid:65532");
  EXPECT_EQ(mode(), 0666u) << "whatever the umask";
  umask(before);
}

TEST(AClient, trusts_users_and_no_groups) {
  TemporaryDirectory directory;
  const auto transport = make_transport({.directory = directory.path()});
  const auto control = rpc::ControlPlane::create();
  TestInbox inbox;
  const auto made = transport->connect(
      *rpc::Url::parse("shm://orders?allow=group"),
      {.endpoint = 7, .control = **control, .inbox = inbox, .options = {}, .clock = Clock::system()});
  ASSERT_FALSE(made);
  EXPECT_THAT(std::string(made.error().what()), HasSubstr("a client trusts the servers of users, each by its uid"));
}

// A user namespace without a mapping shows every user as 65534, this process's own among them.
TEST(OtherUsersUnmapped, are_not_taken_for_the_own_user) {
  TemporaryDirectory directory;
  Server server({.directory = directory.path()});
  Child other([&](Talk& talk) {
    if (unshare(CLONE_NEWUSER) != 0) return 77;
    Client client({.directory = directory.path()});
    const std::string sentence = client.connect();
    talk.say('s');
    return has(sentence, "stands for every user that this user namespace does not know") ? 0 : 1;
  });
  const int code = other.wait();
  if (code == 77) GTEST_SKIP() << "this user may not make user namespaces here";
  EXPECT_EQ(code, 0);
}

// --- descriptors

// What a holder of `fd` can do to the memory behind it, or to its other holders.
std::vector<std::string> powers(int fd) {
  std::vector<std::string> found;
  const auto tried = [&](const char* what, bool worked) {
    if (worked) found.emplace_back(what);
  };
  const auto mapped = [&](int protection) {
    void* at = mmap(nullptr, 4096, protection, MAP_SHARED, fd, 0);
    const bool worked = at != MAP_FAILED && (protection & PROT_WRITE) != 0;
    const bool turned = at != MAP_FAILED && mprotect(at, 4096, PROT_READ | PROT_WRITE) == 0;
    if (at != MAP_FAILED) munmap(at, 4096);
    return worked || turned;
  };
  const std::uint64_t word = 1;
  tried("write", pwrite(fd, &word, sizeof word, 128) >= 0);
  tried("map writable", mapped(PROT_READ | PROT_WRITE));
  tried("make a mapping writable", mapped(PROT_READ));
  tried("shrink", ftruncate(fd, 0) == 0);
  tried("grow", ftruncate(fd, 1 << 20) == 0);
  tried("punch a hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0);
  tried("seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
  return found;
}

Descriptor reopened(int fd, int flags) {
  return Descriptor(open(("/proc/self/fd/" + std::to_string(fd)).c_str(), flags | O_CLOEXEC));
}

enum Handed : std::size_t { kSegment, kControlPage, kDescription, kBoard, kHandedCount };

// The descriptors that come with a welcome.
std::vector<Descriptor> handed_over(HostileClient& client, const std::function<bool(std::function<bool()>)>& until) {
  Caught caught;
  client.send_hello();
  (void)until([&] { return catch_packet(client.fd(), caught); });
  return std::move(caught.descriptors);
}

TEST(Descriptors, give_their_receiver_no_power_over_the_memory) {
  TemporaryDirectory directory;
  Server server({.directory = directory.path()});
  HostileClient client(directory.path());
  const auto fds = handed_over(client, [&](auto done) { return server.poll_until(done); });
  ASSERT_EQ(fds.size(), kHandedCount);
  for (const auto& fd : fds) EXPECT_THAT(powers(fd.get()), IsEmpty()) << "descriptor " << &fd - fds.data();
  // The same user may open them again; the seals hold all the same. The control page is for tools of that user to
  // write.
  for (const std::size_t which : {kSegment, kDescription, kBoard}) {
    const Descriptor again = reopened(fds[which].get(), O_RDWR);
    ASSERT_TRUE(again) << which;
    EXPECT_THAT(powers(again.get()), IsEmpty()) << "descriptor " << which;
  }
  EXPECT_THAT(powers(reopened(fds[kControlPage].get(), O_RDWR).get()), ::testing::Contains("write"));
}

TEST_F(OtherUsers, cannot_open_a_descriptor_again_for_writing) {
  Server server(options, url("?allow=uid:65532"));
  Child other([&](Talk& talk) {
    become(kGuest);
    HostileClient client(directory.path());
    const auto fds = handed_over(client, [&](auto done) {
      pollfd entry{client.fd(), POLLIN, 0};
      return ::poll(&entry, 1, -1) == 1 && done();
    });
    talk.say('s');
    if (fds.size() != kHandedCount) return 2;
    int wrong = 0;
    for (const auto& fd : fds) {
      for (const std::string& power : powers(fd.get())) {
        std::fprintf(stderr, "descriptor %td: can %s\n", &fd - fds.data(), power.c_str());
        ++wrong;
      }
      for (const int flags : {O_RDWR, O_WRONLY, O_RDWR | O_TRUNC}) {
        if (!reopened(fd.get(), flags)) continue;
        std::fprintf(stderr, "descriptor %td: was opened again with %d\n", &fd - fds.data(), flags);
        ++wrong;
      }
      if (fchmod(fd.get(), 0777) == 0) ++wrong;
    }
    return wrong == 0 ? 0 : 1;
  });
  EXPECT_TRUE(server.poll_until([&] { return other.talk().heard(); }));
  EXPECT_EQ(other.wait(), 0);
}

}  // namespace
}  // namespace taut::shm::testing
