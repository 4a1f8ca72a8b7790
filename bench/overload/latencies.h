// Latencies of as many calls as one likes, in memory that does not grow: counts in steps of 3 %. And how much memory
// this process has.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>

namespace bench {

class Latencies {
 public:
  void add(double ns) noexcept {
    const double place = std::log2(std::max(ns, 1.0)) * kSteps;
    ++counts_[std::min(counts_.size() - 1, static_cast<std::size_t>(place))];
    ++count_;
  }
  void add(const Latencies& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
  }
  // In nanoseconds: the upper edge of the step that the value lies in.
  [[nodiscard]] double quantile(double q) const noexcept {
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count_));
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if ((below += counts_[i]) > rank) return std::exp2(static_cast<double>(i + 1) / kSteps);
    }
    return 0;
  }

 private:
  static constexpr int kSteps = 24;  // to a doubling
  std::array<std::uint64_t, 40 * kSteps> counts_{};
  std::uint64_t count_ = 0;
};

inline std::uint64_t resident_bytes() {
  std::uint64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace bench
