// One end of a link in namespaces of its own, as in a container that shares nothing but the directory of services:
// user, PID, IPC and mount namespaces, one by one and together, the server's or the client's.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "echo.taut.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "taut/memory/descriptor.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kNoNamespaces = 77;  // how a child says that this user may not make them

bool write_file(const char* path, const std::string& text) {
  std::ofstream file(path);
  return static_cast<bool>(file << text << std::flush);
}

// This process's user is 0 inside. Everybody has the right to that, where user namespaces are allowed.
bool enter_user_namespace() {
  const std::string uid = std::to_string(geteuid()), gid = std::to_string(getegid());
  return unshare(CLONE_NEWUSER) == 0 && write_file("/proc/self/setgroups", "deny") &&
         write_file("/proc/self/uid_map", "0 " + uid + " 1") && write_file("/proc/self/gid_map", "0 " + gid + " 1");
}

// The directory of services under another path, in a mount namespace that hides where it was.
bool move_service_directory() {
  const std::string folder = getenv("TAUT_DIR");
  const memory::Descriptor held(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const std::string source = "/proc/self/fd/" + std::to_string(held.get());
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", "/mnt", "tmpfs", 0, nullptr) != 0 || mkdir("/mnt/services", 0700) != 0 ||
      mount(source.c_str(), "/mnt/services", nullptr, MS_BIND, nullptr) != 0 ||
      mount("tmpfs", folder.c_str(), "tmpfs", 0, nullptr) != 0) {
    return false;
  }
  setenv("TAUT_DIR", "/mnt/services", 1);
  return true;
}

// Runs `body` in new namespaces, and ends with its exit code.
template <class Body>
void in_namespaces(int kinds, Body body) {
  if (!enter_user_namespace() || unshare(kinds & ~CLONE_NEWUSER) != 0) _exit(kNoNamespaces);
  if ((kinds & CLONE_NEWNS) != 0 && !move_service_directory()) _exit(kNoNamespaces);
  const pid_t inner = fork();  // the first process of the PID namespace
  if (inner == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((kinds & CLONE_NEWPID) != 0 && getpid() != 1) _exit(3);
    _exit(body());
  }
  int status = 0;
  while (waitpid(inner, &status, 0) < 0 && errno == EINTR) {
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

struct Mirror final : echo::Echo::Service {
  void Echo(const echo::Bytes& request, Reply<echo::Bytes> reply) override {
    reply.send({.data = std::span(request.data()->data(), request.data()->size())});
  }
};

int serve(ChildProcess::Ready ready) {
  Dispatcher loop;
  Mirror mirror;
  const auto listener = loop.serve("shm://mirror", mirror);
  if (!listener) return report(listener.error());
  ready();
  loop.run();
  return 0;
}

// Calls with small and large messages; 0 when each came back as it was.
int talk(Link& link) {
  echo::Echo::Client mirror(link);
  for (std::size_t size = 1; size < 4000; size += size / 2 + 1) {
    const std::vector<std::uint8_t> bytes(size, static_cast<std::uint8_t>(size));
    const auto answer = mirror.Echo({.data = bytes}, taut::wait);
    if (!answer) return std::fprintf(stderr, "%zu bytes: code %d\n", size, static_cast<int>(answer.status().code())), 4;
    if (answer->data()->size() != size || answer->data()->Get(size - 1) != bytes[0]) return 5;
  }
  return 0;
}

struct Kinds {
  const char* name;
  int flags;
};

class Namespaces : public ::testing::TestWithParam<Kinds> {
 protected:
  void SetUp() override {
    const int kinds = GetParam().flags;
    ChildProcess probe([&](ChildProcess::Ready) { in_namespaces(kinds, [] { return 0; }); });
    const int status = probe.wait();
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNoNamespaces)
      GTEST_SKIP() << "this user may not make such namespaces here";
    ASSERT_EQ(status, 0);
  }
  const ServiceFolder folder;
};
INSTANTIATE_TEST_SUITE_P(Of, Namespaces,
                         ::testing::Values(Kinds{"user", CLONE_NEWUSER}, Kinds{"pid", CLONE_NEWPID},
                                           Kinds{"ipc", CLONE_NEWIPC}, Kinds{"mount", CLONE_NEWNS},
                                           Kinds{"all", CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS}),
                         [](const auto& info) { return info.param.name; });

TEST_P(Namespaces, of_a_server_are_no_border) {
  ChildProcess server([](ChildProcess::Ready ready) { in_namespaces(GetParam().flags, [&] { return serve(ready); }); });
  ASSERT_TRUE(server.ready());
  auto link = connect("shm://mirror?timeout=60s");
  ASSERT_TRUE(link) << link.error();
  EXPECT_EQ(talk(*link), 0);
  server.kill();
  while (link->up()) link->poll();  // its death is known by a descriptor, which needs no pid
}

TEST_P(Namespaces, of_a_client_are_no_border) {
  ChildProcess server([](ChildProcess::Ready ready) { serve(ready); });
  ASSERT_TRUE(server.ready());
  ChildProcess client([&](ChildProcess::Ready ready) {
    in_namespaces(GetParam().flags, [&] {
      auto link = connect("shm://mirror?timeout=60s");
      if (!link) return report(link.error());
      if (const int wrong = talk(*link); wrong != 0) return wrong;
      ready();
      while (link->up()) link->poll();
      return 0;
    });
  });
  EXPECT_TRUE(client.ready());
  server.kill();
  EXPECT_EQ(client.wait(), 0);
}

}  // namespace
}  // namespace taut::testing
