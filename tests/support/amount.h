// How much a test does: `usual`, or what the variable says where the test is run for long (LONG of taut_add_test).
#pragma once

#include <cstdint>
#include <cstdlib>

namespace taut::testing {

inline std::uint64_t amount(const char* variable, std::uint64_t usual) {
  const char* wanted = std::getenv(variable);
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : usual;
}

}  // namespace taut::testing
