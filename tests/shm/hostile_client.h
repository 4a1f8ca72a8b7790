// A client that speaks the handshake by hand, byte by byte, and as wrongly as a test wants.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>
#include <vector>

#include "ends.h"
#include "taut/memory/control_page.h"
#include "taut/memory/kernel.h"
#include "taut/shm/link_segment.h"
#include "taut/shm/message.h"

namespace taut::shm::testing {

class HostileClient {
 public:
  explicit HostileClient(const std::string& directory, const std::string& service = "orders")
      : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory + "/" + service + ".sock";
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const int one = 1;
    setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
    connected_ = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }

  // What an honest client sends; a test then spoils a part of it.
  Hello hello = [] {
    auto message = make_message<Hello>();
    message.offer.ring_bytes = {65536, 8192};
    message.offer.segment_bytes = link_segment_bytes({65536, 8192});
    message.offer.reply_bytes_max = 4096;
    message.offer.has_board = 1;
    message.offer.stamps.monotonic_ns = 1;
    message.calls_wanted = 64;
    return message;
  }();

  // False: the server is not there, or does not listen any more.
  bool try_send_bytes(std::span<const std::byte> bytes, const std::vector<int>& fds = {}) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 250)] = {};
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
      std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
    }
    return sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0;
  }
  void send_bytes(std::span<const std::byte> bytes, const std::vector<int>& fds = {}) {
    EXPECT_TRUE(connected_ && try_send_bytes(bytes, fds)) << strerror(errno);
  }
  template <class Message>
  void send(const Message& message, const std::vector<int>& fds = {}) {
    send_bytes(std::as_bytes(std::span(&message, 1)), fds);
  }
  void send_text(std::string_view text, const std::vector<int>& fds = {}) {
    send_bytes(std::as_bytes(std::span(text)), fds);
  }
  void send_hello() { send(hello, {segment.fd(), board.fd()}); }

  // The server's answer as a Message; descriptors that come with it are closed by the kernel.
  struct Answer {
    bool closed = false;
    std::vector<std::byte> bytes;
    [[nodiscard]] MessageType type() const { return read_head(bytes, "the server")->type; }
    template <class Message>
    [[nodiscard]] Message as() const {
      return *read_message<Message>(bytes, "the server");
    }
    // The sentence of a refusal, or what came instead.
    [[nodiscard]] std::string refusal() const {
      if (closed) return "(closed)";
      if (type() != MessageType::refusal) return "(" + std::string(to_text(type())) + ")";
      return std::string(to_error(as<Refusal>(), "").what());
    }
  };
  Answer answer(Server& server) {
    Answer answer;
    std::byte buffer[kMessageBytesMax];
    EXPECT_TRUE(server.poll_until([&] {
      const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (got > 0) answer.bytes.assign(buffer, buffer + got);
      answer.closed = got == 0 || (got < 0 && errno != EAGAIN && errno != ECONNRESET);
      return got > 0 || answer.closed;
    }));
    return answer;
  }
  // Says hello, and hears the sentence of the refusal.
  std::string refusal(Server& server) {
    send_hello();
    return answer(server).refusal();
  }
  // The whole handshake, as an honest client: true when the server has the link.
  bool join(Server& server) {
    const std::size_t before = server.inbox.ups.size();
    send_hello();
    auto confirm = make_message<Confirm>();
    confirm.link = answer(server).as<Welcome>().link;
    send(confirm);
    return server.poll_until([&] { return server.inbox.ups.size() > before; });
  }
  [[nodiscard]] int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

  LinkSegment segment = *LinkSegment::create("taut:orders:hostile:client", {65536, 8192}, 0);
  memory::Board board = *memory::Board::create(0);

 private:
  memory::Descriptor socket_;
  bool connected_ = false;
};

}  // namespace taut::shm::testing
