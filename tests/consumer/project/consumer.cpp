// Uses a compiled function and a header-only one, so that a library or an include path that is missing shows itself.
#include <cstdio>

#include "taut/base/result.h"

int main() {
  taut::Result<int> refused =
      taut::make_error(taut::Code::not_found, 0, "start the server first", "no server called %s", "greeter");
  if (refused || refused.error().code() != taut::Code::not_found) return 1;
  std::printf("%.*s\n", static_cast<int>(refused.error().what().size()), refused.error().what().data());
}
