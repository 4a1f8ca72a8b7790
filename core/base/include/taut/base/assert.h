// TAUT_ASSERT(condition): for our own bugs and the caller's, never for a byte that another process wrote.
// On in every build: the ones that stand on the running path are a compare and a branch.
#pragma once

namespace taut::detail {
[[noreturn]] void assert_failed(const char* condition, const char* file, int line) noexcept;
}

#define TAUT_ASSERT(condition) \
  (__builtin_expect(!!(condition), 1) ? (void)0 : ::taut::detail::assert_failed(#condition, __FILE__, __LINE__))
