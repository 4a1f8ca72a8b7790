// taut describe: services, methods and messages of a live service or a schema file, as one would write them.
#include <algorithm>

#include "commands.h"
#include "described.h"
#include "methods.h"
#include "say.h"
#include "schema_text.h"

namespace taut::tool {
namespace {

using Attributes = flatbuffers::Vector<flatbuffers::Offset<reflection::KeyValue>>;
using Comment = flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>;

// What is to be shown, by the command's arguments.
struct Chosen {
  std::vector<std::size_t> services;
  const rpc::MethodEntry* method = nullptr;  // null: all
};

std::optional<Chosen> choose(const Described& described, const std::string& wanted, int& exit) {
  Chosen chosen;
  if (wanted.empty()) {
    for (std::size_t i = 0; i != described.services.size(); ++i) chosen.services.push_back(i);
    return chosen;
  }
  if (wanted.find('/') == std::string::npos) {
    const auto service = find_service(described.services, wanted, described.target, exit);
    if (!service) return std::nullopt;
    chosen.services.push_back(*service);
    return chosen;
  }
  const auto method = find_method(described.services, wanted, described.target, exit);
  if (!method) return std::nullopt;
  chosen.services.push_back(method->service);
  chosen.method = method->method;
  return chosen;
}

std::string value_of(const reflection::KeyValue& attribute) {
  return attribute.value() == nullptr ? "" : printable(attribute.value()->string_view());
}

// What flatc would not read without quotes.
std::string quoted_value(const std::string& value) {
  const bool plain = value.find_first_not_of("0123456789") == std::string::npos;
  return plain ? value : "\"" + value + "\"";
}

// (id: 2, idempotent): an attribute without a value is written as 0.
std::string attributes_text(const Attributes* attributes, bool required = false) {
  std::vector<std::string> parts;
  if (attributes != nullptr) {
    for (const auto* attribute : *attributes) {
      const std::string key = printable(attribute->key()->string_view()), value = value_of(*attribute);
      required = required && key != "required";
      parts.push_back(value.empty() || (value == "0" && key != "id") ? key : key + ": " + quoted_value(value));
    }
  }
  if (required) parts.emplace_back("required");
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? " (" : ", ") + part;
  return text.empty() ? "" : text + ")";
}

void print_comment(const Comment* comment, const char* indent) {
  if (comment == nullptr) return;
  for (const auto* line : *comment) fmt::print("{}///{}\n", indent, printable(line->string_view()));
}

void print_object(const reflection::Schema& schema, const reflection::Object& object) {
  fmt::print("\n");
  print_comment(object.documentation(), "");
  fmt::print("{} {} {{\n", object.is_struct() ? "struct" : "table", object.name()->str());
  for (const auto* field : live_fields(object)) {
    print_comment(field->documentation(), "  ");
    std::string value = default_text(schema, *field);
    if (value.size() > 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    const bool silent = object.is_struct() || value.empty() || value == "0" || value == "false";
    fmt::print("  {}:{}{}{};\n", field->name()->str(), type_text(schema, *field->type()), silent ? "" : " = " + value,
               attributes_text(field->attributes(), field->required()));
  }
  fmt::print("}}\n");
}

std::string number_text(const reflection::Enum& enumeration, std::int64_t value) {
  const bool is_unsigned = enumeration.underlying_type()->base_type() == reflection::ULong;
  return is_unsigned ? std::to_string(static_cast<std::uint64_t>(value)) : std::to_string(value);
}

void print_enum(const reflection::Enum& enumeration) {
  fmt::print("\n");
  print_comment(enumeration.documentation(), "");
  std::string values;
  for (const auto* value : *enumeration.values()) {
    if (enumeration.is_union() && value->value() == 0) continue;  // none
    values += (values.empty() ? " " : ", ") + value->name()->str();
    if (!enumeration.is_union()) values += " = " + number_text(enumeration, value->value());
  }
  fmt::print("{} {}{}{} {{{} }}\n", enumeration.is_union() ? "union" : "enum", enumeration.name()->str(),
             enumeration.is_union() ? "" : std::string(":") + scalar_text(enumeration.underlying_type()->base_type()),
             attributes_text(enumeration.attributes()), values);
}

const reflection::Service* service_named(const reflection::Schema& schema, std::string_view name) {
  if (schema.services() == nullptr) return nullptr;
  for (const auto* service : *schema.services()) {
    if (service->name()->string_view() == name) return service;
  }
  return nullptr;
}

// One service with the schema that describes it, and the types that its chosen methods need.
struct Part {
  const rpc::ServiceEntry* entry = nullptr;
  const reflection::Schema* schema = nullptr;
  std::vector<const rpc::MethodEntry*> methods;
  Types types;
};

std::optional<Part> part_of(const Described& described, std::size_t service, const Chosen& chosen, int& exit) {
  Part part;
  part.entry = &described.services[service];
  const auto schema = check_schema(described.schemas[service], "the schema of " + part.entry->name);
  if (!schema) {
    exit = fail(kOther, "{}", schema.error().what());
    return std::nullopt;
  }
  part.schema = *schema;
  for (const auto& method : part.entry->methods) {
    if (chosen.method != nullptr && chosen.method != &method) continue;
    const auto* call = call_named(*part.schema, part.entry->name, method.name);
    const auto* request = call == nullptr ? nullptr : table_named(*part.schema, call->request()->name()->string_view());
    const auto* reply = call == nullptr ? nullptr : table_named(*part.schema, call->response()->name()->string_view());
    if (request == nullptr || reply == nullptr) {
      exit = fail(kOther, "the schema of {} does not hold {}/{}, which its server offers", part.entry->name,
                  part.entry->name, method.name);
      return std::nullopt;
    }
    part.methods.push_back(&method);
    part.types.add(*part.schema, *request);
    part.types.add(*part.schema, *reply);
  }
  return part;
}

void print_part(const Described& described, const Part& part) {
  fmt::print("\n");
  const auto* service = service_named(*part.schema, part.entry->name);
  if (service != nullptr) print_comment(service->documentation(), "");
  if (described.has_fingerprints) fmt::print("// fingerprint {:016x}\n", part.entry->fingerprint);
  fmt::print("rpc_service {} {{\n", part.entry->name);
  for (const auto* method : part.methods) {
    const auto& call = *call_named(*part.schema, part.entry->name, method->name);
    print_comment(call.documentation(), "  ");
    fmt::print("  {}({}):{}{};\n", method->name, call.request()->name()->str(), call.response()->name()->str(),
               attributes_text(call.attributes()));
  }
  fmt::print("}}\n");
  for (const auto* object : part.types.objects) print_object(*part.schema, *object);
  for (const auto* enumeration : part.types.enums) print_enum(*enumeration);
}

// taut.describe/1

std::string comment_json(const Comment* comment) {
  std::string text;
  for (unsigned i = 0; comment != nullptr && i != comment->size(); ++i) {
    text += (i == 0 ? "" : "\n") + comment->Get(i)->str();
  }
  return json_text(text);
}

std::string attributes_json(const Attributes* attributes) {
  std::string text;
  for (unsigned i = 0; attributes != nullptr && i != attributes->size(); ++i) {
    const auto* attribute = attributes->Get(i);
    text += (i == 0 ? "" : ",") + json_text(attribute->key()->string_view()) + ":" + json_text(value_of(*attribute));
  }
  return "{" + text + "}";
}

std::string object_json(const reflection::Schema& schema, const reflection::Object& object) {
  std::string fields;
  for (const auto* field : live_fields(object)) {
    const std::string value = default_text(schema, *field);
    fields +=
        fmt::format("{}{{\"name\":{},\"type\":{},\"default\":{},\"required\":{},\"attributes\":{},\"comment\":{}}}",
                    fields.empty() ? "" : ",", json_text(field->name()->string_view()),
                    json_text(type_text(schema, *field->type())), value.empty() ? "null" : value, field->required(),
                    attributes_json(field->attributes()), comment_json(field->documentation()));
  }
  return fmt::format("{{\"name\":{},\"kind\":\"{}\",\"comment\":{},\"fields\":[{}]}}",
                     json_text(object.name()->string_view()), object.is_struct() ? "struct" : "table",
                     comment_json(object.documentation()), fields);
}

std::string enum_json(const reflection::Enum& enumeration) {
  std::string values;
  for (const auto* value : *enumeration.values()) {
    values += fmt::format("{}{{\"name\":{},\"value\":{}}}", values.empty() ? "" : ",",
                          json_text(value->name()->string_view()), number_text(enumeration, value->value()));
  }
  return fmt::format("{{\"name\":{},\"kind\":\"{}\",\"comment\":{},\"values\":[{}]}}",
                     json_text(enumeration.name()->string_view()), enumeration.is_union() ? "union" : "enum",
                     comment_json(enumeration.documentation()), values);
}

std::string part_json(const Described& described, const Part& part) {
  std::string methods, types;
  for (const auto* method : part.methods) {
    const auto& call = *call_named(*part.schema, part.entry->name, method->name);
    methods += fmt::format(
        "{}{{\"name\":{},\"id\":{},\"index\":{},\"kind\":\"{}\",\"request\":{},\"reply\":{},\"attributes\":{},"
        "\"comment\":{}}}",
        methods.empty() ? "" : ",", json_text(method->name), method->id,
        part.entry->first_index + (method - part.entry->methods.data()), rpc::to_text(kind_of(call)),
        json_text(call.request()->name()->string_view()), json_text(call.response()->name()->string_view()),
        attributes_json(call.attributes()), comment_json(call.documentation()));
  }
  for (const auto* object : part.types.objects) {
    types += (types.empty() ? "" : ",") + object_json(*part.schema, *object);
  }
  for (const auto* enumeration : part.types.enums) types += (types.empty() ? "" : ",") + enum_json(*enumeration);
  const std::string fingerprint =
      described.has_fingerprints ? fmt::format("\"{:016x}\"", part.entry->fingerprint) : "null";
  return fmt::format("{{\"name\":{},\"fingerprint\":{},\"methods\":[{}],\"types\":[{}]}}", json_text(part.entry->name),
                     fingerprint, methods, types);
}

int print_template(const Described& described, const Chosen& chosen, bool json) {
  int exit = kFine;
  const auto part = part_of(described, chosen.services[0], chosen, exit);
  if (!part) return exit;
  const auto& call = *call_named(*part->schema, part->entry->name, chosen.method->name);
  const std::string request =
      template_of(*part->schema, *table_named(*part->schema, call.request()->name()->string_view()));
  if (json) {
    fmt::print("{{\"schema\":\"taut.describe/1\",\"target\":{},\"method\":{},\"template\":{}}}\n",
               json_text(described.target), json_text(part->entry->name + "/" + chosen.method->name), request);
  } else {
    fmt::print("{}\n", request);
  }
  return kFine;
}

}  // namespace

int describe(const DescribeOptions& options) {
  int exit = kFine;
  const auto described = is_schema_file(options.target) ? described_by_file(options.target, exit)
                                                        : described_by_service(options.target, exit);
  if (!described) return exit;
  const auto chosen = choose(*described, options.method, exit);
  if (!chosen) return exit;
  if (!described->note.empty()) fmt::print(stderr, "note: {}\n", described->note);
  if (options.as_template) {
    if (chosen->method != nullptr) return print_template(*described, *chosen, options.json);
    return fail(kUsage, "--template needs Service/Method; {} offers: {}", described->target,
                everything_of(described->services));
  }
  std::vector<Part> parts;
  for (const std::size_t service : chosen->services) {
    auto part = part_of(*described, service, *chosen, exit);
    if (!part) return exit;
    parts.push_back(*std::move(part));
  }
  if (options.json) {
    std::string services;
    for (const Part& part : parts) services += (services.empty() ? "" : ",") + part_json(*described, part);
    fmt::print("{{\"schema\":\"taut.describe/1\",\"target\":{},\"server_pid\":{},\"services\":[{}]}}\n",
               json_text(described->target), described->pid == 0 ? "null" : std::to_string(described->pid), services);
    return kFine;
  }
  fmt::print("// {}{}\n", described->target,
             described->pid == 0 ? "" : fmt::format(", served by process {}", described->pid));
  if (parts.empty()) fmt::print("// it has no service\n");
  for (const Part& part : parts) print_part(*described, part);
  return kFine;
}

}  // namespace taut::tool
