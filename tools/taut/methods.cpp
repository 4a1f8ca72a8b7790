#include "methods.h"

#include <vector>

#include "say.h"

namespace taut::tool {
namespace {

// `name` is the whole name, or what stands behind its namespace.
bool names(const std::string& whole, std::string_view name) {
  return whole == name ||
         (whole.size() > name.size() && whole.ends_with(name) && whole[whole.size() - name.size() - 1] == '.');
}

}  // namespace

std::string everything_of(std::span<const rpc::ServiceEntry> services) {
  std::string all;
  for (const auto& service : services) {
    for (const auto& method : service.methods) all += (all.empty() ? "" : ", ") + service.name + "/" + method.name;
  }
  return all.empty() ? "nothing" : all;
}

std::optional<std::size_t> find_service(std::span<const rpc::ServiceEntry> services, const std::string& wanted,
                                        std::string_view target, int& exit) {
  std::vector<std::size_t> matching;
  for (std::size_t i = 0; i != services.size(); ++i) {
    if (services[i].name == wanted) return i;
    if (names(services[i].name, wanted)) matching.push_back(i);
  }
  if (matching.size() == 1) return matching[0];
  if (matching.empty()) {
    exit = fail(kNotFound, "{} has no service '{}'; it offers: {}", target, wanted, everything_of(services));
  } else {
    exit = fail(kUsage, "'{}' may be {} or {}: write it with its namespace", wanted, services[matching[0]].name,
                services[matching[1]].name);
  }
  return std::nullopt;
}

std::optional<FoundMethod> find_method(std::span<const rpc::ServiceEntry> services, const std::string& wanted,
                                       std::string_view target, int& exit) {
  const std::size_t slash = wanted.rfind('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == wanted.size()) {
    exit = fail(kUsage, "'{}' is not Service/Method; {} offers: {}", wanted, target, everything_of(services));
    return std::nullopt;
  }
  const auto service = find_service(services, wanted.substr(0, slash), target, exit);
  if (!service) return std::nullopt;
  const std::string method = wanted.substr(slash + 1);
  for (const auto& entry : services[*service].methods) {
    if (entry.name == method) return FoundMethod{*service, &entry};
  }
  exit = fail(kNotFound, "{} has no method '{}'; it offers: {}", target, method, everything_of(services));
  return std::nullopt;
}

}  // namespace taut::tool
