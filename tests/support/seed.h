// The seed of a random test: printed, so that a failure can be repeated, and taken from TAUT_SEED when that is set.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace taut::testing {

inline std::uint64_t seed() {
  static const std::uint64_t chosen = [] {
    const char* wanted = std::getenv("TAUT_SEED");
    const std::uint64_t value = wanted != nullptr ? std::strtoull(wanted, nullptr, 0) : std::random_device{}();
    std::printf("TAUT_SEED=%llu\n", static_cast<unsigned long long>(value));
    return value;
  }();
  return chosen;
}

class Random {
 public:
  // Processes of one test take different streams of its seed.
  explicit Random(std::uint64_t stream = 0) : engine_(seed() + stream) {}
  // One of 0 .. count-1.
  std::uint64_t below(std::uint64_t count) { return engine_() % count; }
  bool one_in(std::uint64_t count) { return below(count) == 0; }
  std::uint64_t word() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace taut::testing
