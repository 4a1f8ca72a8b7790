#include "say.h"

namespace taut::tool {
namespace {

// Bytes of the UTF-8 character that `text` begins with, and the character; 0: it begins with none.
std::size_t character(std::string_view text, std::uint32_t& code) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t first = byte(0);
  const std::size_t bytes = first < 0x80   ? 1
                            : first < 0xc2 ? 0
                            : first < 0xe0 ? 2
                            : first < 0xf0 ? 3
                            : first < 0xf5 ? 4
                                           : 0;
  if (bytes == 0 || bytes > text.size()) return 0;
  code = bytes == 1 ? first : first & (0x7fu >> bytes);
  for (std::size_t i = 1; i != bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return code < kLeast[bytes] || code > 0x10ffff || surrogate ? 0 : bytes;
}

}  // namespace

std::string json_text(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    std::uint32_t code = 0;
    const std::size_t bytes = character(text, code);
    if (bytes == 0) {
      quoted += "\\ufffd";
    } else if (code == '"' || code == '\\') {
      quoted += '\\';
      quoted += text.front();
    } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
      quoted += fmt::format("\\u{:04x}", code);
    } else {
      quoted += text.substr(0, bytes);
    }
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return quoted + '"';
}

}  // namespace taut::tool
