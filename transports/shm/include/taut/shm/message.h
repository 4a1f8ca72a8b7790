// The messages of the handshake, byte by byte. Each is one packet on the service's SOCK_SEQPACKET socket.
//
//   client                                  server
//   hello    + segment [+ board]
//            [+ description]          ->
//                                     <-    welcome + segment, control page, description [+ board], or refusal
//   confirm  (the clocks nest)        ->    the link is up
//                                     <-    ready, when the confirm asked for it (before Linux 6.5)
//   one byte: the bell               <->    one byte: the bell
//   goodbye                          <->    goodbye
//
//   describe                          ->
//                                     <-    description + description (description.h)
//
//   inspect                           ->
//                                     <-    inspected + up to 6 of the service's memory files (observe.h)
//
// The head and the refusal keep their form in every layout, so that sides of two layouts can tell each other.
// Trust  every field of a message is the peer's word: handshake.cpp says what is checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "taut/base/clock.h"
#include "taut/base/result.h"
#include "taut/ring/lane.h"

namespace taut::shm {

using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

inline constexpr uint64_t kMessageMagic = 0x6d68'7320'7475'6174;  // "taut shm", read as little-endian
inline constexpr std::size_t kMessageBytesMax = 1024;
inline constexpr std::size_t kMessageDescriptorsMax = 8;

enum class MessageType : uint16_t {
  hello = 1,
  welcome = 2,
  confirm = 3,
  ready = 4,
  refusal = 5,
  describe = 6,
  description = 7,
  goodbye = 8,
  inspect = 9,
  inspected = 10,
};

//   0 8 magic   8 2 type   10 2 layout   12 4 bytes of the message
struct MessageHead {
  uint64_t magic = kMessageMagic;
  MessageType type;
  uint16_t layout;
  uint32_t bytes;
};
static_assert(sizeof(MessageHead) == 16 && offsetof(MessageHead, type) == 8 && offsetof(MessageHead, bytes) == 12);

// Both clocks of one side, read together; tsc is 0 where it is not used.
struct Stamps {
  uint64_t tsc;
  uint64_t monotonic_ns;
};

// What one side brings to a link.
//   0 8 bytes of its segment   8 4+4 bytes of its rings, normal and urgent   16 4 calls that it grants the peer
//   20 4 longest reply without a bound   24 1 clock source   25 1 has a board   26 1 schema=exact   27 1 zero
//   28 4 longest message in pieces that it takes
//   32 16 stamps   48 8 features that it can use   56 8 features that it needs the peer to use
struct Offer {
  uint64_t segment_bytes;
  std::array<uint32_t, ring::kLaneCount> ring_bytes;
  uint32_t calls_granted;
  uint32_t reply_bytes_max;
  ClockSource clock;
  uint8_t has_board;
  uint8_t schema_exact;
  uint8_t zero;
  uint32_t message_bytes_max;
  Stamps stamps;
  uint64_t features;
  uint64_t features_needed;
};
static_assert(sizeof(Offer) == 64 && offsetof(Offer, clock) == 24 && offsetof(Offer, message_bytes_max) == 28 &&
              offsetof(Offer, stamps) == 32);

//   0 head   16 offer   80 4 calls that the client wants to have unanswered   84 4 zero
//   88 8 bytes of the description of what the client serves; 0: it serves nothing
struct Hello {
  static constexpr MessageType kType = MessageType::hello;
  MessageHead head;
  Offer offer;
  uint32_t calls_wanted;
  uint32_t zero;
  uint64_t description_bytes;
};
static_assert(sizeof(Hello) == 96 && offsetof(Hello, calls_wanted) == 80 && offsetof(Hello, description_bytes) == 88);

//   0 head   16 offer   80 8 link   88 8+8 first positions of the client's rings   104 8+8 of the server's
//   120 8 bytes of the description
struct Welcome {
  static constexpr MessageType kType = MessageType::welcome;
  MessageHead head;
  Offer offer;
  uint64_t link;
  std::array<uint64_t, ring::kLaneCount> first_of_client;
  std::array<uint64_t, ring::kLaneCount> first_of_server;
  uint64_t description_bytes;
};
static_assert(sizeof(Welcome) == 128 && offsetof(Welcome, first_of_client) == 88);

//   0 head   16 8 link   24 1 clock of the stamps   25 1 a ready is wanted   26 6 zero
struct Confirm {
  static constexpr MessageType kType = MessageType::confirm;
  MessageHead head;
  uint64_t link;
  ClockSource clock;
  uint8_t ready_wanted;
  uint8_t zero[6];
};
static_assert(sizeof(Confirm) == 32);

struct Ready {
  static constexpr MessageType kType = MessageType::ready;
  MessageHead head;
  uint64_t link;
};
static_assert(sizeof(Ready) == 24);

struct Goodbye {
  static constexpr MessageType kType = MessageType::goodbye;
  MessageHead head;
  uint64_t link;
};
static_assert(sizeof(Goodbye) == 24);

struct Describe {
  static constexpr MessageType kType = MessageType::describe;
  MessageHead head;
};
static_assert(sizeof(Describe) == 16);

//   0 head   16 8 bytes of the description   24 4 links that are up   28 4 zero
struct Description {
  static constexpr MessageType kType = MessageType::description;
  MessageHead head;
  uint64_t description_bytes;
  uint32_t links;
  uint32_t zero;
};
static_assert(sizeof(Description) == 32);

// A service's memory files in order of their numbers at the server, some at a time.
//   0 head   16 4 the number behind which to go on   20 4 zero
struct Inspect {
  static constexpr MessageType kType = MessageType::inspect;
  MessageHead head;
  uint32_t after;
  uint32_t zero;
};
static_assert(sizeof(Inspect) == 24);

//   0 head   16 4 the last one's number, to ask on with; ~0: there are no more   20 4 how many are with this message
struct Inspected {
  static constexpr MessageType kType = MessageType::inspected;
  MessageHead head;
  uint32_t last;
  uint32_t count;
};
static_assert(sizeof(Inspected) == 24);
inline constexpr std::size_t kFilesAtOnce = 6;

// An Error of the other side.
//   0 head   16 1 code   17 1 zero   18 2 bytes of what   20 2 bytes of hint   22 400 what   422 240 hint   662 2 zero
struct Refusal {
  static constexpr MessageType kType = MessageType::refusal;
  MessageHead head;
  Code code;
  uint8_t zero;
  uint16_t what_bytes;
  uint16_t hint_bytes;
  char what[400];
  char hint[240];
  uint8_t zero_too[2];
};
static_assert(sizeof(Refusal) == 664 && offsetof(Refusal, what) == 22 && offsetof(Refusal, hint) == 422);
static_assert(sizeof(Refusal) <= kMessageBytesMax);

// A message with its head filled in and everything else 0.
template <class Message>
Message make_message() noexcept;

Refusal make_refusal(const Error& error) noexcept;
// `from` begins the sentence: "shm://orders refused the link".
Error to_error(const Refusal& refusal, std::string_view from);

// Reads a packet as `Message`, or says what is wrong with it. `whose` names the sender: "the client".
template <class Message>
Result<Message> read_message(std::span<const std::byte> packet, std::string_view whose);
// Type of a packet that has a good head, of any layout.
Result<MessageHead> read_head(std::span<const std::byte> packet, std::string_view whose);

std::string_view to_text(MessageType) noexcept;

// A packet of one byte says only: look at your rings.
inline constexpr std::size_t kBellBytes = 1;

}  // namespace taut::shm
