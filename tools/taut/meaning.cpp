#include "meaning.h"

#include <algorithm>

#include "described.h"
#include "say.h"

namespace taut::tool {

void Meaning::add(const std::string& service, std::span<const rpc::ServiceEntry> entries,
                  std::vector<std::vector<std::byte>> schemas) {
  if (services_.contains(service)) return;
  Known& known = services_[service];
  known.schemas = std::move(schemas);
  for (std::size_t i = 0; i != entries.size(); ++i) {
    const auto schema = check_schema(known.schemas[i], "the schema of " + entries[i].name);
    for (const rpc::MethodEntry& method : entries[i].methods) {
      Entry& entry = known.methods.emplace_back();
      entry.name = entries[i].name + "/" + method.name;
      if (!schema) {
        entry.trouble = schema.error().what();
        continue;
      }
      const auto* call = call_named(**schema, entries[i].name, method.name);
      if (call == nullptr) {
        entry.trouble = "the schema does not hold " + entry.name;
        continue;
      }
      // By name: the tables behind the call are copies of those in the list, and only the list was checked.
      entry.schema = *schema;
      entry.request = table_named(**schema, call->request()->name()->string_view());
      entry.reply = table_named(**schema, call->response()->name()->string_view());
    }
  }
}

std::string Meaning::method(const std::string& service, std::uint64_t index) const {
  const auto known = services_.find(service);
  if (known == services_.end() || index >= known->second.methods.size()) return fmt::format("method {}", index);
  return known->second.methods[index].name;
}

std::string Meaning::method(const std::string& service, const shm::ObservedRecord& record) const {
  return record.of_server ? fmt::format("method {} of the client", *record.method) : method(service, *record.method);
}

Shown Meaning::payload(const std::string& service, const shm::ObservedRecord& record,
                       const DecodeLimits& limits) const {
  const auto without = [](std::string why) { return Shown{{}, false, std::move(why)}; };
  const auto known = services_.find(service);
  if (known == services_.end()) return without("the schema of " + service + " was not found");
  if (record.of_server) return without("the server calls its client, whose schemas are not read");
  if (!record.method) return without("the request of this answer is overwritten, so its method is not known");
  if (*record.method >= known->second.methods.size()) return without("there is no such method");
  const Entry& entry = known->second.methods[*record.method];
  const bool request = record.head.kind() == ring::Kind::request;
  const reflection::Object* table = request ? entry.request : entry.reply;
  if (!entry.trouble.empty() || table == nullptr || table->is_struct()) {
    return without(entry.trouble.empty() ? "the schema has no table for it" : entry.trouble);
  }
  if (record.piece) {
    return without(fmt::format("a piece, from byte {} of a message of {}", record.piece->offset, record.piece->total));
  }
  if (record.extensions == ring::extension::arena) return without("it lies in its sender's arena, which is not read");
  if (record.extensions != 0) return without("its header has extensions that this tool does not know");
  if (record.payload.size() != record.payload_bytes) return without("it is too long to be copied whole");
  auto decoded = decode(*entry.schema, *table, record.payload, limits);
  if (!decoded) return without(std::string(decoded.error().what()));
  return {std::move(decoded->json), decoded->cut, {}};
}

std::string hex(std::span<const std::byte> bytes, std::size_t most, std::size_t all) {
  std::string text;
  for (const std::byte byte : bytes.first(std::min(most, bytes.size()))) {
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", std::to_integer<unsigned>(byte));
  }
  if (all > most) text += fmt::format(" ... ({} bytes)", all);
  return text.empty() ? "(empty)" : text;
}

}  // namespace taut::tool
