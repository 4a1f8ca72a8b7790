#include "schema_fit.h"

#include <algorithm>
#include <cstdio>

namespace taut::rpc {
namespace {

const MethodEntry* find(const ServiceEntry& service, std::uint16_t id) noexcept {
  const auto found = std::find_if(service.methods.begin(), service.methods.end(),
                                  [id](const MethodEntry& method) { return method.id == id; });
  return found != service.methods.end() ? &*found : nullptr;
}

std::string hex(std::uint64_t fingerprint) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(fingerprint));
  return text;
}

// schema 0x0123456789abcdef here, 0x... at the server
std::string both(const ServiceDescription& client, const ServiceEntry& server) {
  return "schema " + hex(client.fingerprint) + " here, " + hex(server.fingerprint) + " at the server";
}

std::string offered(const MethodTable& server) {
  std::string names;
  for (const ServiceEntry& service : server.services()) names += (names.empty() ? "" : ", ") + service.name;
  return names.empty() ? "it offers none" : "it offers: " + names;
}

// 'Place' (id 1)
std::string quoted(const MethodDescription& method) {
  std::string text = "'";
  text += method.name;
  return text + "' (id " + std::to_string(method.id) + ")";
}

Error refuse(std::string_view url, const std::string& why, const char* hint) {
  return make_error(Code::failed_precondition, 0, hint, "%.*s: %s", static_cast<int>(url.size()), url.data(),
                    why.c_str());
}

}  // namespace

std::optional<Error> misfit(const ServiceDescription& client, const MethodTable& server, bool exact,
                            std::string_view url) {
  constexpr const char* kNewerServer = "upgrade the server before its clients";
  const std::string name(client.name);
  const ServiceEntry* const theirs = server.find(client.name);
  for (const MethodDescription& method : client.methods) {
    const MethodEntry* const entry = theirs != nullptr ? find(*theirs, method.id) : nullptr;
    if (entry != nullptr && entry->name != method.name) {
      return refuse(url,
                    "id " + std::to_string(method.id) + " of " + name + " is the method '" + std::string(method.name) +
                        "' here and '" + entry->name + "' at the server (" + both(client, *theirs) + ")",
                    "a method keeps its name and its id; `taut check` compares two schemas");
    }
    if (entry != nullptr && entry->kind != method.kind) {
      return refuse(url,
                    "the method " + quoted(method) + " of " + name + " is " + std::string(to_text(method.kind)) +
                        " here and " + std::string(to_text(entry->kind)) + " at the server (" + both(client, *theirs) +
                        ")",
                    "a method keeps its kind: give the other kind an id of its own");
    }
    if (entry != nullptr || !method.needed) continue;
    const std::string needed = "the method " + quoted(method);
    if (theirs == nullptr) {
      return refuse(url,
                    "the server offers no " + name + ", of which this client needs " + needed + "; " + offered(server),
                    kNewerServer);
    }
    return refuse(
        url, "the server lacks " + needed + " of " + name + ", which this client needs (" + both(client, *theirs) + ")",
        kNewerServer);
  }
  if (!exact || (theirs != nullptr && theirs->fingerprint == client.fingerprint)) return std::nullopt;
  constexpr const char* kOneSchema = "build both sides from one schema, or leave schema=exact out";
  if (theirs == nullptr) {
    return refuse(url, "schema=exact, but the server offers no " + name + "; " + offered(server), kOneSchema);
  }
  return refuse(url, "schema=exact, but " + name + " differs: " + both(client, *theirs), kOneSchema);
}

std::string missing_text(const ServiceDescription& client, const MethodDescription& method, const MethodTable& server) {
  const std::string name(client.name);
  if (const ServiceEntry* theirs = server.find(client.name)) {
    return "the server's method table lacks " + quoted(method) + " of " + name + ": " + both(client, *theirs);
  }
  return "the server's method table lacks " + name + "; " + offered(server);
}

}  // namespace taut::rpc
