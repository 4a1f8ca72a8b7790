// One side of a link that a test writes by hand, right or wrong.
#pragma once

#include "joined_pair.h"

namespace taut::rpc::testing {

using ring::Head;
using ring::Kind;
using ring::kStep;
using ring::u32;
using ring::u64;

// One side of a link, written by the test.
class Hand {
 public:
  Hand(JoinedMemory& memory, int side) : memory_(memory), side_(side) {}

  // Every line of the ring says that a record of one line begins there: a ring without an end.
  void fill(Lane lane, Head head, u64 call = 0) {
    std::byte* ring = memory_.lane(side_, lane).out_ring;
    for (u32 at = 0; at != ring_bytes(lane); at += kStep) {
      std::memcpy(ring + at + 8, &call, sizeof call);
      std::memcpy(ring + at, &head.word, sizeof head.word);
    }
  }
  // One record, right or wrong.
  void send(Lane lane, Head head, ring::u16 extensions, std::string_view payload, u64 call = 1) {
    ring::Writer<ring::NativeWriterMemory>& out = writer(lane);
    const ring::Claim claim = out.claim(head.bytes());
    ASSERT_TRUE(claim);
    ring::RequestHeader header{};
    header.call = call;
    header.extensions = extensions;
    std::byte* record = out.memory().bytes(claim.at);
    std::memcpy(record + 8, reinterpret_cast<const std::byte*>(&header) + 8, sizeof header - 8);
    std::memcpy(record + sizeof header, payload.data(), payload.size());
    out.send(claim, head);
  }
  // A record with a 16-byte header: an item, an end, credit, a cancel.
  void send_small(Lane lane, Kind kind, u64 call, std::string_view payload = {}, ring::u8 flags = 0) {
    ring::Writer<ring::NativeWriterMemory>& out = writer(lane);
    const auto bytes = static_cast<u32>(sizeof(ring::ReplyHeader) + payload.size());
    const ring::Claim claim = out.claim(bytes);
    ASSERT_TRUE(claim);
    std::byte* record = out.memory().bytes(claim.at);
    std::memcpy(record + 8, &call, sizeof call);
    if (!payload.empty()) std::memcpy(record + sizeof(ring::ReplyHeader), payload.data(), payload.size());
    out.send(claim, Head::make(bytes, kind, flags));
  }
  void send_credit(Lane lane, u64 call, ring::CreditBlock credit, ring::u8 flags = 0) {
    send_small(lane, Kind::credit, call, {reinterpret_cast<const char*>(&credit), sizeof credit}, flags);
  }
  // A record as it is to lie there, with its head.
  void send_record(Lane lane, std::span<const std::byte> bytes) {
    ring::Writer<ring::NativeWriterMemory>& out = writer(lane);
    const ring::Claim claim = out.claim(static_cast<u32>(bytes.size()));
    ASSERT_TRUE(claim);
    Head head;
    std::memcpy(&head.word, bytes.data(), sizeof head.word);
    std::memcpy(out.memory().bytes(claim.at) + sizeof head.word, bytes.data() + sizeof head.word,
                bytes.size() - sizeof head.word);
    out.send(claim, head);
  }
  void send_request(Lane lane, Method method, std::string_view payload) {
    const auto bytes = static_cast<u32>(sizeof(ring::RequestHeader) + payload.size());
    send(lane, Head::make(bytes, Kind::request, 0, method), 0, payload);
  }
  // Writes over all that was sent, but for the heads.
  void rewrite(Lane lane) {
    std::byte* ring = memory_.lane(side_, lane).out_ring;
    for (u32 at = 0; at != ring_bytes(lane); ++at) {
      if (at % kStep >= 8) ring[at] = std::byte{'!'};
    }
  }

  ring::Writer<ring::NativeWriterMemory>& writer(Lane lane) {
    auto& kept = writers_[static_cast<std::size_t>(lane)];
    if (!kept)
      kept.emplace(memory_.lane(side_, lane).writer(), memory_.agreement(side_).out[static_cast<std::size_t>(lane)]);
    return *kept;
  }

 private:
  [[nodiscard]] u32 ring_bytes(Lane lane) {
    return memory_.agreement(side_).out[static_cast<std::size_t>(lane)].ring_bytes;
  }
  JoinedMemory& memory_;
  int side_;
  std::optional<ring::Writer<ring::NativeWriterMemory>> writers_[ring::kLaneCount];
};

}  // namespace taut::rpc::testing
