#include "service_name.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "message_socket.h"
#include "taut/memory/kernel.h"
#include "taut/shm/transport.h"

namespace taut::shm {
namespace {

using memory::Descriptor;
using SteadyClock = std::chrono::steady_clock;

constexpr int kBacklog = 1024;
// How long a server that starts waits for another that is starting, and for the answer of one that may be dead.
constexpr auto kLockPatience = std::chrono::milliseconds(500);
constexpr auto kAnswerPatience = std::chrono::milliseconds(1000);

Error out_of(int os_errno, const std::string& what) {
  return memory::descriptor_error(os_errno, what, "a link", kDescriptorsWhileConnecting);
}

// The lock file, locked, and still the one in the directory: its last holder may have removed it.
Result<Descriptor> lock_name(const ServiceDirectory& directory, const std::string& name) {
  const std::string file = name + ".lock";
  const auto give_up = SteadyClock::now() + kLockPatience;
  while (true) {
    Descriptor fd(openat(directory.fd(), file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) {
      if (memory::is_descriptor_shortage(errno)) return out_of(errno, "opening " + file);
      return make_error(Code::permission_denied, errno, "is the directory writable for this user?", "making %s/%s",
                        directory.path().c_str(), file.c_str());
    }
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      struct stat here {
      }, there{};
      if (fstat(fd.get(), &here) == 0 && fstatat(directory.fd(), file.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
          here.st_ino == there.st_ino && here.st_dev == there.st_dev) {
        return fd;
      }
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return make_error(Code::internal, errno, {}, "locking %s/%s", directory.path().c_str(), file.c_str());
    }
    if (SteadyClock::now() >= give_up) {
      return make_error(Code::already_exists, 0, "is it stopped?",
                        "another process is taking the name '%s' and does not come to an end; it holds %s/%s",
                        name.c_str(), directory.path().c_str(), file.c_str());
    }
    ::poll(nullptr, 0, 1);
  }
}

// A pidfd of whoever called listen() on the other side of a connection; before Linux 6.5 by its pid.
Descriptor listener_of(int socket, pid_t pid) noexcept {
  int fd = -1;
  socklen_t bytes = sizeof fd;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &bytes) == 0) return Descriptor(fd);
  return pid > 0 ? Descriptor(memory::open_pidfd(pid)) : Descriptor();
}

bool readable(int fd, std::chrono::milliseconds patience) noexcept {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, static_cast<int>(patience.count())) > 0;
}

Error held(const std::string& name, pid_t pid) {
  return make_error(Code::already_exists, 0, "stop it, or give this service another name",
                    "shm://%s is served already, by %s", name.c_str(), name_of(pid).c_str());
}

// Whether a live server holds the name: then its Error. The process that called listen() may be dead although the
// server lives, when it went into the background in between; so a server that answers counts, whoever listened.
Result<void> check_holder(const ServiceDirectory& directory, const std::string& name, bool scm_pidfd) {
  auto socket = connect_to_service(directory, name, scm_pidfd);
  if (!socket) {
    // Nobody listens, or nothing is there. Any other error (a full queue of connections, no descriptors) proves
    // nothing.
    const Code code = socket.error().code();
    if (code == Code::not_found || code == Code::unavailable) return {};
    return socket.error();
  }
  ucred listener{};
  socklen_t bytes = sizeof listener;
  getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &listener, &bytes);
  const Descriptor pidfd = listener_of(socket->get(), listener.pid);
  if (pidfd && !readable(pidfd.get(), std::chrono::milliseconds(0))) return held(name, listener.pid);

  send_message(socket->get(), make_message<Describe>());
  if (!readable(socket->get(), kAnswerPatience)) return {};
  Packet packet;
  if (receive(socket->get(), packet, "the holder of the name") != Received::packet || !packet.sender) return {};
  return held(name, packet.sender->pid);
}

}  // namespace

Result<std::string> socket_path(const ServiceDirectory& directory, std::string_view name) {
  std::string path = directory.path() + "/" + std::string(name) + ".sock";
  constexpr std::size_t kPathMax = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() <= kPathMax) return path;
  return make_error(Code::invalid_argument, 0, "name a shorter directory in TAUT_DIR",
                    "the path of the service's socket has %zu bytes and may have %zu: %s", path.size(), kPathMax,
                    path.substr(0, 250).c_str());
}

Result<Descriptor> connect_to_service(const ServiceDirectory& directory, const std::string& name, bool scm_pidfd) {
  const auto path = socket_path(directory, name);
  if (!path) return path.error();
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return out_of(errno, "making a socket for shm://" + name);
  want_senders(socket.get(), scm_pidfd);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path->c_str(), path->size() + 1);
  while (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int refused = errno;
    if (refused == EINTR) continue;
    if (refused == ENOENT) {
      std::string others;
      for (const std::string& other : directory.names()) others += (others.empty() ? "" : ", ") + other;
      return make_error(Code::not_found, refused, "start the server, or set TAUT_DIR as its environment does",
                        "no service '%s' in %s; %s%.200s", name.c_str(), directory.path().c_str(),
                        others.empty() ? "none is there" : "there are: ", others.c_str());
    }
    if (refused == ECONNREFUSED) {
      return make_error(Code::unavailable, refused, "start the server again: it takes its name back",
                        "shm://%s has no server: the one that made %s is gone", name.c_str(), path->c_str());
    }
    if (refused == EAGAIN) {
      return make_error(Code::unavailable, refused, "is the server stopped, or does it not poll?",
                        "shm://%s does not accept: its queue of connections is full", name.c_str());
    }
    if (refused == EACCES || refused == EPERM) {
      return make_error(Code::permission_denied, refused, "run both as the same user", "connecting to %s",
                        path->c_str());
    }
    return make_error(Code::internal, refused, {}, "connecting to %s", path->c_str());
  }
  return socket;
}

ServiceName::ServiceName(ServiceDirectory directory, std::string name, Descriptor socket, FileId file) noexcept
    : directory_(std::move(directory)), name_(std::move(name)), socket_(std::move(socket)), file_(file) {}

ServiceName::~ServiceName() { give_back(); }

ServiceName::FileId ServiceName::id_of(int directory, const std::string& file) noexcept {
  struct stat status {};
  if (fstatat(directory, file.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};
  return {status.st_dev, status.st_ino, status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
}

Result<ServiceName> ServiceName::take(ServiceDirectory directory, const std::string& name, Options options) {
  if (auto checked = check_service_name(name); !checked) return checked.error();
  const auto path = socket_path(directory, name);
  if (!path) return path.error();
  const auto locked = lock_name(directory, name);
  if (!locked) return locked.error();
  if (auto free = check_holder(directory, name, options.scm_pidfd); !free) return free.error();

  // Under the lock, so the temporary name can only be left over from a server that died here.
  const std::string temporary = "." + name + ".new";
  unlinkat(directory.fd(), temporary.c_str(), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string temporary_path = directory.path() + "/" + temporary;  // as long as `path`
  std::memcpy(address.sun_path, temporary_path.c_str(), temporary_path.size() + 1);
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return out_of(errno, "making the socket of shm://" + name);
  want_senders(socket.get(), options.scm_pidfd);
  fchmod(socket.get(), 0600);  // of the file that bind() makes, less the umask
  const std::string file = name + ".sock";
  // renameat() by descriptor: in the directory whose owner and mode were checked.
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      (options.for_others && fchmodat(directory.fd(), temporary.c_str(), 0666, 0) != 0) ||
      listen(socket.get(), kBacklog) != 0 ||
      renameat(directory.fd(), temporary.c_str(), directory.fd(), file.c_str()) != 0) {
    const int refused = errno;
    unlinkat(directory.fd(), temporary.c_str(), 0);
    return make_error(refused == EACCES ? Code::permission_denied : Code::internal, refused,
                      "is the directory writable for this user?", "making the socket %s", path->c_str());
  }
  const FileId id = id_of(directory.fd(), file);
  return ServiceName(std::move(directory), name, std::move(socket), id);
}

void ServiceName::give_back() noexcept {
  if (!socket_) return;
  const std::string file = name_ + ".sock";
  // Who cannot have the lock leaves the name behind, as a server that was killed does.
  if (const auto locked = lock_name(directory_, name_)) {
    if (id_of(directory_.fd(), file) == file_) unlinkat(directory_.fd(), file.c_str(), 0);
    unlinkat(directory_.fd(), (name_ + ".lock").c_str(), 0);
  }
  socket_.reset();
}

}  // namespace taut::shm
