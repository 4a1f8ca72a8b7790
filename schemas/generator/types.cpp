#include "types.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

namespace gen {
namespace {

std::string real(double value, bool is_float) {
  const std::string limits = is_float ? "std::numeric_limits<float>::" : "std::numeric_limits<double>::";
  if (std::isnan(value)) return limits + "quiet_NaN()";
  if (std::isinf(value)) return (value < 0 ? "-" : "") + limits + "infinity()";
  char text[40];
  std::snprintf(text, sizeof text, is_float ? "%.9g" : "%.17g", value);
  std::string result = text;
  if (result.find_first_of(".e") == std::string::npos) result += ".0";
  return is_float ? result + "f" : result;
}

std::string integer(std::int64_t value, reflection::BaseType base) {
  if (base == reflection::Bool) return value != 0 ? "true" : "false";
  if (base == reflection::ULong) return std::to_string(static_cast<std::uint64_t>(value)) + (value < 0 ? "u" : "");
  if (value == std::numeric_limits<std::int64_t>::min()) return "std::numeric_limits<std::int64_t>::min()";
  return std::to_string(value);
}

}  // namespace

std::string scalar_type(reflection::BaseType base) {
  switch (base) {
    case reflection::Bool:
      return "bool";
    case reflection::Byte:
      return "std::int8_t";
    case reflection::Short:
      return "std::int16_t";
    case reflection::UShort:
      return "std::uint16_t";
    case reflection::Int:
      return "std::int32_t";
    case reflection::UInt:
      return "std::uint32_t";
    case reflection::Long:
      return "std::int64_t";
    case reflection::ULong:
      return "std::uint64_t";
    case reflection::Float:
      return "float";
    case reflection::Double:
      return "double";
    default:
      return "std::uint8_t";
  }
}

std::vector<const Field*> live(const Object& one) {
  std::vector<const Field*> result;
  for (const Field& field : one.fields) {
    if (!field.deprecated) result.push_back(&field);
  }
  return result;
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::scalar:
      return "scalar";
    case Kind::structure:
      return "structure";
    case Kind::string:
      return "string";
    case Kind::table:
      return "table";
    case Kind::scalars:
      return "scalars";
    case Kind::structures:
      return "structures";
    case Kind::strings:
      return "strings";
    default:
      return "tables";
  }
}

std::string part_name(const Model& model, const Field& field) {
  switch (field.kind) {
    case Kind::string:
    case Kind::strings:
      return kind_name(field.kind);
    case Kind::table:
    case Kind::tables:
      return std::string(kind_name(field.kind)) + "<" + cpp_name(object_of(model, field).name) + ">";
    default:
      return "items<" + element_type(model, field) + ">";
  }
}

std::string cap_argument(const Field& field) { return field.max == 0 ? "" : ", " + std::to_string(field.max); }

bool is_dense(const Enum& one) {
  const auto least = static_cast<std::uint64_t>(one.values.front().value);
  return static_cast<std::uint64_t>(one.values.back().value) - least + 1 == one.values.size();
}

std::string init_name(const Object& table) { return cpp_name(table.name) + "Init"; }

std::string element_type(const Model& model, const Field& field) {
  if (field.base == reflection::Obj) return cpp_name(object_of(model, field).name);
  if (field.base == reflection::String) return "std::string_view";
  if (is_enum(field)) return cpp_name(enum_of(model, field).name);
  return scalar_type(field.base);
}

std::string init_type(const Model& model, const Field& field) {
  const auto maybe = [&](const std::string& type) {
    return field.may_be_absent() ? "std::optional<" + type + ">" : type;
  };
  switch (field.kind) {
    case Kind::string:
      return "std::string_view";
    case Kind::scalar:
    case Kind::structure:
      return maybe(element_type(model, field));
    case Kind::table:
      return maybe(init_name(object_of(model, field)));
    case Kind::tables:
      return "taut::Items<" + init_name(object_of(model, field)) + ">";
    default:
      return "taut::Items<" + element_type(model, field) + ">";
  }
}

std::string init_value(const Model& model, const Field& field) {
  if (field.kind != Kind::scalar || field.nullable) return "{}";
  if (is_enum(field)) {
    const Enum& one = enum_of(model, field);
    const auto value = std::find_if(one.values.begin(), one.values.end(),
                                    [&](const EnumValue& v) { return v.value == field.default_integer; });
    if (value != one.values.end()) return cpp_name(one.name) + "::" + value->name;
    return "static_cast<" + cpp_name(one.name) + ">(" + std::to_string(field.default_integer) + ")";
  }
  if (field.base == reflection::Float || field.base == reflection::Double) {
    return real(field.default_real, field.base == reflection::Float);
  }
  return integer(field.default_integer, field.base);
}

std::string default_bits(const Field& field) {
  std::uint64_t bits = 0;
  if (field.kind == Kind::scalar && !field.nullable) {
    bits = static_cast<std::uint64_t>(field.default_integer);
    if (field.base == reflection::Float) bits = std::bit_cast<std::uint32_t>(static_cast<float>(field.default_real));
    if (field.base == reflection::Double) bits = std::bit_cast<std::uint64_t>(field.default_real);
  }
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(bits));
  return text;
}

std::string enum_test(const Enum& one, const std::string& at) {
  const std::string type = scalar_type(one.underlying);
  const auto literal = [&](std::int64_t value) { return integer(value, one.underlying); };
  if (one.flags) {
    std::int64_t mask = 0;
    for (const EnumValue& value : one.values) mask |= value.value;
    return "in_mask<" + type + ">(" + at + ", " + literal(mask) + ")";
  }
  if (is_dense(one)) {
    return "in_range<" + type + ">(" + at + ", " + literal(one.values.front().value) + ", " +
           literal(one.values.back().value) + ")";
  }
  std::string list;
  for (const EnumValue& value : one.values) list += (list.empty() ? "" : ", ") + literal(value.value);
  return "one_of<" + type + ">(" + at + ", {" + list + "})";
}

bool has_enum(const Model& model, const Object& structure) {
  return std::any_of(structure.fields.begin(), structure.fields.end(), [&](const Field& f) {
    return f.base == reflection::Obj ? has_enum(model, object_of(model, f)) : is_enum(f);
  });
}

}  // namespace gen
