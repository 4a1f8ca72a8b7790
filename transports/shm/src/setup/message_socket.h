// Packets with descriptors and the sender's identity, over a Unix socket. For the handshake only: a link that is up
// sends and drops single bytes (running/bell.h).
//
// Threads  the control plane's.
// Trust    receive() closes whatever descriptors it does not hand out, and says who sent each packet: the kernel
//          vouches for that, the packet does not.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "taut/base/result.h"
#include "taut/memory/descriptor.h"
#include "taut/shm/message.h"

namespace taut::shm {

// The process that sent a packet.
struct Sender {
  pid_t pid = 0;  // 0: it lives in a PID namespace that this process cannot see
  uid_t uid = 0;
  gid_t gid = 0;
  memory::Descriptor pidfd;  // empty where the kernel gave none
};

// "pid 4711", for sentences.
std::string name_of(pid_t pid);

struct Packet {
  std::array<std::byte, kMessageBytesMax> bytes;
  std::size_t byte_count = 0;
  std::vector<memory::Descriptor> descriptors;
  std::optional<Sender> sender;
  // Set when the packet did not arrive whole: too long, too many descriptors, or none left in this process.
  std::optional<Error> damage;
  [[nodiscard]] std::span<const std::byte> view() const noexcept { return {bytes.data(), byte_count}; }
};

enum class Received { packet, nothing, closed };

// The next packet, if there is one. `whose` begins the sentences in `damage`.
Received receive(int socket, Packet& packet, std::string_view whose);

// 0 or an errno. Never blocks; the packet goes whole or not at all. Says who sends it.
int send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept;

template <class Message>
int send_message(int socket, const Message& message, std::span<const int> descriptors = {}) noexcept {
  return send_packet(socket, std::as_bytes(std::span(&message, 1)), descriptors);
}

// From now on receive() learns the sender; with `scm_pidfd` also a descriptor of its process, where the kernel can.
// To be called before the peer can send. Accepted sockets inherit it.
void want_senders(int socket, bool scm_pidfd) noexcept;
void no_more_senders(int socket) noexcept;
// Of who is held already: a packet that came with one more pidfd could not be received at the limit of descriptors.
void no_more_pidfds(int socket) noexcept;

// What every packet must have: it arrived whole, and the kernel says from whom.
Result<void> check_packet(const Packet& packet, std::string_view whose);
Result<void> check_descriptor_count(const Packet& packet, std::size_t expected, std::string_view whose);

// Holds the process that sent `packet`: by its pidfd, or before Linux 6.5 by its pid. In the latter case the next
// packet of the same pid proves that the pid was not another's by then: `proven` is false until it came.
struct Peer {
  memory::Descriptor pidfd;
  pid_t pid = 0;
  uid_t uid = 0;
  bool proven = false;
};
// "pid 4711", and its uid when it is another one than ours.
std::string name_of(const Peer& peer);
Result<Peer> hold_sender(Packet& packet, std::string_view whose);
// A later packet of the same peer.
Result<void> prove_sender(Peer& peer, const Packet& packet, std::string_view whose);

}  // namespace taut::shm
