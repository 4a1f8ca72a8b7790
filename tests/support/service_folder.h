// A TAUT_DIR of the test's own, gone with it.
#pragma once

#include <stdlib.h>

#include "support/temporary_directory.h"

namespace taut::testing {

class ServiceFolder {
 public:
  ServiceFolder() { setenv("TAUT_DIR", directory_.path().c_str(), 1); }
  [[nodiscard]] const std::string& path() const noexcept { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

}  // namespace taut::testing
