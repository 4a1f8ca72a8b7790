// Memory that changes behind every first read, as a hostile peer's may: the head that was loaded, and the header that
// was copied. Code that reads either of them again gets another value, and a second look at a head is counted.
//
// Threads  each keeps its own account: a ring has one reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "taut/ring/record.h"

namespace taut::flip {

struct Account {
  struct Head {
    std::uint64_t loaded, lie;
    bool copied;
  };
  std::unordered_map<const std::byte*, Head> heads;  // by place: the last that was loaded there
  std::uint64_t first_reads = 0, second_reads = 0;
};

inline Account& account() {
  thread_local Account mine;
  return mine;
}

// A head was loaded from `at`. Another one stands there from now on: one line longer, for another method, and with a
// flag that no honest writer sets, so that it is known again.
inline void head_was_loaded(std::byte* at, std::uint64_t word) {
  Account& mine = account();
  const auto known = mine.heads.find(at);
  if (known != mine.heads.end() && known->second.lie == word) {
    ++mine.second_reads;
    return;
  }
  ++mine.first_reads;
  const std::uint64_t lie = (word + 64) ^ std::uint64_t{1} << 48 ^ std::uint64_t{0x40} << 40;
  std::memcpy(at, &lie, sizeof lie);
  mine.heads[at] = {word, lie, false};
}

// `bytes` were copied from the beginning of a record: its header says something else from now on, and of a request that
// was copied whole also the payload. An answer's payload is no header, and a wait may leave it for a later look.
inline void bytes_were_copied(const std::byte* from, std::size_t bytes) {
  Account& mine = account();
  const auto known = mine.heads.find(from);
  if (known == mine.heads.end()) return;                  // not the beginning of a record
  if (std::exchange(known->second.copied, true)) return;  // changed already
  const ring::Head head{known->second.loaded};
  const bool request = head.kind() == ring::Kind::request;
  const bool extended = (head.flags() & ring::flag::extensions) != 0;  // a piece of an answer says where it belongs
  std::uint64_t end = request ? sizeof(ring::RequestHeader) : sizeof(ring::ReplyHeader);
  if (extended) end = ring::kPieceHeader;
  if (request && bytes >= head.bytes()) end = bytes;
  for (std::uint64_t at = sizeof head; at < end; ++at) const_cast<std::byte&>(from[at]) ^= std::byte{0x5a};
}

}  // namespace taut::flip
