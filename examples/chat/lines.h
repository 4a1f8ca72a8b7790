// The lines of stdin for a dispatcher, one at a time: who types faster than the chat takes waits in the pipe.
//
// Threads  one of its own, which reads; take() and next() are the dispatcher's.
// Waits    the destructor, for the thread, which it wakes.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "taut/taut.h"

namespace chat_rooms {

class Lines {
 public:
  // `line` gets each line and says next() when it wants another; `end` runs behind the last one.
  Lines(taut::Dispatcher& loop, std::function<void(std::string)> line, std::function<void()> end)
      : loop_(loop), line_(std::move(line)), end_(std::move(end)), thread_([this] { read(); }) {}
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() {
    ring(stop_);
    thread_.join();
    ::close(stop_);
    ::close(next_);
  }
  void next() const { ring(next_); }

 private:
  static void ring(int fd) { (void)!::eventfd_write(fd, 1); }
  // False: the program ends.
  [[nodiscard]] bool wait_for(int fd) const {
    pollfd fds[] = {{stop_, POLLIN, 0}, {fd, POLLIN, 0}};
    while (::poll(fds, 2, -1) < 0) {
    }
    return fds[0].revents == 0;
  }

  void read() {
    std::string text;
    char bytes[512];
    while (wait_for(STDIN_FILENO)) {
      const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
      if (got <= 0) {
        (void)loop_.post([this] { end_(); });
        return;
      }
      text.append(bytes, static_cast<std::size_t>(got));
      for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
        // One is posted at a time, so there is always room for it.
        (void)loop_.post([this, line = text.substr(0, end)]() mutable { line_(std::move(line)); });
        text.erase(0, end + 1);
        if (!wait_for(next_)) return;
        eventfd_t taken = 0;
        ::eventfd_read(next_, &taken);
      }
    }
  }

  taut::Dispatcher& loop_;
  const std::function<void(std::string)> line_;
  const std::function<void()> end_;
  const int stop_ = ::eventfd(0, EFD_CLOEXEC), next_ = ::eventfd(0, EFD_CLOEXEC);
  std::thread thread_;  // last: it uses the others
};

}  // namespace chat_rooms
