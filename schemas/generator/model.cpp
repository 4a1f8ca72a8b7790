#include "model.h"

#include <algorithm>

#include "lines.h"

namespace gen {
namespace {

using reflection::BaseType;

std::vector<std::string> strings(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* from) {
  std::vector<std::string> result;
  if (from != nullptr) {
    for (const auto* text : *from) result.push_back(text->str());
  }
  return result;
}

Attributes attributes(const flatbuffers::Vector<flatbuffers::Offset<reflection::KeyValue>>* from) {
  Attributes result;
  if (from != nullptr) {
    for (const auto* pair : *from) result[pair->key()->str()] = pair->value() != nullptr ? pair->value()->str() : "";
  }
  return result;
}

// `//greeter.fbs` stands for a file beside the own one. flatc leaves the name out when it was called in the file's
// folder.
std::string path_of(const flatbuffers::String* declared, const std::string& own_file) {
  std::string name = declared != nullptr ? declared->str() : "";
  if (name.empty()) return own_file;
  if (name.rfind("//", 0) == 0) name.erase(0, 2);
  const auto slash = own_file.rfind('/');
  return slash == std::string::npos ? name : own_file.substr(0, slash + 1) + name;
}

void read_type(const reflection::Schema& schema, const reflection::Type& type, Field& field) {
  const auto points_to_struct = [&] { return schema.objects()->Get(static_cast<unsigned>(type.index()))->is_struct(); };
  field.index = type.index();
  field.base = type.base_type();
  switch (type.base_type()) {
    case reflection::String:
      field.kind = Kind::string;
      return;
    case reflection::Obj:
      field.kind = points_to_struct() ? Kind::structure : Kind::table;
      return;
    case reflection::Vector:
      field.base = type.element();
      if (type.element() == reflection::String) {
        field.kind = Kind::strings;
      } else if (type.element() == reflection::Obj) {
        field.kind = points_to_struct() ? Kind::structures : Kind::tables;
      } else if (type.element() == reflection::UType) {
        return;
      } else if (is_scalar(type.element())) {
        field.kind = Kind::scalars;
      } else {
        field.unsupported = "a vector of unions";
      }
      return;
    case reflection::Array:
      field.base = type.element();
      field.array = type.fixed_length();
      field.kind = type.element() == reflection::Obj ? Kind::structure : Kind::scalar;
      return;
    case reflection::UType:
      return;  // made by flatc beside a union, which is what gets refused
    case reflection::Union:
      field.unsupported = "a union";
      return;
    default:
      field.kind = Kind::scalar;
  }
}

void read_field(const reflection::Schema& schema, const reflection::Field& from, Field& field) {
  field.name = from.name()->str();
  field.id = from.id();
  field.struct_offset = from.offset();
  field.default_integer = from.default_integer();
  field.default_real = from.default_real();
  field.required = from.required();
  field.nullable = from.optional() && is_scalar(from.type()->base_type());
  field.deprecated = from.deprecated();
  field.attributes = attributes(from.attributes());
  field.optional = field.attributes.count("optional") != 0;
  field.documentation = strings(from.documentation());
  read_type(schema, *from.type(), field);
  for (const char* attribute : {"nested_flatbuffer", "flexbuffer", "shared"}) {
    if (field.attributes.count(attribute) != 0) field.unsupported = std::string("marked (") + attribute + ")";
  }
}

// Does a default, as the schema spells it, stand for 0?
bool is_zero(const Model& model, const Field& field, const std::string& spelt) {
  if (field.index < 0) return spelt.find_first_not_of("0xX") == std::string::npos;
  const auto& values = model.enums[static_cast<std::size_t>(field.index)].values;
  return std::any_of(values.begin(), values.end(),
                     [&](const EnumValue& v) { return v.value == 0 && (v.name == spelt || spelt == "0"); });
}

}  // namespace

bool Object::constant() const {
  return std::none_of(fields.begin(), fields.end(), [](const Field& f) { return !f.deprecated && f.is_part(); });
}

std::string cpp_name(std::string_view schema_name) {
  std::string result;
  for (const char c : schema_name) {
    if (c == '.') {
      result += "::";
    } else {
      result += c;
    }
  }
  return result;
}

std::string last_name(std::string_view schema_name) {
  const auto dot = schema_name.rfind('.');
  return std::string(dot == std::string_view::npos ? schema_name : schema_name.substr(dot + 1));
}

std::string name_space(std::string_view schema_name) {
  const auto dot = schema_name.rfind('.');
  return std::string(dot == std::string_view::npos ? std::string_view{} : schema_name.substr(0, dot));
}

bool is_scalar(BaseType base) { return base >= reflection::UType && base <= reflection::Double; }

bool is_signed(BaseType base) {
  return base == reflection::Byte || base == reflection::Short || base == reflection::Int || base == reflection::Long;
}

std::uint32_t scalar_bytes(BaseType base) {
  switch (base) {
    case reflection::UType:
    case reflection::Bool:
    case reflection::Byte:
    case reflection::UByte:
      return 1;
    case reflection::Short:
    case reflection::UShort:
      return 2;
    case reflection::Int:
    case reflection::UInt:
    case reflection::Float:
      return 4;
    default:
      return 8;
  }
}

const char* to_text(CallKind kind) {
  static constexpr const char* kNames[] = {"unary", "oneway", "server_stream", "client_stream", "both_ways"};
  return kNames[static_cast<std::size_t>(kind)];
}

Model read_model(const reflection::Schema& schema, const std::string& own_file) {
  Model model;
  Lines lines;
  const auto is_own = [&](const flatbuffers::String* declared) { return path_of(declared, own_file) == own_file; };

  for (const auto* from : *schema.enums()) {
    Enum result;
    result.name = from->name()->str();
    result.underlying = from->underlying_type()->base_type();
    result.is_union = from->is_union();
    result.flags = attributes(from->attributes()).count("bit_flags") != 0;
    result.own = is_own(from->declaration_file());
    result.where.file = path_of(from->declaration_file(), own_file);
    result.where.line = lines.of(result.where.file, last_name(result.name), "");
    for (const auto* from_value : *from->values()) {
      EnumValue value{from_value->name()->str(), from_value->value(), -1, result.where};
      const auto* type = from_value->union_type();
      if (type != nullptr && type->base_type() == reflection::Obj) value.object = type->index();
      if (const int line = lines.of_value(result.where.file, last_name(result.name), value.name); line != 0)
        value.where.line = line;
      result.values.push_back(std::move(value));
    }
    model.enums.push_back(std::move(result));
  }

  for (const auto* from : *schema.objects()) {
    Object result;
    result.name = from->name()->str();
    result.is_struct = from->is_struct();
    result.own = is_own(from->declaration_file());
    result.struct_bytes = static_cast<std::uint32_t>(from->bytesize());
    result.struct_align = static_cast<std::uint32_t>(from->minalign());
    result.documentation = strings(from->documentation());
    result.where.file = path_of(from->declaration_file(), own_file);
    result.where.line = lines.of(result.where.file, last_name(result.name), "");
    for (const auto* field_from : *from->fields()) {
      Field field;
      read_field(schema, *field_from, field);
      field.where.file = result.where.file;
      field.where.line = lines.of(result.where.file, last_name(result.name), field.name);
      if (field.kind == Kind::scalar && field.base == reflection::ULong && field.default_integer == 0 &&
          !field.nullable) {
        const std::string spelt = lines.default_of(result.where.file, last_name(result.name), field.name);
        if (!spelt.empty() && !is_zero(model, field, spelt)) field.lost_default = spelt;
      }
      result.fields.push_back(std::move(field));
    }
    std::sort(result.fields.begin(), result.fields.end(), [](const Field& a, const Field& b) { return a.id < b.id; });
    model.objects.push_back(std::move(result));
  }

  const auto object_index = [&](const reflection::Object* wanted) {
    for (std::size_t i = 0; i != model.objects.size(); ++i) {
      if (model.objects[i].name == wanted->name()->string_view()) return static_cast<int>(i);
    }
    return -1;
  };
  if (schema.services() != nullptr) {
    for (const auto* from : *schema.services()) {
      Service result;
      result.name = from->name()->str();
      result.own = is_own(from->declaration_file());
      result.documentation = strings(from->documentation());
      result.where.file = path_of(from->declaration_file(), own_file);
      if (from->calls() != nullptr) {
        for (const auto* call : *from->calls()) {
          Method method;
          method.name = call->name()->str();
          method.request = object_index(call->request());
          method.reply = object_index(call->response());
          method.attributes = attributes(call->attributes());
          method.documentation = strings(call->documentation());
          method.where.file = result.where.file;
          result.methods.push_back(std::move(method));
        }
      }
      model.services.push_back(std::move(result));
    }
  }
  for (Service& service : model.services) lines.place(service);

  model.files.push_back(own_file);
  if (schema.fbs_files() != nullptr) {
    for (const auto* file : *schema.fbs_files()) {
      const std::string path = path_of(file->filename(), own_file);
      if (path == own_file) continue;
      model.files.push_back(path);
      std::string name = file->filename()->str();
      name = name.substr(name.rfind('/') + 1);
      model.includes.push_back(name.substr(0, name.rfind('.')));
    }
  }
  return model;
}

}  // namespace gen
