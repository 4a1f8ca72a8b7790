#include "fingerprint.h"

#include <cstdio>
#include <map>
#include <set>

namespace gen {
namespace {

class Canonical {
 public:
  explicit Canonical(const Model& model) : model_(model) {}

  std::string of(const Service& service) {
    std::string text = "service " + service.name + "\n";
    for (const Method& method : service.methods) {
      text += "method " + std::to_string(method.id) + " " + method.name + " " + object(method.request).name + " " +
              object(method.reply).name + kind(method) + (method.urgent ? " urgent" : "") + "\n";
      add(method.request);
      add(method.reply);
    }
    for (const auto& [name, lines] : parts_) text += lines;
    return text;
  }

 private:
  const Object& object(int index) const { return model_.objects[static_cast<std::size_t>(index)]; }

  // Nothing when it is unary, so that schemas from before there were kinds keep their fingerprints.
  static std::string kind(const Method& method) {
    return method.kind == CallKind::unary ? "" : std::string(" ") + to_text(method.kind);
  }

  std::string type(const Field& field) {
    std::string name = reflection::EnumNameBaseType(field.base);
    if (field.base == reflection::Obj) {
      name = object(field.index).name;
      add(field.index);
    } else if (field.index >= 0) {
      const Enum& one = model_.enums[static_cast<std::size_t>(field.index)];
      name = one.name;
      add(one);
    }
    const bool vector = field.kind == Kind::scalars || field.kind == Kind::structures || field.kind == Kind::strings ||
                        field.kind == Kind::tables;
    if (vector) return "[" + name + "]";
    return field.array == 0 ? name : "[" + name + ":" + std::to_string(field.array) + "]";
  }

  std::string fallback(const Field& field) {
    if (field.kind != Kind::scalar || field.nullable) return "";
    if (field.base == reflection::Float || field.base == reflection::Double) {
      char text[40];
      std::snprintf(text, sizeof text, " %.17g", field.default_real);
      return text;
    }
    return " " + std::to_string(field.default_integer);
  }

  void add(int index) {
    const Object& one = object(index);
    if (!parts_.try_emplace(one.name).second) return;
    std::string lines = one.is_struct ? "struct " + one.name + " " + std::to_string(one.struct_bytes) + " " +
                                            std::to_string(one.struct_align) + "\n"
                                      : "table " + one.name + "\n";
    for (const Field& field : one.fields) {
      if (one.is_struct) {
        lines += "member " + field.name + " " + type(field) + " " + std::to_string(field.struct_offset) + "\n";
      } else if (field.deprecated) {
        lines += "field " + std::to_string(field.id) + " deprecated\n";
      } else {
        lines += "field " + std::to_string(field.id) + " " + field.name + " " + type(field) + fallback(field) +
                 (field.required ? " required" : "") + (field.nullable ? " null" : "") +
                 (field.optional ? " optional" : "") + (field.max != 0 ? " max " + std::to_string(field.max) : "") +
                 "\n";
      }
    }
    parts_[one.name] = lines;
  }

  void add(const Enum& one) {
    std::string& lines = parts_[one.name];
    lines = std::string("enum ") + one.name + " " + reflection::EnumNameBaseType(one.underlying) +
            (one.flags ? " flags" : "") + "\n";
    for (const EnumValue& value : one.values) lines += "value " + value.name + " " + std::to_string(value.value) + "\n";
  }

  const Model& model_;
  std::map<std::string, std::string> parts_;
};

}  // namespace

std::string canonical_form(const Model& model, const Service& service) { return Canonical(model).of(service); }

std::uint64_t fnv1a(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace gen
