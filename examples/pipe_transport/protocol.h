// What two processes say to each other through pipes, byte by byte. All numbers are little-endian.
//
//   Hello    client -> door      one write, so that those of several clients do not mix; before it, in the client's
//                                pipe, the method table of what the client serves
//   Welcome  server -> client    the first bytes of the pipe, and behind them the method table
//   Frame    both ways           a header and `bytes` bytes: a record, the marks of both lanes, or a goodbye
//
// Marks say how far this side has come with what it received, in positions of the ring that the other side writes. Both
// sides begin at position 0 and place records by the same rules, so a position means the same on either side.
#pragma once

#include <limits.h>

#include <cstdint>

#include "taut/ring/lane.h"
#include "taut/ring/record.h"

namespace pipe_transport {

inline constexpr std::uint32_t kMagic = 0x65706970;  // "pipe"
inline constexpr std::uint32_t kVersion = 2;
// The method table of a server has at most 4,096 methods; a client takes no more bytes than such a table may need.
inline constexpr std::uint32_t kTableBytesMax = 2 * 1024 * 1024;
// That of a client has to fit its pipe before anybody reads there.
inline constexpr std::uint32_t kClientTableBytesMax = 64 * 1024;
// What a client allocates at a server's word for one ring.
inline constexpr std::uint32_t kServerRingBytesMax = 64 * 1024 * 1024;

struct Hello {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t pid;  // with `serial` it names the client's two pipes
  std::uint32_t serial;
  std::uint32_t ring_bytes[taut::ring::kLaneCount];  // of the rings that the client writes, as it wishes
  std::uint32_t calls;                               // unanswered at a time, as it wishes
  std::uint32_t message_bytes_max;                   // of a message that the client takes in pieces
  std::uint32_t table_bytes = 0;                     // of what the client serves; 0: it serves nothing
  std::uint32_t calls_granted = 0;                   // that the server may have unanswered at the client
  std::uint32_t zeros[6] = {};
};
static_assert(sizeof(Hello) == 64 && PIPE_BUF % sizeof(Hello) == 0);

struct Welcome {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint64_t link;
  std::uint32_t client_ring_bytes[taut::ring::kLaneCount];  // as wished, or less
  std::uint32_t server_ring_bytes[taut::ring::kLaneCount];
  std::uint32_t calls;  // as wished, or fewer
  std::uint32_t reply_bytes_max;
  std::uint32_t message_bytes_max;  // of a message that the server takes in pieces
  std::uint32_t pid;
  std::uint32_t table_bytes;
  std::uint32_t zero;
};
static_assert(sizeof(Welcome) == 56);

enum class FrameKind : std::uint8_t { record = 1, marks = 2, goodbye = 3 };

struct Frame {
  std::uint32_t bytes;
  FrameKind kind;
  std::uint8_t lane;  // of a record; else 0
  std::uint16_t zero;
};
static_assert(sizeof(Frame) == 8);

struct Marks {
  struct {
    std::uint64_t released;  // everything before it was read
    std::uint64_t taken;     // everything before it was handed to its handler
  } lanes[taut::ring::kLaneCount];
};
static_assert(sizeof(Marks) == 32);

}  // namespace pipe_transport
