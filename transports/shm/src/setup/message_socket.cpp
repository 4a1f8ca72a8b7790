#include "message_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "taut/memory/kernel.h"
#include "taut/shm/transport.h"

namespace taut::shm {
namespace {

using memory::Descriptor;

constexpr std::size_t kControlBytes =
    CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int) * kMessageDescriptorsMax);

Error no_descriptors_for(int os_errno, std::string_view whose) {
  const std::string what = "receiving the descriptors of " + std::string(whose);
  return memory::descriptor_error(os_errno, what, "a link", kDescriptorsWhileConnecting);
}

void take_descriptors(const cmsghdr* control, std::vector<Descriptor>& into) {
  const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
    into.emplace_back(fd);
  }
}

bool is_alive(const Descriptor& pidfd) noexcept {
  pollfd entry{pidfd.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 0;
}

}  // namespace

std::string name_of(pid_t pid) {
  return pid > 0 ? "pid " + std::to_string(pid) : std::string("a process of another PID namespace");
}

std::string name_of(const Peer& peer) {
  return name_of(peer.pid) + (peer.uid != geteuid() ? " of uid " + std::to_string(peer.uid) : std::string());
}

Received receive(int socket, Packet& packet, std::string_view whose) {
  packet = Packet{};
  alignas(cmsghdr) char control[kControlBytes];
  iovec bytes{packet.bytes.data(), packet.bytes.size()};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // A peer that closed before it had read everything leaves a reset; what it sent before that comes behind it.
  } while (received < 0 && (errno == EINTR || errno == ECONNRESET));
  if (received < 0) return errno == EAGAIN ? Received::nothing : Received::closed;

  int pidfd_errno = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_RIGHTS) take_descriptors(part, packet.descriptors);
    if (part->cmsg_type == SCM_CREDENTIALS) {
      ucred who{};
      std::memcpy(&who, CMSG_DATA(part), sizeof who);
      if (!packet.sender) packet.sender.emplace();
      packet.sender->pid = who.pid;
      packet.sender->uid = who.uid;
      packet.sender->gid = who.gid;
    }
    if (part->cmsg_type == SCM_PIDFD) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
      if (!packet.sender) packet.sender.emplace();
      if (fd >= 0)
        packet.sender->pidfd = Descriptor(fd);
      else
        pidfd_errno = -fd;
    }
  }
  // An end of the connection reads as an empty packet, which has no sender.
  if (received == 0 && !packet.sender && packet.descriptors.empty()) return Received::closed;
  packet.byte_count = static_cast<std::size_t>(received);

  const std::string name(whose);
  if (packet.descriptors.size() >= kMessageDescriptorsMax) {
    packet.damage = make_error(Code::invalid_argument, 0, {}, "%s sent %zu descriptors or more", name.c_str(),
                               kMessageDescriptorsMax);
  } else if (memory::is_descriptor_shortage(pidfd_errno)) {
    packet.damage = no_descriptors_for(pidfd_errno, whose);
  } else if ((message.msg_flags & MSG_CTRUNC) != 0) {
    packet.damage = no_descriptors_for(EMFILE, whose);
  } else if (pidfd_errno != 0) {
    packet.damage = make_error(Code::unavailable, pidfd_errno, {}, "%s is dead already", name.c_str());
  } else if ((message.msg_flags & MSG_TRUNC) != 0) {
    packet.damage = make_error(Code::invalid_argument, 0, {}, "%s sent a message of more than %zu bytes", name.c_str(),
                               kMessageBytesMax);
  }
  return Received::packet;
}

int send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept {
  alignas(cmsghdr) char control[kControlBytes] = {};
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;

  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_CREDENTIALS;
  header->cmsg_len = CMSG_LEN(sizeof(ucred));
  const ucred self{getpid(), geteuid(), getegid()};
  std::memcpy(CMSG_DATA(header), &self, sizeof self);
  std::size_t control_bytes = CMSG_SPACE(sizeof(ucred));
  if (!descriptors.empty()) {
    header = CMSG_NXTHDR(&message, header);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    control_bytes += CMSG_SPACE(descriptors.size_bytes());
  }
  message.msg_controllen = control_bytes;
  while (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

void want_senders(int socket, bool scm_pidfd) noexcept {
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  // Refused before Linux 6.5: then packets come without pidfds, and hold_sender() takes the longer way.
  if (scm_pidfd) setsockopt(socket, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
}

void no_more_pidfds(int socket) noexcept {
  const int off = 0;
  setsockopt(socket, SOL_SOCKET, SO_PASSPIDFD, &off, sizeof off);
}

void no_more_senders(int socket) noexcept {
  no_more_pidfds(socket);
  const int off = 0;
  setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &off, sizeof off);
}

Result<void> check_packet(const Packet& packet, std::string_view whose) {
  if (packet.damage) return *packet.damage;
  const std::string name(whose);
  if (!packet.sender)
    return make_error(Code::failed_precondition, 0, {}, "the kernel does not say who %s is", name.c_str());
  return {};
}

Result<void> check_descriptor_count(const Packet& packet, std::size_t expected, std::string_view whose) {
  if (packet.descriptors.size() == expected) return {};
  return make_error(Code::invalid_argument, 0, {}, "%.*s sent %zu descriptors with its message; expected were %zu",
                    static_cast<int>(whose.size()), whose.data(), packet.descriptors.size(), expected);
}

Result<Peer> hold_sender(Packet& packet, std::string_view whose) {
  const int whose_bytes = static_cast<int>(whose.size());
  Sender& sender = *packet.sender;
  if (sender.pidfd) return Peer{std::move(sender.pidfd), sender.pid, sender.uid, true};
  if (sender.pid <= 0) {
    return make_error(Code::failed_precondition, 0, "share the PID namespace, or use Linux 6.5",
                      "%.*s lives in a PID namespace that this process cannot see", whose_bytes, whose.data());
  }
  Descriptor pidfd(memory::open_pidfd(sender.pid));
  if (pidfd) return Peer{std::move(pidfd), sender.pid, sender.uid, false};
  if (memory::is_descriptor_shortage(errno)) return no_descriptors_for(errno, whose);
  return make_error(Code::unavailable, errno, {}, "%.*s, pid %d, cannot be held", whose_bytes, whose.data(),
                    sender.pid);
}

Result<void> prove_sender(Peer& peer, const Packet& packet, std::string_view whose) {
  const int whose_bytes = static_cast<int>(whose.size());
  if (packet.sender->pid != peer.pid) {
    return make_error(Code::failed_precondition, 0, "open links behind the fork()",
                      "%.*s began the handshake as pid %d and went on as pid %d", whose_bytes, whose.data(), peer.pid,
                      packet.sender->pid);
  }
  // It was alive when it sent this, so if the process behind the pidfd lives, it is the same one.
  if (!is_alive(peer.pidfd)) {
    return make_error(Code::unavailable, 0, {}, "%.*s, %s, died in the handshake", whose_bytes, whose.data(),
                      name_of(peer.pid).c_str());
  }
  peer.proven = true;
  return {};
}

}  // namespace taut::shm
