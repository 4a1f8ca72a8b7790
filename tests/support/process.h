// Another process for a test: a child that runs a function and can be spoken to in single characters.
//
// Threads  fork() copies one thread: make children before any thread is started.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>

namespace taut::testing {

// One end of a conversation between a test and its child. Waits for ever: ctest's timeout ends a hang.
class Talk {
 public:
  explicit Talk(int fd) : fd_(fd) {}
  Talk(Talk&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Talk() {
    if (fd_ >= 0) ::close(fd_);
  }
  void say(char what) const { (void)!::write(fd_, &what, 1); }
  // 0 when the other process is gone.
  [[nodiscard]] char hear() const {
    char what = 0;
    return ::read(fd_, &what, 1) == 1 ? what : '\0';
  }
  [[nodiscard]] bool heard() const {
    pollfd entry{fd_, POLLIN, 0};
    return ::poll(&entry, 1, 0) > 0;
  }

 private:
  int fd_;
};

// Killed and reaped when it goes out of scope.
class Child {
 public:
  // `body` runs in the child and gives its exit code. The child dies with the test.
  explicit Child(const std::function<int(Talk&)>& body) : Child(make_pair_of_sockets(), body) {}
  Child(const Child&) = delete;
  ~Child() {
    kill(SIGKILL);
    wait();
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] Talk& talk() { return talk_; }
  void kill(int signal) const {
    if (!reaped_) ::kill(pid_, signal);
  }
  // Its exit code, or minus the signal that killed it.
  int wait() {
    if (reaped_) return code_;
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
    return code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  static std::pair<int, int> make_pair_of_sockets() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return {fds[0], fds[1]};
  }
  Child(std::pair<int, int> fds, const std::function<int(Talk&)>& body) : talk_(fds.first), pid_(fork()) {
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(fds.first);
      Talk talk(fds.second);
      _exit(body(talk));
    }
    ::close(fds.second);
  }
  Talk talk_;
  pid_t pid_;
  bool reaped_ = false;
  int code_ = 0;
};

// How many descriptors this process has open.
inline int open_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 4096; ++fd) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

// Lets this process open `free` more descriptors and no others.
inline void leave_descriptors(int free) {
  int highest = 0;
  for (int fd = 0; fd < 4096; ++fd) highest = fcntl(fd, F_GETFD) >= 0 ? fd : highest;
  while (true) {  // no gaps below the highest one
    const int filler = fcntl(0, F_DUPFD_CLOEXEC, 0);
    if (filler > highest) {
      ::close(filler);
      break;
    }
  }
  const rlimit limit{static_cast<rlim_t>(highest + 1 + free), static_cast<rlim_t>(highest + 1 + free)};
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace taut::testing
