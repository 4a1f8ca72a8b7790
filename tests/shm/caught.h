// A packet of the handshake in the hands of a test, with its descriptors.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "taut/memory/descriptor.h"
#include "taut/shm/message.h"

namespace taut::shm::testing {

// A packet with its descriptors, as it can be spoiled and passed on.
struct Caught {
  std::vector<std::byte> bytes;
  std::vector<memory::Descriptor> descriptors;
  template <class Message>
  Message& as() {
    return *reinterpret_cast<Message*>(bytes.data());
  }
};

inline bool catch_packet(int socket, Caught& caught) {
  alignas(cmsghdr) char control[512];
  std::byte bytes[kMessageBytesMax];
  iovec part{bytes, sizeof bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got <= 0) return false;
  caught = {};
  caught.bytes.assign(bytes, bytes + got);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_type != SCM_RIGHTS) continue;
    int fds[8];
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    for (std::size_t i = 0; i < count; ++i) caught.descriptors.emplace_back(fds[i]);
  }
  return true;
}

inline void pass_on(int socket, const Caught& caught) {
  alignas(cmsghdr) char control[512] = {};
  iovec part{const_cast<std::byte*>(caught.bytes.data()), caught.bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!caught.descriptors.empty()) {
    const std::size_t bytes = sizeof(int) * caught.descriptors.size();
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    auto* to = CMSG_DATA(header);
    for (const memory::Descriptor& descriptor : caught.descriptors) {
      const int fd = descriptor.get();
      std::memcpy(to, &fd, sizeof fd);
      to += sizeof fd;
    }
  }
  EXPECT_GE(sendmsg(socket, &message, MSG_NOSIGNAL), 0);
}

}  // namespace taut::shm::testing
