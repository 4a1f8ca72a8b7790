// One direction of a lane in plain memory, with both its ends, and the words that the tests of this folder use.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "taut/ring/lane.h"
#include "taut/ring/ring.h"

namespace taut::ring::testing {

// The smallest ring the product allows: 64 lines, records up to 1 KiB.
inline constexpr u32 kRing = kRingBytesMin;
inline constexpr u32 kLargest = kRing / 4;

// Where positions begin: just below the ends of 32, 63 and 64 bits, so that a few records go past them.
inline constexpr u64 kStarts[] = {0, (u64{1} << 32) - 5 * kStep, (u64{1} << 63) - 5 * kStep, 0 - u64{5} * kStep};
inline std::string start_name(u64 start) {
  return start == 0               ? "zero"
         : start < (u64{1} << 33) ? "below2to32"
         : start < (u64{1} << 63) ? "below2to63"
                                  : "below2to64";
}

struct OneWay {
  explicit OneWay(u64 first, u32 ring_bytes = kRing)
      : bytes(ring_bytes),
        lines(std::make_unique<Line[]>(ring_bytes / kStep)),
        writer({ring(), &words.touched, &words.released}, {.ring_bytes = ring_bytes, .first = first}),
        reader({ring(), &words.released}, {.ring_bytes = ring_bytes, .first = first}) {}

  [[nodiscard]] std::byte* ring() { return lines[0].data(); }
  [[nodiscard]] std::vector<std::byte> snapshot() { return {ring(), ring() + bytes}; }
  [[nodiscard]] u64 head_at(u32 at) {
    u64 word;
    std::memcpy(&word, ring() + at, sizeof word);
    return word;
  }
  // As a peer that does not follow the rules.
  void write_head(u32 at, u64 word) { std::memcpy(ring() + at, &word, sizeof word); }
  void say_released(u64 position) { words.released.store(position, std::memory_order_release); }
  [[nodiscard]] u64 released() const { return words.released.load(std::memory_order_acquire); }
  [[nodiscard]] u64 touched() const { return words.touched.load(std::memory_order_acquire); }

  // Every byte behind the head word, so that a record that is not whole, or another's, shows itself.
  void fill(const Claim& claim, u32 record_bytes, u64 number) {
    for (u32 i = sizeof(u64); i < record_bytes; ++i) ring()[claim.at + i] = byte_of(number, i);
  }
  [[nodiscard]] bool holds(const Record& record, u64 number) {
    for (u32 i = sizeof(u64); i < record.head.bytes(); ++i) {
      if (ring()[reader.at(record) + i] != byte_of(number, i)) return false;
    }
    return true;
  }
  // All bits set wherever a claim may write: heads of later laps then start as garbage.
  void scribble(const Claim& claim) {
    if (claim) std::memset(ring() + claim.at + sizeof(u64), 0xff, claim.room - sizeof(u64));
  }

  Refusal try_send(u32 record_bytes, u64 number = 0) {
    const Claim claim = writer.claim(record_bytes);
    if (!claim) return claim.refusal;
    fill(claim, record_bytes, number);
    writer.send(claim, Head::make(record_bytes, Kind::request, 0, static_cast<u16>(number)));
    return Refusal::none;
  }
  // Fills the ring with records of one line; answers how many. A ring that is broken ends it too: hence `most`.
  u32 fill_up() {
    const u32 most = bytes / kStep;
    u32 count = 0;
    while (count != most && try_send(kStep, count) == Refusal::none) ++count;
    return count;
  }
  // Receives and releases everything, then polls once more, as a dispatcher that found nothing does.
  void drain() {
    for (u32 most = bytes / kStep; most != 0; --most) {
      const Record record = reader.next();
      if (!record) break;
      reader.release(record.end);
    }
    reader.idle();
  }
  // Moves both ends `line_count` lines on.
  void advance(u32 line_count) {
    for (u32 i = 0; i != line_count; ++i) {
      (void)try_send(kStep);
      drain();
    }
  }
  // Moves both ends on until the next record stands at `at`.
  void advance_to(u32 at) { advance((at - static_cast<u32>(writer.position())) % bytes / kStep); }

  struct alignas(kStep) Line : std::array<std::byte, kStep> {};
  static constexpr std::byte byte_of(u64 number, u32 i) {
    return static_cast<std::byte>((number * 0x9e3779b97f4a7c15u >> (i % 8 * 8)) + i / 8);
  }

  u32 bytes;
  LaneWords words{};
  std::unique_ptr<Line[]> lines;
  Writer<NativeWriterMemory> writer;
  Reader<NativeReaderMemory> reader;
};

}  // namespace taut::ring::testing
