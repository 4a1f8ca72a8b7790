#include "schema_model.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "flatbuffers/idl.h"
#include "flatbuffers/reflection.h"
#include "patience.h"
#include "rules.h"
#include "say.h"
#include "taut/rpc/url.h"
#include "taut/shm/describe.h"
#include "taut/taut.h"

namespace taut::tool {
namespace {

using std::filesystem::path;

std::optional<std::string> read_file(const std::string& name, int& exit) {
  std::error_code is_no_file;
  std::ifstream file;
  errno = 0;
  if (std::filesystem::is_directory(name, is_no_file)) {
    errno = EISDIR;
  } else {
    file.open(name, std::ios::binary);
  }
  if (!file.is_open()) {
    exit = fail(errno == EACCES ? kNotPermitted : kNotFound, "{} cannot be read: {}", name, std::strerror(errno));
    return std::nullopt;
  }
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// "desk.fbs:3: 12: error: ..." and more lines -> "desk.fbs:3: ..."
std::string first_error(std::string text) {
  text = text.substr(0, text.find('\n'));
  const auto error = text.find(": error: ");
  const auto column = error == std::string::npos ? error : text.rfind(": ", error - 1);
  return column == std::string::npos ? text : text.substr(0, column) + ": " + text.substr(error + 9);
}

// As `flatc --binary --schema --bfbs-builtins` compiles it.
std::optional<std::string> compile(const SchemaSource& source, const std::string& text, int& exit) {
  const std::string folder = path(source.name).parent_path().string();
  flatbuffers::IDLOptions options;
  options.binary_schema_builtins = true;
  options.project_root = folder.empty() ? "." : folder;
  flatbuffers::Parser parser(options);
  std::vector<const char*> includes{options.project_root.c_str()};
  for (const std::string& include : source.includes) includes.push_back(include.c_str());
  includes.push_back(nullptr);
  if (!parser.Parse(text.c_str(), includes.data(), source.name.c_str())) {
    exit = fail(kUsage, "{}", first_error(parser.error_));
    return std::nullopt;
  }
  parser.Serialize();
  const auto* begin = reinterpret_cast<const char*>(parser.builder_.GetBufferPointer());
  return std::string(begin, parser.builder_.GetSize());
}

bool holds_service_of(const gen::Model& like, const std::string& name) {
  return std::any_of(like.services.begin(), like.services.end(),
                     [&](const gen::Service& one) { return one.own && one.name == name; });
}

std::optional<std::string> ask(const SchemaSource& source, const gen::Model* like, int& exit) {
  const auto url = rpc::Url::parse(source.name);
  if (!url || url->scheme != "shm") {
    exit = fail(kUsage, "{} is neither FILE.fbs, FILE.bfbs nor shm://NAME", source.name);
    return std::nullopt;
  }
  const auto described = shm::describe(url->rest, kPatience);
  if (!described) {
    exit = report(described.error());
    return std::nullopt;
  }
  std::string offered;
  for (std::size_t i = 0; i != described->schemas.size(); ++i) {
    const std::string& name = described->methods.services()[i].name;
    const auto& schema = described->schemas[i];
    if (like == nullptr || holds_service_of(*like, name))
      return std::string(reinterpret_cast<const char*>(schema.data()), schema.size());
    offered += (offered.empty() ? "" : ", ") + name;
  }
  exit = fail(kNotFound, "{} offers no service of the new schema; it offers: {}", source.name,
              offered.empty() ? "none" : offered);
  return std::nullopt;
}

// Methods are compared by their ids. Other faults of a schema are taut-gen's to find.
bool has_ids(const gen::Model& model, int& exit) {
  for (const gen::Service& service : model.services) {
    if (!service.own) continue;
    const gen::Method* last = nullptr;
    for (const gen::Method& method : service.methods) {  // in order of id
      const bool twice = last != nullptr && last->has_id && last->id == method.id;
      if (!method.has_id || twice) {
        exit = fail(kUsage, "{}:{}: method '{}' has {}; methods are compared by id", method.where.file,
                    method.where.line, method.name, twice ? "the id of '" + last->name + "'" : "no id");
        return false;
      }
      last = &method;
    }
  }
  return true;
}

}  // namespace

std::optional<gen::Model> read_schema_model(const SchemaSource& source, const gen::Model* like, int& exit) {
  const std::string extension = path(source.name).extension().string();
  const bool live = source.name.find("://") != std::string::npos;
  auto bytes = live ? ask(source, like, exit) : read_file(source.name, exit);
  if (bytes && !live && extension != ".bfbs") bytes = compile(source, *bytes, exit);
  if (!bytes) return std::nullopt;
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes->data());
  flatbuffers::Verifier verifier(data, bytes->size());
  if (bytes->empty() || !reflection::VerifySchemaBuffer(verifier)) {
    exit = fail(kUsage, "{} is no binary schema; make it with flatc --binary --schema --bfbs-builtins", source.name);
    return std::nullopt;
  }
  gen::Model model = gen::read_model(*reflection::GetSchema(data), source.name);
  // A binary schema does not say which of its files it was made of.
  for (gen::Service& service : model.services) service.own |= live || extension == ".bfbs";
  (void)gen::check(model);
  if (!has_ids(model, exit)) return std::nullopt;
  return model;
}

}  // namespace taut::tool
