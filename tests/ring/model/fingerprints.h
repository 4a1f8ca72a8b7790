// A set of states known by 128 bits of hash each, numbered in the order of their coming. Two states that share a
// fingerprint would hide each other: with 10^8 states the chance is below 10^-22.
#pragma once

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "taut/ring/record.h"

namespace taut::model {

using ring::u32;
using ring::u64;

struct Fingerprint {
  u64 low = 0;
  u64 high = 0;
  bool operator==(const Fingerprint&) const = default;
};

inline u64 mix(u64 value) noexcept {
  value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93u;
  value = (value ^ (value >> 29)) * 0xa0761d6478bd642fu;
  return value ^ (value >> 32);
}

// Of `bytes` bytes, a multiple of 8.
inline Fingerprint fingerprint(const void* state, std::size_t bytes) noexcept {
  Fingerprint print{0x243f6a8885a308d3u, 0x13198a2e03707344u};
  for (std::size_t i = 0; i != bytes; i += sizeof(u64)) {
    u64 word;
    std::memcpy(&word, static_cast<const char*>(state) + i, sizeof word);
    print.low = mix(print.low ^ word) + i;
    print.high = mix(print.high + word) ^ (print.high << 7);
  }
  return print;
}

class Fingerprints {
 public:
  // The number of this state, and whether it is new.
  std::pair<u32, bool> add(const Fingerprint& print) {
    if (prints_.size() * 2 >= slots_.size()) grow();
    u32& slot = find(print);
    if (slot != 0) return {slot - 1, false};
    prints_.push_back(print);
    slot = static_cast<u32>(prints_.size());
    return {slot - 1, true};
  }
  [[nodiscard]] std::size_t size() const noexcept { return prints_.size(); }

 private:
  u32& find(const Fingerprint& print) {
    std::size_t at = print.low & (slots_.size() - 1);
    while (slots_[at] != 0 && !(prints_[slots_[at] - 1] == print)) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }
  void grow() {
    slots_.assign(slots_.size() * 2, 0);
    for (std::size_t i = 0; i != prints_.size(); ++i) find(prints_[i]) = static_cast<u32>(i + 1);
  }
  std::vector<u32> slots_ = std::vector<u32>(1024, 0);  // 0: free, else the number plus 1
  std::vector<Fingerprint> prints_;
};

}  // namespace taut::model
