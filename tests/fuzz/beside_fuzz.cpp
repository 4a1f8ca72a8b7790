// libFuzzer's entry for trace and metadata. Built with TAUT_BUILD_FUZZ and clang; how to run it:
// tests/fuzz/CMakeLists.txt.
#include "beside_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)taut::fuzz::read_beside({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
