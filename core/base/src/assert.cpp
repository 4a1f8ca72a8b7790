#include "taut/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace taut::detail {

void assert_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "taut: assertion failed at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace taut::detail
