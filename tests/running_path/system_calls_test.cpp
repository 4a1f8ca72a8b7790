// With the control plane on a thread of its own, the thread that calls and the thread that serves make no system call:
// a seccomp filter kills the process at the first.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cstddef>
#include <thread>

#include "shared.h"
#include "support/amount.h"
#include "support/service_folder.h"
#include "taut/taut.h"

namespace running_path {
namespace {

constexpr std::uint64_t kWarmup = 10'000;
const std::uint64_t kCalls = taut::testing::amount("TAUT_CALLS", 1'000'000);

// From here on this thread may only end its process.
bool forbid_system_calls() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog filter{sizeof program / sizeof program[0], program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

struct ControlThread {
  std::unique_ptr<taut::rpc::ControlPlane> plane = std::move(*taut::rpc::ControlPlane::create());
  std::thread thread{[this] { plane->run(); }};
};

int serve(Shared& shared) {
  auto* control = new ControlThread;  // lives as long as its process
  taut::Dispatcher loop({.idle = taut::Idle::spin, .control = control->plane.get()});
  Desk desk;
  auto listener = loop.serve("shm://quiet", desk);
  if (!listener) return taut::report(listener.error());
  shared.ready.store(true, std::memory_order_release);
  // Until the link is there, what comes from the control plane may take system calls.
  for (std::uint64_t done = 0; done < kWarmup;) done += static_cast<std::uint64_t>(loop.poll());
  if (!forbid_system_calls()) return 2;
  while (true) loop.poll();
}

int call(std::uint64_t calls) {
  auto* control = new ControlThread;
  taut::Dispatcher loop({.idle = taut::Idle::spin, .control = control->plane.get()});
  auto link = loop.connect("shm://quiet");
  if (!link) return taut::report(link.error());
  desk::Orders::Client orders{*link};
  if (!place_waiting(orders, kWarmup)) return 3;
  if (!forbid_system_calls()) return 2;
  _exit(place_waiting(orders, calls) ? 0 : 3);
}

TEST(system_calls, none_with_the_control_plane_on_its_own_thread) {
  const taut::testing::ServiceFolder folder;
  Shared& shared = shared_memory();
  const pid_t server = fork();
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(serve(shared));
  }
  while (!shared.ready.load(std::memory_order_acquire)) {
  }
  const pid_t client = fork();
  if (client == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(call(kCalls));
  }
  int status = 0;
  waitpid(client, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "the client made a system call: signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(waitpid(server, &status, WNOHANG), 0) << "the server made a system call: signal " << WTERMSIG(status);
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
}

}  // namespace
}  // namespace running_path
