#include "fifo.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace pipe_transport {
namespace {

using taut::Code;
using taut::make_error;

// A pipe without a reader raises SIGPIPE, and there is no flag against it as sockets have one. A library leaves the
// process's signals alone, so the signal is kept from this thread and taken back when it was ours.
class NoSigpipe {
 public:
  NoSigpipe() noexcept {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec no_time{};
    while (raised && !was_pending_ && sigtimedwait(&sigpipe_, nullptr, &no_time) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  bool raised = false;

 private:
  sigset_t sigpipe_, before_;
  bool was_pending_;
};

}  // namespace

Moved read_some(int fd, std::span<std::byte> into) noexcept {
  if (into.empty()) return {};  // read() would answer 0, as at the end
  ssize_t bytes;
  do bytes = ::read(fd, into.data(), into.size());
  while (bytes < 0 && errno == EINTR);
  if (bytes > 0) return {.bytes = static_cast<std::size_t>(bytes)};
  return {.closed = bytes == 0 || errno != EAGAIN};
}

Moved write_some(int fd, std::span<const std::byte> from) noexcept {
  NoSigpipe guard;
  ssize_t bytes;
  do bytes = ::write(fd, from.data(), from.size());
  while (bytes < 0 && errno == EINTR);
  if (bytes >= 0) return {.bytes = static_cast<std::size_t>(bytes)};
  guard.raised = errno == EPIPE;
  return {.closed = errno != EAGAIN};
}

taut::Result<void> make_fifo(const std::string& path) {
  if (mkfifo(path.c_str(), 0600) == 0) return {};
  return make_error(errno == EEXIST ? Code::already_exists : Code::not_found, errno,
                    "the folder must exist and be writable", "making the pipe %s", path.c_str());
}

taut::Result<taut::memory::Descriptor> open_fifo(const std::string& path, int flags) {
  taut::memory::Descriptor fd(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) {
    return make_error(errno == ENOENT  ? Code::not_found
                      : errno == ENXIO ? Code::unavailable
                                       : Code::permission_denied,
                      errno, errno == ENXIO ? "nobody reads it: start the server" : "start the server first",
                      "opening the pipe %s", path.c_str());
  }
  struct stat found {};
  if (fstat(fd.get(), &found) != 0 || !S_ISFIFO(found.st_mode) || found.st_uid != geteuid()) {
    return make_error(Code::permission_denied, 0, "choose another name", "%s is no pipe of this user", path.c_str());
  }
  return fd;
}

}  // namespace pipe_transport
