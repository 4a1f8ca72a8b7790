#include "taut/base/log.h"

#include <cstdio>

namespace taut {

void log_to_stderr(Severity severity, std::string_view text) {
  if (severity == Severity::info) return;
  std::fprintf(stderr, "taut: %s: %.*s\n", severity == Severity::error ? "error" : "warning",
               static_cast<int>(text.size()), text.data());
}

}  // namespace taut
