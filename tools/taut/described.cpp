#include "described.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "flatbuffers/idl.h"
#include "patience.h"
#include "say.h"
#include "schema.h"
#include "schema_check.h"
#include "taut/rpc/url.h"
#include "taut/shm/describe.h"
#include "taut/shm/observe.h"
#include "taut/taut.h"

namespace taut::tool {
namespace {

// The value of `(id: N)`; schemas that were written without built-in attributes do not have it.
std::optional<std::uint16_t> id_of(const reflection::RPCCall& call) {
  if (call.attributes() == nullptr) return std::nullopt;
  for (const auto* attribute : *call.attributes()) {
    if (attribute->key()->string_view() != "id" || attribute->value() == nullptr) continue;
    const auto text = attribute->value()->string_view();
    std::uint16_t id = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), id).ec == std::errc()) return id;
  }
  return std::nullopt;
}

// Methods in order of their ids, as a server numbers them.
std::vector<rpc::ServiceEntry> services_of(const reflection::Schema& schema) {
  std::vector<rpc::ServiceEntry> services;
  if (schema.services() == nullptr) return services;
  std::uint16_t index = 0;
  for (const auto* service : *schema.services()) {
    rpc::ServiceEntry& entry = services.emplace_back();
    entry.name = service->name()->str();
    entry.first_index = index;
    if (service->calls() == nullptr) continue;
    for (const auto* call : *service->calls()) entry.methods.push_back({call->name()->str(), id_of(*call).value_or(0)});
    std::stable_sort(entry.methods.begin(), entry.methods.end(),
                     [](const auto& a, const auto& b) { return a.id < b.id; });
    index = static_cast<std::uint16_t>(index + entry.methods.size());
  }
  return services;
}

std::optional<std::vector<std::byte>> compile(const std::string& path, const std::string& text, int& exit) {
  flatbuffers::IDLOptions options;
  options.binary_schema_builtins = true;
  options.binary_schema_comments = true;
  flatbuffers::Parser parser(options);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const char* include_folders[] = {folder.empty() ? "." : folder.c_str(), nullptr};
  if (!parser.Parse(text.c_str(), include_folders, path.c_str())) {
    exit = fail(kUsage, "{} is no schema: {}", path, parser.error_.substr(0, parser.error_.find('\n')));
    return std::nullopt;
  }
  parser.Serialize();
  const auto* begin = reinterpret_cast<const std::byte*>(parser.builder_.GetBufferPointer());
  return std::vector<std::byte>(begin, begin + parser.builder_.GetSize());
}

// A server that does not answer is described by the file that it made when it began to listen.
std::optional<Described> from_memory(const std::string& service, const Error& why, int& exit) {
  for (const shm::Holder& holder : shm::holders_of(service)) {
    if (!holder.serves) continue;
    auto found = shm::observe_description(holder.pid, service);
    if (!found || !found->described) continue;
    const auto entries = found->methods.services();
    return Described{"shm://" + service,
                     holder.pid,
                     fmt::format("{}; read from the memory of process {}", why.what(), holder.pid),
                     {entries.begin(), entries.end()},
                     true,
                     std::move(found->schemas)};
  }
  exit = report(why);
  return std::nullopt;
}

}  // namespace

bool is_schema_file(const std::string& target) { return target.ends_with(".fbs") || target.ends_with(".bfbs"); }

std::optional<Described> described_by_file(const std::string& path, int& exit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    exit = fail(errno == EACCES ? kNotPermitted : kNotFound, "{} cannot be read: {}", path, std::strerror(errno));
    return std::nullopt;
  }
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::vector<std::byte> binary;
  if (path.ends_with(".bfbs")) {
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    binary.assign(begin, begin + text.size());
  } else if (auto compiled = compile(path, text, exit)) {
    binary = *std::move(compiled);
  } else {
    return std::nullopt;
  }
  const auto schema = check_schema(binary, path);
  if (!schema) {
    exit = fail(kUsage, "{}", schema.error().what());
    return std::nullopt;
  }
  Described described;
  described.target = path;
  described.services = services_of(**schema);
  described.schemas.assign(std::max<std::size_t>(described.services.size(), 1), binary);
  return described;
}

std::optional<Described> described_by_service(const std::string& target, int& exit) {
  const auto url = rpc::Url::parse(target);
  if (!url) {
    report(url.error());
    exit = kUsage;
    return std::nullopt;
  }
  if (url->scheme != "shm") {
    exit = fail(kUsage, "{}: this version describes shm:// and files of schemas (.fbs, .bfbs) only", target);
    return std::nullopt;
  }
  auto asked = shm::describe(url->rest, kPatience);
  if (!asked && asked.error().code() == Code::deadline_exceeded) return from_memory(url->rest, asked.error(), exit);
  if (!asked) {
    exit = report(asked.error());
    return std::nullopt;
  }
  const auto entries = asked->methods.services();
  return Described{asked->url, asked->pid, {}, {entries.begin(), entries.end()}, true, std::move(asked->schemas)};
}

const reflection::RPCCall* call_named(const reflection::Schema& schema, std::string_view service,
                                      std::string_view method) {
  if (schema.services() == nullptr) return nullptr;
  for (const auto* found : *schema.services()) {
    if (found->name()->string_view() != service || found->calls() == nullptr) continue;
    for (const auto* call : *found->calls()) {
      if (call->name()->string_view() == method) return call;
    }
  }
  return nullptr;
}

}  // namespace taut::tool
