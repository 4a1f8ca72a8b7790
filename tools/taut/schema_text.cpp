#include "schema_text.h"

#include <algorithm>

#include "say.h"

namespace taut::tool {
namespace {

using reflection::BaseType;

const reflection::Object& object_of(const reflection::Schema& schema, const reflection::Type& type) {
  return *schema.objects()->Get(static_cast<unsigned>(type.index()));
}
const reflection::Enum& enum_of(const reflection::Schema& schema, const reflection::Type& type) {
  return *schema.enums()->Get(static_cast<unsigned>(type.index()));
}

std::string single_text(const reflection::Schema& schema, const reflection::Type& type, BaseType base) {
  if (base == reflection::Obj) return object_of(schema, type).name()->str();
  if (base == reflection::Union || (is_scalar(base) && type.index() >= 0)) return enum_of(schema, type).name()->str();
  return scalar_text(base);
}

std::string value_text(const reflection::Schema& schema, const reflection::Type& type, BaseType base,
                       std::int64_t value) {
  if (type.index() >= 0) {
    for (const auto* candidate : *enum_of(schema, type).values()) {
      if (candidate->value() == value) return json_text(candidate->name()->string_view());
    }
  }
  if (base == reflection::Bool) return value != 0 ? "true" : "false";
  return base == reflection::ULong ? std::to_string(static_cast<std::uint64_t>(value)) : std::to_string(value);
}

// Writes one example of everything. A table that holds itself, at any distance, is left out where it comes again.
class Template {
 public:
  explicit Template(const reflection::Schema& schema) noexcept : schema_(schema) {}

  std::string object(const reflection::Object& object) {
    path_.push_back(&object);
    std::string text;
    const auto add = [&text](std::string_view name, const std::string& value) {
      if (!value.empty()) text += (text.empty() ? "" : ", ") + json_text(name) + ": " + value;
    };
    for (const auto* field : live_fields(object)) {
      if (field->type()->base_type() == reflection::UType) continue;  // written with its union
      if (field->type()->base_type() == reflection::Union) {
        const std::string name = field->name()->str();
        if (const auto [member, value] = first_member(*field->type()); !value.empty()) {
          add(name + "_type", json_text(member));
          add(name, value);
        }
      } else {
        add(field->name()->string_view(), this->field(*field));
      }
    }
    path_.pop_back();
    return "{" + text + "}";
  }

 private:
  // Empty: it is left out.
  std::string field(const reflection::Field& field) {
    const reflection::Type& type = *field.type();
    if (is_scalar(type.base_type())) return default_text(schema_, field);
    if (type.base_type() == reflection::Vector) {
      const std::string element = single(type, type.element());
      return "[" + element + "]";
    }
    if (type.base_type() == reflection::Array) {
      std::string all;
      for (unsigned i = 0; i != type.fixed_length(); ++i) all += (i == 0 ? "" : ", ") + single(type, type.element());
      return "[" + all + "]";
    }
    return single(type, type.base_type());
  }

  std::string single(const reflection::Type& type, BaseType base) {
    if (base == reflection::String) return "\"\"";
    if (is_scalar(base) && type.index() >= 0) return json_text(first_value(enum_of(schema_, type)));
    if (is_scalar(base)) return base == reflection::Bool ? "false" : "0";
    if (base != reflection::Obj) return {};
    const auto& object = object_of(schema_, type);
    if (std::find(path_.begin(), path_.end(), &object) != path_.end()) return {};
    return this->object(object);
  }

  static std::string first_value(const reflection::Enum& enumeration) {
    return enumeration.values()->Get(0)->name()->str();
  }

  // Of a union: a member's name and an example of it. Both empty: all of them hold what holds the union.
  std::pair<std::string, std::string> first_member(const reflection::Type& type) {
    for (const auto* member : *enum_of(schema_, type).values()) {
      if (member->union_type() == nullptr) continue;
      std::string value = single(*member->union_type(), member->union_type()->base_type());
      if (!value.empty()) return {member->name()->str(), std::move(value)};
    }
    return {};
  }

  const reflection::Schema& schema_;
  std::vector<const reflection::Object*> path_;
};

}  // namespace

const char* scalar_text(BaseType base) noexcept {
  static constexpr const char* kNames[] = {"none", "utype", "bool", "byte",  "ubyte", "short",  "ushort",
                                           "int",  "uint",  "long", "ulong", "float", "double", "string"};
  return static_cast<std::size_t>(base) < std::size(kNames) ? kNames[base] : "unknown";
}

std::string type_text(const reflection::Schema& schema, const reflection::Type& type) {
  switch (type.base_type()) {
    case reflection::Vector:
      return "[" + single_text(schema, type, type.element()) + "]";
    case reflection::Array:
      return fmt::format("[{}:{}]", single_text(schema, type, type.element()), type.fixed_length());
    default:
      return single_text(schema, type, type.base_type());
  }
}

std::string default_text(const reflection::Schema& schema, const reflection::Field& field) {
  const BaseType base = field.type()->base_type();
  if (!is_scalar(base)) return {};
  if (field.optional()) return "null";
  if (base == reflection::Float || base == reflection::Double) return fmt::format("{}", field.default_real());
  return value_text(schema, *field.type(), base, field.default_integer());
}

void Types::add(const reflection::Schema& schema, const reflection::Type& type) {
  const BaseType base = type.base_type() == reflection::Vector || type.base_type() == reflection::Array
                            ? type.element()
                            : type.base_type();
  if (base == reflection::Obj) {
    add(schema, object_of(schema, type));
  } else if (type.index() >= 0) {
    add(schema, enum_of(schema, type));
  }
}

void Types::add(const reflection::Schema& schema, const reflection::Object& object) {
  if (std::find(objects.begin(), objects.end(), &object) != objects.end()) return;
  objects.push_back(&object);
  for (const auto* field : live_fields(object)) add(schema, *field->type());
}

void Types::add(const reflection::Schema& schema, const reflection::Enum& enumeration) {
  if (std::find(enums.begin(), enums.end(), &enumeration) != enums.end()) return;
  enums.push_back(&enumeration);
  for (const auto* value : *enumeration.values()) {
    const auto* type = value->union_type();
    if (type != nullptr && type->base_type() == reflection::Obj) add(schema, object_of(schema, *type));
  }
}

std::string template_of(const reflection::Schema& schema, const reflection::Object& table) {
  return Template(schema).object(table);
}

std::vector<const reflection::Field*> live_fields(const reflection::Object& object) {
  std::vector<const reflection::Field*> fields;
  for (const auto* field : *object.fields()) {
    if (!field->deprecated()) fields.push_back(field);
  }
  std::sort(fields.begin(), fields.end(), [](const auto* a, const auto* b) { return a->offset() < b->offset(); });
  return fields;
}

std::string printable(std::string_view text) {
  const std::string quoted = json_text(text);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace taut::tool
