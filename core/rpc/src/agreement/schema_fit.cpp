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
std::string both(const ServiceDescription& own, const ServiceEntry& entry, const PeerMethods& theirs) {
  return "schema " + hex(own.fingerprint) + " here, " + hex(entry.fingerprint) + " at the " + theirs.peer;
}

std::string offered(const PeerMethods& theirs) {
  std::string names;
  for (const ServiceEntry& service : theirs.table.services()) names += (names.empty() ? "" : ", ") + service.name;
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

std::optional<Error> misfit(const ServiceDescription& own, const PeerMethods& theirs, std::string_view url) {
  const std::string peer = theirs.peer, self = theirs.own, name(own.name);
  const char* const newer_peer = self == "client" ? "upgrade the server before its clients"
                                                  : "upgrade the client, or have the server ask fits() before it calls";
  const ServiceEntry* const service = theirs.table.find(own.name);
  for (const MethodDescription& method : own.methods) {
    const MethodEntry* const entry = service != nullptr ? find(*service, method.id) : nullptr;
    if (entry != nullptr && entry->name != method.name) {
      return refuse(url,
                    "id " + std::to_string(method.id) + " of " + name + " is the method '" + std::string(method.name) +
                        "' here and '" + entry->name + "' at the " + peer + " (" + both(own, *service, theirs) + ")",
                    "a method keeps its name and its id; `taut check` compares two schemas");
    }
    if (entry != nullptr && entry->kind != method.kind) {
      return refuse(url,
                    "the method " + quoted(method) + " of " + name + " is " + std::string(to_text(method.kind)) +
                        " here and " + std::string(to_text(entry->kind)) + " at the " + peer + " (" +
                        both(own, *service, theirs) + ")",
                    "a method keeps its kind: give the other kind an id of its own");
    }
    if (entry != nullptr || !method.needed) continue;
    const std::string needed = "the method " + quoted(method);
    if (service == nullptr) {
      return refuse(url,
                    "the " + peer + " offers no " + name + ", of which this " + self + " needs " + needed + "; " +
                        offered(theirs),
                    newer_peer);
    }
    return refuse(url,
                  "the " + peer + " lacks " + needed + " of " + name + ", which this " + self + " needs (" +
                      both(own, *service, theirs) + ")",
                  newer_peer);
  }
  if (!theirs.exact || (service != nullptr && service->fingerprint == own.fingerprint)) return std::nullopt;
  constexpr const char* kOneSchema = "build both sides from one schema, or leave schema=exact out";
  if (service == nullptr) {
    return refuse(url, "schema=exact, but the " + peer + " offers no " + name + "; " + offered(theirs), kOneSchema);
  }
  return refuse(url, "schema=exact, but " + name + " differs: " + both(own, *service, theirs), kOneSchema);
}

std::string missing_text(const ServiceDescription& own, const MethodDescription& method, const PeerMethods& theirs) {
  const std::string peer = theirs.peer, name(own.name);
  if (const ServiceEntry* service = theirs.table.find(own.name)) {
    return "the " + peer + "'s method table lacks " + quoted(method) + " of " + name + ": " +
           both(own, *service, theirs);
  }
  return "the " + peer + "'s method table lacks " + name + "; " + offered(theirs);
}

}  // namespace taut::rpc
