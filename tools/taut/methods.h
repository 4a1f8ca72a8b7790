// Which service and method a person means: Service/Method, where the service's namespace may be left out.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "taut/rpc/method_table.h"

namespace taut::tool {

struct FoundMethod {
  std::size_t service;  // index into the services
  const rpc::MethodEntry* method;
};

// Every Service/Method there is, for sentences.
std::string everything_of(std::span<const rpc::ServiceEntry> services);

// None: said on stderr; `exit` is the exit code.
std::optional<FoundMethod> find_method(std::span<const rpc::ServiceEntry> services, const std::string& wanted,
                                       std::string_view target, int& exit);
std::optional<std::size_t> find_service(std::span<const rpc::ServiceEntry> services, const std::string& wanted,
                                        std::string_view target, int& exit);

}  // namespace taut::tool
