#include "taut/rpc/url.h"

#include <algorithm>

namespace taut::rpc {
namespace {

Error refused(std::string_view text, const char* why, std::string_view hint = "write scheme://name?option=value") {
  return make_error(Code::invalid_argument, 0, hint, "URL '%.*s': %s",
                    static_cast<int>(std::min<std::size_t>(text.size(), 200)), text.data(), why);
}

bool is_scheme(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-';
  });
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  const auto unprintable = [](unsigned char c) { return c <= ' ' || c == 0x7f; };  // UTF-8 may stand in a path
  if (std::any_of(text.begin(), text.end(), unprintable)) return refused(text, "has spaces or control characters");

  Url url;
  const std::string_view before_options = text.substr(0, text.find('?'));
  const std::size_t colon = before_options.find("://");
  url.scheme = colon == std::string_view::npos ? "shm" : before_options.substr(0, colon);
  url.rest = colon == std::string_view::npos ? before_options : before_options.substr(colon + 3);
  if (!is_scheme(url.scheme)) return refused(text, "its scheme is not a word of small letters");
  if (url.rest.empty()) return refused(text, "nothing is named behind the scheme");
  if (before_options.size() == text.size()) return url;

  std::string_view left = text.substr(before_options.size() + 1);
  while (!left.empty()) {
    const std::string_view option = left.substr(0, left.find('&'));
    left.remove_prefix(std::min(left.size(), option.size() + 1));
    const std::size_t equals = option.find('=');
    if (equals == 0 || equals == std::string_view::npos) return refused(text, "an option is not name=value");
    std::string name(option.substr(0, equals));
    if (std::any_of(url.options.begin(), url.options.end(), [&](const auto& other) { return other.first == name; })) {
      return refused(text, "an option stands twice");
    }
    url.options.emplace_back(std::move(name), option.substr(equals + 1));
  }
  return url;
}

}  // namespace taut::rpc
