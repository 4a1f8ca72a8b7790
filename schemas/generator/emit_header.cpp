#include <set>

#include "emit.h"
#include "types.h"

namespace gen {
namespace {

// Tables that are held by value come first.
void emit_init(Printer& print, const Model& model, const Object& one, std::set<std::string>& done) {
  if (!is_emitted(one) || !done.insert(one.name).second) return;
  for (const Kind kind : {Kind::table, Kind::tables}) {
    for (const Field* field : live(one)) {
      if (field->kind == kind) emit_init(print, model, object_of(model, *field), done);
    }
  }
  print.enter(cpp_name(name_space(one.name)));
  print.comment(one.documentation, "");
  print("struct $Init {", last_name(one.name));
  const auto fields = live(one);
  if (!fields.empty()) print("\n");
  for (const Field* field : fields) {
    print.comment(field->documentation, "  ");
    print("  $ $ = $;\n", init_type(model, *field), field->name, init_value(model, *field));
  }
  print("};\n\n");
}

}  // namespace

std::string emit_header(const Model& model, const std::string& name) {
  Printer print;
  print(R"(// Made by taut-gen from $.fbs. Change the schema, not this file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "taut/stubs/generated.h"
#include "$_generated.h"
)",
        name, name);
  for (const std::string& include : model.includes) print("#include \"$.taut.h\"\n", include);
  print("\n// ---- what callers fill in ----\n\n");
  for (const Object& one : model.objects) {
    if (!is_emitted(one)) continue;
    print.enter(cpp_name(name_space(one.name)));
    print("struct $Init;\n", last_name(one.name));
  }
  print("\n");
  std::set<std::string> done;
  for (const Object& one : model.objects) emit_init(print, model, one, done);

  print.enter("");
  print("// ---- how messages are laid out ----\n\n");
  for (const Object& one : model.objects) {
    if (is_emitted(one)) emit_schema(print, model, one);
  }
  // Behind all declarations, since tables may refer to each other.
  for (const Object& one : model.objects) {
    if (!is_emitted(one)) continue;
    print("// ---- $ ----\n\n", one.name);
    emit_schema_bodies(print, model, one);
    if (has_setters(one)) emit_setters(print, model, one);
  }
  for (const Service& one : model.services) {
    if (!one.own) continue;
    print.enter("");
    print("// ---- service $ ----\n\n", one.name);
    print.enter(cpp_name(name_space(one.name)));
    emit_service(print, model, one);
  }
  return print.take();
}

}  // namespace gen
