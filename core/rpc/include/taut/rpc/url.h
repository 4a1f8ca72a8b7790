// scheme://rest?name=value&name=value, taken apart. A bare word means shm://word.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taut/base/result.h"

namespace taut::rpc {

struct Url {
  std::string scheme;
  std::string rest;  // between :// and ?: a name, a path, host:port
  std::vector<std::pair<std::string, std::string>> options;

  static Result<Url> parse(std::string_view text);
  // Without options: how links and listeners are named to people.
  [[nodiscard]] std::string name() const { return scheme + "://" + rest; }
};

}  // namespace taut::rpc
