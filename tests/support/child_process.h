// A process of a test: runs a function of the test program in a child, which dies with the test. The child begins
// without the parent's descriptors, says when it is ready, and ends with _exit(), so nothing of the parent is torn down
// twice.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>

namespace taut::testing {

class ChildProcess {
 public:
  class Ready {
   public:
    explicit Ready(int fd) noexcept : fd_(fd) {}
    void operator()() const noexcept { (void)!::write(fd_, "r", 1); }

   private:
    int fd_;
  };

  // Returns when the child called `ready`, or is gone.
  explicit ChildProcess(const std::function<void(Ready ready)>& body) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    const pid_t parent = getpid();
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      constexpr int kReadyFd = 3;
      if (ends[1] != kReadyFd) dup2(ends[1], kReadyFd);
      close_range(kReadyFd + 1, ~0u, 0);
      body(Ready(kReadyFd));
      std::fflush(nullptr);
      _exit(0);
    }
    close(ends[1]);
    char byte = 0;
    ready_ = ::read(ends[0], &byte, 1) == 1;
    close(ends[0]);
  }
  ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)), ready_(other.ready_) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(ready_, other.ready_);
    return *this;
  }
  ~ChildProcess() { kill(); }

  [[nodiscard]] bool ready() const noexcept { return ready_; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const noexcept {
    if (pid_ > 0) ::kill(pid_, number);
  }
  // kill -9, and waits for the end.
  void kill() noexcept {
    signal(SIGKILL);
    (void)wait();
  }
  // Waits for the end: the status of waitpid().
  int wait() noexcept {
    int status = 0;
    if (pid_ > 0) waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  [[nodiscard]] bool gone() noexcept {
    if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    return pid_ <= 0;
  }

 private:
  pid_t pid_ = -1;
  bool ready_ = false;
};

}  // namespace taut::testing
