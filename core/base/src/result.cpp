#include "taut/base/result.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ostream>

namespace taut {
namespace {

std::uint16_t copy_cut(char* to, std::size_t room, std::string_view from) noexcept {
  const std::size_t bytes = std::min(room, from.size());
  if (bytes != 0) std::memcpy(to, from.data(), bytes);  // an empty view may hold a null pointer
  return static_cast<std::uint16_t>(bytes);
}

}  // namespace

Error::Error(Code code, int os_errno, std::string_view what, std::string_view hint) noexcept
    : code_(code),
      os_errno_(os_errno),
      what_bytes_(copy_cut(what_, kWhatMax, what)),
      hint_bytes_(copy_cut(hint_, kHintMax, hint)) {}

std::ostream& operator<<(std::ostream& out, const Error& error) {
  out << error.what();
  if (!error.hint().empty()) out << "; " << error.hint();
  return out;
}

Error make_error(Code code, int os_errno, std::string_view hint, const char* format, ...) noexcept {
  char what[512];
  va_list arguments;
  va_start(arguments, format);
  int bytes = std::vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  bytes = std::clamp(bytes, 0, static_cast<int>(sizeof what) - 1);
  if (os_errno != 0) {
    const char* name = strerrorname_np(os_errno);
    const auto room = sizeof what - static_cast<std::size_t>(bytes);
    const int more = std::snprintf(what + bytes, room, ": %s (%s)", name != nullptr ? name : "errno",
                                   strerrordesc_np(os_errno) != nullptr ? strerrordesc_np(os_errno) : "unknown");
    bytes = std::min(bytes + std::max(more, 0), static_cast<int>(sizeof what) - 1);
  }
  return Error(code, os_errno, std::string_view(what, static_cast<std::size_t>(bytes)), hint);
}

}  // namespace taut
