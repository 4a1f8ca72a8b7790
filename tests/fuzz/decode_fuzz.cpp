// libFuzzer's entry. Built with TAUT_BUILD_FUZZ and clang; how to run it: tests/fuzz/CMakeLists.txt.
#include "decode_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)taut::fuzz::decode_input({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
