#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>

#include "emit.h"
#include "fingerprint.h"
#include "types.h"

namespace gen {
namespace {

std::string dec(std::int64_t value) { return std::to_string(value); }

// desk.Side -> desk_Side, for names of data.
std::string flat(std::string_view name) {
  std::string result(name);
  std::replace(result.begin(), result.end(), '.', '_');
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

class Source {
 public:
  Source(const Model& model, std::string name) : model_(model), name_(std::move(name)) {}

  std::string text(std::span<const std::uint8_t> schema) {
    out_ += "// Made by taut-gen from " + name_ + ".fbs. Change the schema, not this file.\n#include \"" + name_ + ".taut.h\"\n\n";
    out_ += "namespace {\n\nusing taut::stubs::EnumMember;\nusing taut::stubs::EnumShape;\nusing taut::stubs::FieldKind;\nusing taut::stubs::FieldShape;\nusing taut::stubs::TableShape;\n\n";
    for (const Object& one : model_.objects) {
      if (wanted(one)) data(one);
    }
    const bool serves = std::any_of(model_.services.begin(), model_.services.end(), [](const Service& s) { return s.own; });
    if (serves) embedded(schema);
    for (const Service& one : model_.services) {
      if (one.own) serve(one);
    }
    out_ += "}  // namespace\n\n";
    for (const Object& one : model_.objects) {
      if (!wanted(one)) continue;
      out_ += "const taut::stubs::TableShape& taut::Schema<" + cpp_name(one.name) + ">::shape() noexcept { return kShape_" +
              flat(one.name) + "; }\n";
    }
    for (const Service& one : model_.services) {
      if (one.own) service(one);
    }
    return std::move(out_);
  }

 private:
  static bool wanted(const Object& one) { return one.own && !one.is_struct && one.supported; }
  const Object& object(int index) const { return model_.objects[static_cast<std::size_t>(index)]; }

  // ---- tables as data ----

  void enum_data(const Enum& one) {
    if (!enums_.insert(one.name).second) return;
    const std::string name = "kEnum_" + flat(one.name);
    std::int64_t mask = 0;
    for (const EnumValue& value : one.values) mask |= value.value;
    const std::int64_t least = one.flags ? 0 : one.values.front().value;
    const std::int64_t most = one.flags ? mask : one.values.back().value;
    const bool dense = static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least) + 1 == one.values.size();
    const auto number = [](std::int64_t value) {
      return value == INT64_MIN ? std::string("INT64_MIN") : std::to_string(value);
    };
    if (!one.flags && !dense) {
      out_ += "constexpr std::int64_t " + name + "_values[] = {";
      for (const EnumValue& value : one.values) out_ += number(value.value) + ", ";
      out_ += "};\n";
    }
    out_ += "constexpr EnumShape " + name + " = {.name = \"" + one.name + "\", .least = " + number(least) + ", .most = " + number(most);
    if (is_signed(one.underlying)) out_ += ", .is_signed = true";
    if (one.flags) out_ += ", .flags = true";
    if (!one.flags && !dense) out_ += ", .values = " + name + "_values";
    out_ += "};\n\n";
  }

  // Every enum inside a struct, with its place.
  void members(const Object& structure, const std::string& path, std::uint32_t at, std::string& list) {
    for (const Field& member : structure.fields) {
      const std::string name = path.empty() ? member.name : path + "." + member.name;
      const std::uint32_t place = at + member.struct_offset;
      if (member.base == reflection::Obj) {
        const Object& inner = object_of(model_, member);
        for (std::uint32_t i = 0; i != std::max(1u, member.array); ++i) {
          members(inner, member.array == 0 ? name : name + "[" + dec(i) + "]", place + i * inner.struct_bytes, list);
        }
      } else if (is_enum(member)) {
        enum_data(enum_of(model_, member));
        list += "    {.name = \"" + name + "\", .at = " + dec(place) + ", .bytes = " + dec(scalar_bytes(member.base)) +
                ", .count = " + dec(std::max(1u, member.array)) + ", .enumeration = &kEnum_" +
                flat(enum_of(model_, member).name) + "},\n";
      }
    }
  }

  void data(const Object& one) {
    std::string rows;
    for (const Field& field : one.fields) {
      if (field.deprecated) continue;
      rows += "    {.name = \"" + field.name + "\", .kind = FieldKind::" + kind_name(field.kind);
      if (field.required) rows += ", .required = true";
      if (field.nullable) rows += ", .nullable = true";
      rows += ", .entry = " + dec(field.entry()) + ", .at = " + dec(field.at);
      std::uint32_t bytes = 4, align = 4;
      if (field.base == reflection::Obj && (field.kind == Kind::structure || field.kind == Kind::structures)) {
        bytes = object_of(model_, field).struct_bytes;
        align = object_of(model_, field).struct_align;
      } else if (field.kind == Kind::scalar || field.kind == Kind::scalars) {
        bytes = align = scalar_bytes(field.base);
      } else if (field.kind == Kind::string) {
        bytes = align = 1;
      }
      rows += ", .bytes = " + dec(bytes) + ", .align = " + dec(align);
      if (field.max != 0) rows += ", .max = " + dec(field.max);
      if (const std::string bits = default_bits(field); bits != "0x0") rows += ", .fallback = " + bits;
      if (is_enum(field)) {
        enum_data(enum_of(model_, field));
        rows += ", .enumeration = &kEnum_" + flat(enum_of(model_, field).name);
      }
      if (field.kind == Kind::structure || field.kind == Kind::structures) {
        const Object& structure = object_of(model_, field);
        if (has_enum(model_, structure)) {
          const std::string name = "kMembers_" + flat(structure.name);
          if (structs_.insert(structure.name).second) {
            std::string list;
            members(structure, "", 0, list);
            out_ += "constexpr EnumMember " + name + "[] = {\n" + list + "};\n\n";
          }
          rows += ", .members = " + name;
        }
      }
      if (field.kind == Kind::table || field.kind == Kind::tables) {
        rows += ", .table = &taut::Schema<" + cpp_name(object_of(model_, field).name) + ">::shape";
      }
      rows += "},\n";
    }
    const std::string name = flat(one.name);
    if (!rows.empty()) out_ += "constexpr FieldShape kFields_" + name + "[] = {\n" + rows + "};\n";
    out_ += "constexpr TableShape kShape_" + name + " = {\n    .name = \"" + one.name + "\",\n    .fields = ";
    out_ += rows.empty() ? "{}" : "kFields_" + name;
    out_ += ",\n    .vtable_bytes = " + dec(4 + 2 * one.vtable_entries()) + ",\n    .table_bytes = " + dec(one.block - one.table) +
            ",\n    .table = " + dec(one.table) + ",\n    .block = " + dec(one.block) + ",\n    .align = " + dec(one.align) + ",\n};\n\n";
  }

  void embedded(std::span<const std::uint8_t> schema) {
    out_ += "// " + name_ + ".bfbs\nalignas(16) constexpr unsigned char kSchema[] = {";
    for (std::size_t i = 0; i != schema.size(); ++i) {
      if (i % 24 == 0) out_ += "\n    ";
      out_ += dec(schema[i]) + ",";
    }
    out_ += "\n};\n\n";
  }

  // ---- services ----

  static std::string serve_name(const Service& service, const Method& method) {
    return "serve_" + flat(service.name) + "_" + method.name;
  }

  void serve(const Service& one) {
    for (const Method& method : one.methods) {
      const std::string request = cpp_name(object(method.request).name), reply = cpp_name(object(method.reply).name);
      const std::string self = "static_cast<" + cpp_name(one.name) + "::Service&>(service)." + method.name;
      out_ += "void " + serve_name(one, method) + "(taut::Service& service, taut::rpc::ServedCall& call) {\n";
      if (method.oneway) {
        out_ += "  taut::stubs::serve_oneway<" + request + ">(call, \"" + method.name + "\", [&](const " + request + "& request) {\n";
        out_ += "    " + self + "(request);\n  });\n}\n\n";
      } else {
        out_ += "  taut::stubs::serve<" + request + ">(call, \"" + method.name + "\", [&](const " + request +
                "& request, taut::rpc::RawReply reply) {\n";
        out_ += "    " + self + "(request, taut::Reply<" + reply + ">(std::move(reply)));\n  });\n}\n\n";
      }
    }
    const auto bound = [&](int index) {
      return dec(static_cast<std::int64_t>(message_bound(model_, object(index))));
    };
    if (!one.methods.empty()) {
      out_ += "constexpr taut::rpc::MethodDescription kMethods_" + flat(one.name) + "[] = {\n";
      for (const Method& method : one.methods) {
        out_ += "    {.name = \"" + method.name + "\",\n     .id = " + dec(method.id) + ",\n";
        if (method.oneway) out_ += "     .oneway = true,\n";
        if (method.idempotent) out_ += "     .idempotent = true,\n";
        if (method.urgent) out_ += "     .urgent = true,\n";
        out_ += "     .request_bound = " + bound(method.request) + ",\n     .reply_bound = " + (method.oneway ? "0" : bound(method.reply)) + ",\n";
        if (method.timeout_ns != 0) out_ += "     .timeout_ns = " + dec(method.timeout_ns) + ",\n";
        out_ += "     .request = \"" + object(method.request).name + "\",\n     .reply = \"" + object(method.reply).name + "\",\n";
        out_ += "     .serve = &" + serve_name(one, method) + "},\n";
      }
      out_ += "};\n\n";
    }
  }

  void service(const Service& one) {
    char hash[24];
    std::snprintf(hash, sizeof hash, "0x%016llx", static_cast<unsigned long long>(fnv1a(canonical_form(model_, one))));
    const std::string name = cpp_name(one.name);
    out_ += "\nconst taut::rpc::ServiceDescription& " + name + "::description() noexcept {\n";
    out_ += "  static const taut::rpc::ServiceDescription description = {\n      .name = \"" + one.name + "\",\n      .fingerprint = " + hash +
            ",\n      .methods = " + (one.methods.empty() ? "{}" : "kMethods_" + flat(one.name)) +
            ",\n      .schema = std::as_bytes(std::span(kSchema)),\n  };\n  return description;\n}\n\n";
    for (const Method& method : one.methods) {
      const std::string request = cpp_name(object(method.request).name), reply = cpp_name(object(method.reply).name);
      if (method.oneway) {
        out_ += "void " + name + "::Service::" + method.name + "(const " + request + "&) {}\n";
      } else {
        out_ += "void " + name + "::Service::" + method.name + "(const " + request + "&, taut::Reply<" + reply + "> reply) {\n";
        out_ += "  reply.refuse(taut::Code::unimplemented, \"method '" + method.name + "' is not implemented\");\n}\n";
      }
    }
  }

  const Model& model_;
  std::string name_;
  std::string out_;
  std::set<std::string> enums_;
  std::set<std::string> structs_;
};

}  // namespace

std::string emit_source(const Model& model, const std::string& name, std::span<const std::uint8_t> schema) {
  return Source(model, name).text(schema);
}

}  // namespace gen
