// How the tool speaks: data on stdout, words on stderr, and one list of exit codes.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

namespace taut::tool {

enum Exit : int {
  kFine = 0,
  kOther = 1,
  kUsage = 2,
  kNotFound = 3,
  kTimeout = 4,
  kPeerGone = 5,
  kCheckFailed = 6,
  kNotPermitted = 7,
  kRpc = 64,  // plus the status of the call
};
inline constexpr const char* kExitCodes =
    "Exit codes: 0 fine, 1 other, 2 usage, 3 not found, 4 timeout, 5 peer gone or stale, 6 check failed,\n"
    "            7 not permitted, 64+N the call ended with status N";

// One sentence on stderr: what failed, on which object, and what to do.
template <class... Values>
int fail(int code, fmt::format_string<Values...> format, Values&&... values) {
  fmt::print(stderr, "error: {}\n", fmt::format(format, std::forward<Values>(values)...));
  return code;
}

// Text in quotes, as JSON has it; safe to print: what a terminal might act on is escaped, what is no UTF-8 replaced.
std::string json_text(std::string_view text);

}  // namespace taut::tool
