#include <algorithm>
#include <cstdio>
#include <limits>
#include <set>

#include "emit.h"
#include "fingerprint.h"
#include "types.h"

namespace gen {
namespace {

// desk.Side -> desk_Side, for names of data.
std::string flat(std::string_view name) {
  std::string result(name);
  std::replace(result.begin(), result.end(), '.', '_');
  return result;
}

std::string number(std::int64_t value) {
  return value == std::numeric_limits<std::int64_t>::min() ? "INT64_MIN" : std::to_string(value);
}

class Source {
 public:
  explicit Source(const Model& model) : model_(model) {}

  std::string text(const std::string& name, std::span<const std::uint8_t> schema) {
    print_("// Made by taut-gen from $.fbs. Change the schema, not this file.\n#include \"$.taut.h\"\n\n", name, name);
    print_(R"(namespace {

using taut::stubs::EnumMember;
using taut::stubs::EnumShape;
using taut::stubs::FieldKind;
using taut::stubs::FieldShape;
using taut::stubs::TableShape;

)");
    for (const Object& one : model_.objects) {
      if (is_emitted(one)) shape(one);
    }
    const auto own = [](const Service& service) { return service.own; };
    if (std::any_of(model_.services.begin(), model_.services.end(), own)) {
      print_("// $.bfbs\n", name);
      embedded(schema);
    }
    for (const Service& one : model_.services) {
      if (one.own) serving(one);
    }
    print_("}  // namespace\n\n");
    for (const Object& one : model_.objects) {
      if (!is_emitted(one)) continue;
      print_("const TableShape& taut::Schema<$>::shape() noexcept { return kShape_$; }\n", cpp_name(one.name),
             flat(one.name));
    }
    for (const Service& one : model_.services) {
      if (one.own) service(one);
    }
    return print_.take();
  }

 private:
  const Object& object(int index) const { return model_.objects[static_cast<std::size_t>(index)]; }

  // ---- tables as data ----

  void enum_shape(const Enum& one) {
    if (!enums_.insert(one.name).second) return;
    const std::string name = flat(one.name);
    std::int64_t mask = 0;
    for (const EnumValue& value : one.values) mask |= value.value;
    const std::int64_t least = one.flags ? 0 : one.values.front().value;
    const std::int64_t most = one.flags ? mask : one.values.back().value;
    const bool listed = !one.flags && !is_dense(one);
    if (listed) {
      print_("constexpr std::int64_t kValues_$[] = {", name);
      for (const EnumValue& value : one.values) print_("$, ", number(value.value));
      print_("};\n");
    }
    print_("constexpr EnumShape kEnum_$ = {.name = \"$\", .least = $, .most = $$$$};\n\n", name, one.name,
           number(least), number(most), is_signed(one.underlying) ? ", .is_signed = true" : "",
           one.flags ? ", .flags = true" : "", listed ? ", .values = kValues_" + name : "");
  }

  // Every enum inside a struct, with its place.
  void members(const Object& structure, const std::string& path, std::uint32_t at, Printer& rows) {
    for (const Field& member : structure.fields) {
      const std::string name = path.empty() ? member.name : path + "." + member.name;
      const std::uint32_t place = at + member.struct_offset;
      if (member.base == reflection::Obj) {
        const Object& inner = object_of(model_, member);
        for (std::uint32_t i = 0; i != std::max(1u, member.array); ++i) {
          const std::string index = member.array == 0 ? "" : "[" + std::to_string(i) + "]";
          members(inner, name + index, place + i * inner.struct_bytes, rows);
        }
      } else if (is_enum(member)) {
        enum_shape(enum_of(model_, member));
        rows("    {.name = \"$\", .at = $, .bytes = $, .count = $, .enumeration = &kEnum_$},\n", name, place,
             scalar_bytes(member.base), std::max(1u, member.array), flat(enum_of(model_, member).name));
      }
    }
  }

  void row(const Field& field, Printer& rows) {
    rows("    {.name = \"$\", .kind = FieldKind::$", field.name, kind_name(field.kind));
    if (field.required) rows(", .required = true");
    if (field.nullable) rows(", .nullable = true");
    rows(", .entry = $, .at = $", field.entry(), field.at);
    const bool structs = field.kind == Kind::structure || field.kind == Kind::structures;
    if (structs) {
      const Object& structure = object_of(model_, field);
      rows(", .bytes = $, .align = $", structure.struct_bytes, structure.struct_align);
      if (has_enum(model_, structure)) {
        const std::string name = flat(structure.name);
        if (structs_.insert(name).second) {
          Printer list;
          members(structure, "", 0, list);
          print_("constexpr EnumMember kMembers_$[] = {\n$};\n\n", name, list.take());
        }
        rows(", .members = kMembers_$", name);
      }
    } else if (field.kind == Kind::scalar || field.kind == Kind::scalars) {
      rows(", .bytes = $, .align = $", scalar_bytes(field.base), scalar_bytes(field.base));
    } else if (field.kind == Kind::string) {
      rows(", .bytes = 1, .align = 1");
    }
    if (field.max != 0) rows(", .max = $", field.max);
    if (const std::string bits = default_bits(field); bits != "0x0") rows(", .fallback = $", bits);
    if (is_enum(field)) {
      enum_shape(enum_of(model_, field));
      rows(", .enumeration = &kEnum_$", flat(enum_of(model_, field).name));
    }
    if (field.kind == Kind::table || field.kind == Kind::tables) {
      rows(", .table = &taut::Schema<$>::shape", cpp_name(object_of(model_, field).name));
    }
    rows("},\n");
  }

  void shape(const Object& one) {
    Printer rows;
    const auto fields = live(one);
    for (const Field* field : fields) row(*field, rows);
    const std::string name = flat(one.name);
    if (!fields.empty()) print_("constexpr FieldShape kFields_$[] = {\n$};\n", name, rows.take());
    print_(R"(constexpr TableShape kShape_$ = {
    .name = "$",
    .fields = $,
    .vtable_bytes = $,
    .table_bytes = $,
    .table = $,
    .block = $,
    .align = $,
};

)",
           name, one.name, fields.empty() ? "{}" : "kFields_" + name, 4 + 2 * one.vtable_entries(),
           one.block - one.table, one.table, one.block, one.align);
  }

  void embedded(std::span<const std::uint8_t> schema) {
    print_("alignas(16) constexpr unsigned char kSchema[] = {");
    for (std::size_t i = 0; i != schema.size(); ++i) print_(i % 24 == 0 ? "\n    $," : "$,", schema[i]);
    print_("\n};\n\n");
  }

  // ---- services ----

  void serving(const Service& one) {
    const std::string name = flat(one.name);
    for (const Method& method : one.methods) {
      const std::string request = cpp_name(object(method.request).name), reply = cpp_name(object(method.reply).name);
      print_("void serve_$_$(taut::Service& service, taut::rpc::ServedCall& call) {\n", name, method.name);
      print_("  auto& handlers = static_cast<$::Service&>(service);\n", cpp_name(one.name));
      std::string parameters, arguments;
      for (const auto& [type, parameter] : handler_parameters(model_, method)) {
        parameters += (parameters.empty() ? "" : ", ") + type + " " + parameter;
        arguments += arguments.empty() ? "" : ", ";
        arguments += type.ends_with('&') ? parameter : "std::move(" + parameter + ")";
      }
      const std::string types = method.kind == CallKind::oneway ? request : request + ", " + reply;
      print_("  taut::stubs::serve_$<$>(call, \"$\", [&]($) {\n", to_text(method.kind), types, method.name, parameters);
      print_("    handlers.$($);\n", method.name, arguments);
      print_("  });\n}\n\n");
    }
    if (one.methods.empty()) return;
    print_("constexpr taut::rpc::MethodDescription kMethods_$[] = {\n", name);
    for (const Method& method : one.methods) {
      const Object& request = object(method.request);
      const Object& reply = object(method.reply);
      print_("    {.name = \"$\",\n     .id = $,\n", method.name, method.id);
      if (method.kind != CallKind::unary) print_("     .kind = taut::rpc::CallKind::$,\n", to_text(method.kind));
      if (method.idempotent) print_("     .idempotent = true,\n");
      if (method.urgent) print_("     .urgent = true,\n");
      if (method.needed) print_("     .needed = true,\n");
      print_("     .request_bound = $,\n", message_bound(model_, request));
      print_("     .reply_bound = $,\n", method.kind == CallKind::oneway ? 0 : message_bound(model_, reply));
      if (method.timeout_ns != 0) print_("     .timeout_ns = $,\n", method.timeout_ns);
      if (method.limit != 0) print_("     .limit = $,\n", method.limit);
      print_("     .request = \"$\",\n     .reply = \"$\",\n", request.name, reply.name);
      print_("     .serve = &serve_$_$},\n", name, method.name);
    }
    print_("};\n\n");
  }

  void service(const Service& one) {
    char hash[24];
    std::snprintf(hash, sizeof hash, "0x%016llx", static_cast<unsigned long long>(fnv1a(canonical_form(model_, one))));
    const std::string name = cpp_name(one.name);
    print_(R"(
const taut::rpc::ServiceDescription& $::description() noexcept {
  static const taut::rpc::ServiceDescription description = {
      .name = "$",
      .fingerprint = $,
      .methods = $,
      .schema = std::as_bytes(std::span(kSchema)),
  };
  return description;
}

)",
           name, one.name, hash, one.methods.empty() ? "{}" : "kMethods_" + flat(one.name));
    for (const Method& method : one.methods) {
      const auto parameters = handler_parameters(model_, method);
      const Parameter& last = parameters.back();
      if (method.kind == CallKind::oneway) {
        print_("void $::Service::$($, $) {}\n", name, method.name, parameters.front().type, last.type);
        continue;
      }
      // Not a gap of ours: what a service answers for a method that it chose not to override (docs/errors.md).
      print_("void $::Service::$($, $ $) {\n", name, method.name, parameters.front().type, last.type, last.name);
      print_("  $.refuse(taut::Code::unimplemented, \"method '$' is not implemented\");\n}\n", last.name, method.name);
    }
  }

  const Model& model_;
  Printer print_;
  std::set<std::string> enums_;
  std::set<std::string> structs_;
};

}  // namespace

std::string emit_source(const Model& model, const std::string& name, std::span<const std::uint8_t> schema) {
  return Source(model).text(name, schema);
}

}  // namespace gen
