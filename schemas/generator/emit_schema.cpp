#include <algorithm>

#include "emit.h"
#include "types.h"

namespace gen {
namespace {

std::string self(const Object& one) { return "taut::Schema<" + cpp_name(one.name) + ">::"; }

std::uint32_t table_bytes(const Object& one) { return one.block - one.table; }

// ---- parts: what stands behind the block ----

// Is the part there, and what is its value?
std::string is_there(const Field& field) {
  if (field.kind == Kind::string) return "init." + field.name + ".data() != nullptr";
  return "init." + field.name + (field.kind == Kind::table ? ".has_value()" : ".present()");
}
std::string is_absent(const Field& field) {
  if (field.kind == Kind::string) return "init." + field.name + ".data() == nullptr";
  return "!" + is_there(field);
}
std::string value(const Field& field) {
  return (field.kind == Kind::table && !field.required ? "*init." : "init.") + field.name;
}

void measure(Printer& print, const Model& model, const Object& one) {
  if (one.constant()) return;
  print("inline std::uint64_t $measure(std::uint64_t end, const Init& init) noexcept {\n", self(one));
  print("  using namespace taut::stubs;\n");
  for (const Field* field : live(one)) {
    if (!field->is_part()) continue;
    print("  ");
    if (field->may_be_absent()) print("if ($) ", is_there(*field));
    print("end = after_$(end, $$);\n", part_name(model, *field), value(*field), cap_argument(*field));
  }
  print("  return end;\n}\n\n");
}

// ---- the table itself ----

// Stores one value, widened over the zero bytes up to `next` where that makes one store of two. Answers where the
// bytes behind it begin.
std::uint32_t put_value(Printer& print, const Model& model, const Object& one, const Field& field, std::uint32_t next) {
  const std::string type = element_type(model, field);
  std::string value = "init." + field.name;
  if (field.may_be_absent()) value += ".value_or(" + type + "{})";
  const bool integral =
      field.kind == Kind::scalar && field.base != reflection::Float && field.base != reflection::Double;
  const std::uint32_t place = one.table + field.at;
  std::uint32_t width = field.bytes;
  while (integral && width < 8 && field.at + 2 * width <= next && place % (2 * width) == 0) width *= 2;
  if (width == field.bytes) {
    print("  put<$>($, $);\n", type, plus("base", place), value);
  } else {
    const std::string narrow = "std::uint" + std::to_string(8 * field.bytes) + "_t";
    if (narrow != type) value = "static_cast<" + narrow + ">(" + value + ")";
    print("  put<std::uint$_t>($, $);\n", 8 * width, plus("base", place), value);
  }
  return field.at + width;
}

void put_zeros(Printer& print, const Object& one, std::uint32_t from, std::uint32_t to) {
  while (from < to) {
    const std::uint32_t width = from % 4 == 0 && to - from >= 4 ? 4 : from % 2 == 0 && to - from >= 2 ? 2 : 1;
    print("  put<std::uint$_t>($, 0);\n", 8 * width, plus("base", one.table + from));
    from += width;
  }
}

// Last line first, since the reader polls only the first; then the image, over which entries of absent fields are
// cleared.
void store_values(Printer& print, const Model& model, const Object& one) {
  auto fields = live(one);
  std::sort(fields.begin(), fields.end(), [](const Field* a, const Field* b) { return a->at > b->at; });
  const bool reads = std::any_of(fields.begin(), fields.end(), [](const Field* f) { return !f->is_part(); });
  print("// The table itself, last line first.\ntemplate <taut::stubs::Place place>\n");
  print("void $store_values(std::byte* base, const Init&$) noexcept {\n", self(one), reads ? " init" : "");
  print("  using namespace taut::stubs;\n");
  std::uint32_t next = table_bytes(one);
  for (const Field* field : fields) {
    const std::uint32_t behind =
        field->is_part() ? field->at + field->bytes : put_value(print, model, one, *field, next);
    put_zeros(print, one, behind, next);
    next = field->at;
  }
  put_zeros(print, one, 4, next);
  print("  put_image<place>(base, kImage);\n");
  for (const Field* field : live(one)) {
    if (field->is_part() || !field->may_be_absent()) continue;
    print("  if (!init.$) put<std::uint16_t>(base + $, 0);\n", field->name, 4 + field->entry());
  }
  print("}\n\n");
}

void store(Printer& print, const Model& model, const Object& one) {
  print("template <taut::stubs::Place place>\n");
  print("std::uint32_t $store(std::byte* message, std::uint32_t base, std::uint32_t end,\n", self(one));
  print("    const Init& init) noexcept {\n");
  const auto fields = live(one);
  if (!one.constant()) print("  using namespace taut::stubs;\n");
  for (const Field* field : fields) {
    if (!field->is_part()) continue;
    print("  ");
    if (field->may_be_absent()) print("if ($) ", is_there(*field));
    print("end = put_$(message, $, end, $);\n", part_name(model, *field), plus("base", one.table + field->at),
          value(*field));
  }
  print("  store_values<place>(message + base, init);\n");
  for (const Field* field : fields) {
    if (!field->is_part() || !field->may_be_absent()) continue;
    print("  if ($) put_absent(message + base, $, $);\n", is_absent(*field), 4 + field->entry(), one.table + field->at);
  }
  print("  return end;\n}\n\n");
}

// ---- comparing ----

// One test for each enum in the value behind `pointer + at`.
void enum_tests(const Model& model, const Field& field, std::string_view pointer, std::uint32_t at,
                std::vector<std::string>& tests) {
  if (field.base == reflection::Obj) {
    for (const Field& member : object_of(model, field).fields) {
      const std::uint32_t bytes =
          member.base == reflection::Obj ? object_of(model, member).struct_bytes : scalar_bytes(member.base);
      for (std::uint32_t i = 0; i != std::max(1u, member.array); ++i) {
        enum_tests(model, member, pointer, at + member.struct_offset + i * bytes, tests);
      }
    }
  } else if (is_enum(field)) {
    tests.push_back(enum_test(enum_of(model, field), plus(pointer, at)));
  }
}

void compare_part(Printer& print, const Model& model, const Object& one, const Field& field) {
  const std::string place = plus("base", one.table + field.at);
  const std::string there = field.may_be_absent() ? "!absent(at, " + std::to_string(4 + field.entry()) + ") && " : "";
  print("  if ($(end = check_$(message, size, $, end$)) == 0) return 0;\n", there, part_name(model, field), place,
        cap_argument(field));
  std::vector<std::string> tests;
  if (field.kind == Kind::scalars || field.kind == Kind::structures) enum_tests(model, field, "item", 0, tests);
  if (tests.empty()) return;
  print("  if ($!all_items<$>(message, $, [](const std::byte* item) {\n        return ", there,
        element_type(model, field), place);
  for (std::size_t i = 0; i != tests.size(); ++i) print(i == 0 ? "$" : " &&\n               $", tests[i]);
  print(";\n      })) {\n    return 0;\n  }\n");
}

void compare(Printer& print, const Model& model, const Object& one) {
  print("template <taut::stubs::Place place>\n");
  print("std::uint32_t $compare(const std::byte* message, std::uint32_t$, std::uint32_t base,\n", self(one),
        one.constant() ? "" : " size");
  print("    std::uint32_t end) noexcept {\n  using namespace taut::stubs;\n");
  print("  const std::byte* const at = message + base;\n  if (!same<place>(at, kImage)) return 0;\n");
  for (const Field* field : live(one)) {
    const std::uint32_t entry = 4 + field->entry();
    if (field->may_be_absent()) print("  if (!entry_is(at, $, $)) return 0;\n", entry, field->at);
    if (field->is_part()) {
      compare_part(print, model, one, *field);
      continue;
    }
    // An absent value is zeros in our layout, which need not be a value of the enum.
    const std::string there = field->may_be_absent() ? "!absent(at, " + std::to_string(entry) + ") && " : "";
    std::vector<std::string> tests;
    enum_tests(model, *field, "at", one.table + field->at, tests);
    for (const std::string& test : tests) print("  if ($!$) return 0;\n", there, test);
  }
  print("  return end;\n}\n\n");
}

std::string image_entries(const Object& one) {
  std::string list;
  for (const Field& field : one.fields) {
    list += list.empty() ? "" : ", ";
    const std::string at = field.deprecated ? "0" : std::to_string(field.at);
    list += !field.deprecated && field.may_be_absent() ? "maybe(" + at + ")" : at;
  }
  return list;
}

}  // namespace

bool has_setters(const Object& one) {
  const auto fields = live(one);
  return std::any_of(fields.begin(), fields.end(),
                     [](const Field* f) { return f->kind == Kind::scalars || f->kind == Kind::structures; });
}

void emit_schema(Printer& print, const Model& model, const Object& one) {
  print("template <>\nstruct taut::Schema<$> {\n  using Init = $;\n", cpp_name(one.name), init_name(one));
  if (has_setters(one)) print("  class Setters;\n");
  print("  static constexpr std::string_view kName = \"$\";\n", one.name);
  print("  static constexpr bool kConstant = $;\n", one.constant() ? "true" : "false");
  print("  static constexpr bool kComparable = $;\n", one.recursive ? "false" : "true");
  print("  static constexpr std::uint32_t kTable = $;\n", one.table);
  print("  static constexpr std::uint32_t kBlock = $;\n", one.block);
  print("  static constexpr std::uint32_t kAlign = $;\n", one.align);
  print("  static constexpr std::uint32_t kBound = $;\n", message_bound(model, one));
  print(R"(  static constexpr auto kImage = [] {
    using taut::stubs::maybe;
    return taut::stubs::image<kTable>($, {$});
  }();

  static const taut::stubs::TableShape& shape() noexcept;
)",
        table_bytes(one), image_entries(one));
  if (one.constant()) {
    print("  static constexpr std::uint64_t measure(std::uint64_t end, const Init&) noexcept { return end; }\n");
  } else {
    print("  static std::uint64_t measure(std::uint64_t end, const Init& init) noexcept;\n");
  }
  print(R"(  template <taut::stubs::Place place>
  static void store_values(std::byte* base, const Init& init) noexcept;
  template <taut::stubs::Place place>
  static std::uint32_t store(std::byte* message, std::uint32_t base, std::uint32_t end, const Init& init) noexcept;
)");
  if (!one.recursive) {
    print(R"(  template <taut::stubs::Place place>
  static std::uint32_t compare(const std::byte* message, std::uint32_t size, std::uint32_t base,
                               std::uint32_t end) noexcept;
)");
  }
  print("};\n\n");
}

void emit_schema_bodies(Printer& print, const Model& model, const Object& one) {
  measure(print, model, one);
  store_values(print, model, one);
  store(print, model, one);
  if (!one.recursive) compare(print, model, one);
}

}  // namespace gen
