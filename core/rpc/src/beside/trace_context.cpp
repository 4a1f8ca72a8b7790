#include "taut/rpc/trace_context.h"

namespace taut {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kTextBytes = 55;  // 00-32 digits-16 digits-01

template <class Bytes>
void append_hex(std::string& text, const Bytes& bytes) {
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
}

// Lower case only, as the standard says.
template <class Bytes>
bool read_hex(std::string_view text, Bytes& bytes) noexcept {
  for (std::size_t i = 0; i != bytes.size(); ++i) {
    const auto high = kDigits.find(text[2 * i]);
    const auto low = kDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

}  // namespace

std::string TraceContext::to_traceparent() const {
  std::string text = "00-";
  append_hex(text, trace_id);
  text += '-';
  append_hex(text, span_id);
  text += '-';
  append_hex(text, std::array{flags});
  return text;
}

std::optional<TraceContext> TraceContext::from_traceparent(std::string_view text) noexcept {
  if (text.size() < kTextBytes || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  std::array<std::uint8_t, 1> version{}, flags{};
  TraceContext trace;
  if (!read_hex(text.substr(0, 2), version) || !read_hex(text.substr(3, 32), trace.trace_id) ||
      !read_hex(text.substr(36, 16), trace.span_id) || !read_hex(text.substr(53, 2), flags)) {
    return std::nullopt;
  }
  // Version 0 ends here; a later one may go on behind a dash. 255 is forbidden.
  const bool ends = text.size() == kTextBytes || (version[0] != 0 && text[kTextBytes] == '-');
  if (!ends || version[0] == 0xff || !trace.valid()) return std::nullopt;
  trace.flags = flags[0];
  return trace;
}

}  // namespace taut
