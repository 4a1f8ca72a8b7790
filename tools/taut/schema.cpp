#include "schema.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "flatbuffers/idl.h"
#include "flatbuffers/reflection.h"
#include "say.h"
#include "schema_check.h"

namespace taut::tool {
namespace {

const std::uint8_t* bytes_of(std::span<const std::byte> bytes) noexcept {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

flatbuffers::IDLOptions options() {
  flatbuffers::IDLOptions options;
  options.strict_json = true;
  options.output_default_scalars_in_json = true;
  options.indent_step = -1;
  return options;
}

// "1: 7: error: expecting ..." with the place in words, and without what may follow on further lines.
std::string place_in_words(const std::string& text) {
  unsigned line = 0, column = 0;
  int bytes = 0;
  const std::string first = text.substr(0, text.find('\n'));
  if (std::sscanf(first.c_str(), "%u: %u: error: %n", &line, &column, &bytes) != 2 || bytes == 0) return first;
  return fmt::format("line {}, column {}: {}", line, column, first.substr(static_cast<std::size_t>(bytes)));
}

// As the parser's own list, in the order of the ids.
std::vector<const reflection::Field*> fields_of(const reflection::Object& table) {
  std::vector<const reflection::Field*> fields;
  for (const auto* field : *table.fields()) {
    if (!field->deprecated()) fields.push_back(field);
  }
  std::sort(fields.begin(), fields.end(), [](const auto* a, const auto* b) { return a->id() < b->id(); });
  return fields;
}

}  // namespace

struct Schema::Parts {
  std::vector<std::byte> binary;
  flatbuffers::Parser parser{options()};
  [[nodiscard]] const reflection::Schema& root() const noexcept { return *reflection::GetSchema(binary.data()); }
};

Schema::Schema(std::unique_ptr<Parts> parts) noexcept : parts_(std::move(parts)) {}
Schema::Schema(Schema&&) noexcept = default;
Schema::~Schema() = default;

Result<Schema> Schema::of(std::span<const std::byte> binary, std::string_view whose) {
  const int whose_bytes = static_cast<int>(whose.size());
  auto parts = std::make_unique<Parts>();
  parts->binary.assign(binary.begin(), binary.end());
  if (const auto checked = check_schema(parts->binary, whose); !checked) return checked.error();
  if (!parts->parser.Deserialize(bytes_of(parts->binary), parts->binary.size())) {
    return make_error(Code::failed_precondition, 0, {}, "%.*s is not what this tool's FlatBuffers can read",
                      whose_bytes, whose.data());
  }
  return Schema(std::move(parts));
}

Result<SchemaMethod> Schema::method(std::string_view service, std::string_view method) const {
  const auto* services = parts_->root().services();
  for (unsigned i = 0; services != nullptr && i != services->size(); ++i) {
    const auto* calls = services->Get(i)->calls();
    if (services->Get(i)->name()->string_view() != service || calls == nullptr) continue;
    for (const auto* call : *calls) {
      if (call->name()->string_view() != method) continue;
      SchemaMethod found{call->request()->name()->str(), call->response()->name()->str()};
      found.kind = kind_of(*call);
      found.urgent = attribute_named(*call, "urgent") != nullptr;
      return found;
    }
  }
  return make_error(Code::failed_precondition, 0, {}, "the schema of %.*s does not hold %.*s, which its server offers",
                    static_cast<int>(service.size()), service.data(), static_cast<int>(method.size()), method.data());
}

std::vector<std::string> Schema::fields(const std::string& table) const {
  std::vector<std::string> names;
  if (const auto* object = table_named(parts_->root(), table)) {
    for (const auto* field : fields_of(*object)) names.push_back(field->name()->str());
  }
  return names;
}

Result<std::vector<std::byte>> Schema::message(const std::string& table, const std::string& json) {
  flatbuffers::Parser& parser = parts_->parser;
  parser.SetRootType(table.c_str());
  if (!parser.ParseJson(json.c_str())) {
    return make_error(Code::invalid_argument, 0, {}, "%s", place_in_words(parser.error_).c_str());
  }
  const auto* begin = reinterpret_cast<const std::byte*>(parser.builder_.GetBufferPointer());
  return std::vector<std::byte>(begin, begin + parser.builder_.GetSize());
}

Result<std::string> Schema::json_of_values(const std::string& table, std::span<const std::string> values) const {
  const auto* object = table_named(parts_->root(), table);
  if (object == nullptr) return make_error(Code::internal, 0, {}, "the schema lacks the table %s", table.c_str());
  const auto fields = fields_of(*object);
  if (values.size() > fields.size()) {
    std::string names;
    for (const auto* field : fields) names += (names.empty() ? "" : ", ") + field->name()->str();
    return make_error(Code::invalid_argument, 0, {}, "%zu values for the %zu fields of %s: %s", values.size(),
                      fields.size(), table.c_str(), names.empty() ? "it has none" : names.c_str());
  }
  std::string json = "{";
  for (std::size_t i = 0; i != values.size(); ++i) {
    const auto type = fields[i]->type()->base_type();
    const bool is_number = type <= reflection::Double && !values[i].empty() &&
                           (std::isdigit(static_cast<unsigned char>(values[i].front())) || values[i].front() == '-' ||
                            values[i] == "true" || values[i] == "false");
    if (type <= reflection::Double && !is_number && fields[i]->type()->index() < 0) {
      return make_error(Code::invalid_argument, 0, {}, "%s wants a number, not '%s'", fields[i]->name()->c_str(),
                        values[i].c_str());
    }
    // Names of enum values and texts are quoted; lists and objects are JSON as they stand.
    const bool as_it_stands = is_number || (type > reflection::String);
    json += (i == 0 ? "" : ", ") + json_text(fields[i]->name()->string_view()) + ": " +
            (as_it_stands ? values[i] : json_text(values[i]));
  }
  return json + "}";
}

Result<std::string> Schema::json(const std::string& table, std::span<const std::byte> message) {
  const auto* object = table_named(parts_->root(), table);
  // The verifier asks for alignment, which bytes that came by socket or file need not have.
  std::vector<std::byte> aligned(message.begin(), message.end());
  if (object == nullptr || !flatbuffers::Verify(parts_->root(), *object, bytes_of(aligned), aligned.size())) {
    return make_error(Code::internal, 0, {}, "the reply is not a valid %s", table.c_str());
  }
  parts_->parser.SetRootType(table.c_str());
  std::string text;
  if (!flatbuffers::GenerateText(parts_->parser, aligned.data(), &text)) {
    return make_error(Code::internal, 0, {}, "a text in the %s is not UTF-8", table.c_str());
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace taut::tool
