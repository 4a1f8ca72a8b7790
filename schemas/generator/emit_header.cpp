#include <algorithm>
#include <functional>
#include <set>

#include "emit.h"
#include "types.h"

namespace gen {
namespace {

std::string dec(std::uint64_t value) { return std::to_string(value); }

std::string plus(std::string_view pointer, std::uint64_t bytes) {
  return bytes == 0 ? std::string(pointer) : std::string(pointer) + " + " + dec(bytes);
}

void comment(std::string& out, const std::vector<std::string>& lines, const std::string& indent) {
  for (const std::string& line : lines) out += indent + "//" + line + "\n";
}

class Header {
 public:
  Header(const Model& model, std::string name) : model_(model), name_(std::move(name)) {}

  std::string text() {
    out_ += "// Made by taut-gen from " + name_ + ".fbs. Change the schema, not this file.\n#pragma once\n\n";
    out_ += "#include <cstddef>\n#include <cstdint>\n#include <limits>\n#include <optional>\n#include <span>\n#include <string_view>\n#include <utility>\n\n";
    out_ += "#include \"taut/stubs/generated.h\"\n#include \"" + name_ + "_generated.h\"\n";
    for (const std::string& include : model_.includes) out_ += "#include \"" + include + ".taut.h\"\n";
    out_ += "\n";
    inits();
    for (const Object& one : model_.objects) {
      if (wanted(one)) schema(one);
    }
    // Behind all declarations, since tables may refer to each other.
    for (const Object& one : model_.objects) {
      if (wanted(one)) bodies(one);
    }
    for (const Service& one : model_.services) {
      if (one.own) service(one);
    }
    return std::move(out_);
  }

 private:
  static bool wanted(const Object& one) { return one.own && !one.is_struct && one.supported; }

  void in_namespace(const std::string& space, const std::function<void()>& body) {
    if (!space.empty()) out_ += "namespace " + cpp_name(space) + " {\n\n";
    body();
    if (!space.empty()) out_ += "}  // namespace " + cpp_name(space) + "\n\n";
  }

  // ---- init structs ----

  void inits() {
    std::set<std::string> done;
    for (const Object& one : model_.objects) {
      if (!wanted(one)) continue;
      in_namespace(name_space(one.name), [&] { out_ += "struct " + last_name(one.name) + "Init;\n"; });
    }
    for (const Object& one : model_.objects) init(one, done);
  }

  // Tables held by value come first.
  void init(const Object& one, std::set<std::string>& done) {
    if (!wanted(one) || !done.insert(one.name).second) return;
    for (const Field& field : one.fields) {
      if (!field.deprecated && field.kind == Kind::table) init(object_of(model_, field), done);
    }
    for (const Field& field : one.fields) {
      if (!field.deprecated && field.kind == Kind::tables) init(object_of(model_, field), done);
    }
    in_namespace(name_space(one.name), [&] {
      comment(out_, one.documentation, "");
      out_ += "struct " + last_name(one.name) + "Init {\n";
      for (const Field& field : one.fields) {
        if (field.deprecated) continue;
        comment(out_, field.documentation, "  ");
        out_ += "  " + init_type(model_, field) + " " + field.name + " = " + init_value(model_, field) + ";\n";
      }
      out_ += "};\n\n";
    });
  }

  // ---- the layout ----

  static std::vector<const Field*> live(const Object& one) {
    std::vector<const Field*> result;
    for (const Field& field : one.fields) {
      if (!field.deprecated) result.push_back(&field);
    }
    return result;
  }

  void schema(const Object& one) {
    const bool constant = one.constant();
    const std::uint64_t bound = message_bound(model_, one);
    out_ += "template <>\nstruct taut::Schema<" + cpp_name(one.name) + "> {\n";
    out_ += "  using Init = " + init_name(one) + ";\n";
    if (has_vectors(one)) out_ += "  class Setters;\n";
    out_ += "  static constexpr std::string_view kName = \"" + one.name + "\";\n";
    out_ += std::string("  static constexpr bool kConstant = ") + (constant ? "true" : "false") + ";\n";
    out_ += std::string("  static constexpr bool kComparable = ") + (one.recursive ? "false" : "true") + ";\n";
    out_ += "  static constexpr std::uint32_t kTable = " + dec(one.table) + ";\n";
    out_ += "  static constexpr std::uint32_t kBlock = " + dec(one.block) + ";\n";
    out_ += "  static constexpr std::uint32_t kAlign = " + dec(one.align) + ";\n";
    out_ += "  static constexpr std::uint32_t kBound = " + dec(bound) + ";\n";
    image(one);
    out_ += "\n  static const taut::stubs::TableShape& shape() noexcept;\n";
    if (constant) {
      out_ += "  static constexpr std::uint64_t measure(std::uint64_t end, const Init&) noexcept { return end; }\n";
    } else {
      out_ += "  static std::uint64_t measure(std::uint64_t end, const Init& init) noexcept;\n";
    }
    out_ += "  template <taut::stubs::Place place>\n  static void store_values(std::byte* base, const Init& init) noexcept;\n";
    out_ += "  template <taut::stubs::Place place>\n  static std::uint32_t store(std::byte* message, std::uint32_t base, std::uint32_t end, const Init& init) noexcept;\n";
    if (!one.recursive) {
      out_ += "  template <taut::stubs::Place place>\n  static std::uint32_t compare(const std::byte* message, std::uint32_t size, std::uint32_t base, std::uint32_t end) noexcept;\n";
    }
    out_ += "};\n\n";
  }

  static std::string self(const Object& one) { return "taut::Schema<" + cpp_name(one.name) + ">::"; }

  void bodies(const Object& one) {
    out_ += "// ---- " + one.name + " ----\n\n";
    measure(one);
    store_values(one);
    store(one);
    if (!one.recursive) compare(one);
    if (has_vectors(one)) setters(one);
  }

  void image(const Object& one) {
    out_ += "  static constexpr auto kImage = taut::stubs::image<kTable>(" + dec(table_bytes(one)) + ", {";
    std::string list;
    for (const Field& field : one.fields) {
      list += list.empty() ? "" : ", ";
      if (field.deprecated) {
        list += "0";
      } else {
        list += field.may_be_absent() ? "taut::stubs::maybe(" + dec(field.at) + ")" : dec(field.at);
      }
    }
    out_ += list + "});\n";
  }

  static std::uint32_t table_bytes(const Object& one) { return one.block - one.table; }

  // The arguments that name a part and its cap.
  static std::string cap(const Field& field) { return field.max == 0 ? "" : ", " + dec(field.max); }
  std::string part_suffix(const Field& field) const {
    switch (field.kind) {
      case Kind::string:
        return "string";
      case Kind::strings:
        return "strings";
      case Kind::table:
        return "table<" + cpp_name(object_of(model_, field).name) + ">";
      case Kind::tables:
        return "tables<" + cpp_name(object_of(model_, field).name) + ">";
      default:
        return "items<" + element_type(model_, field) + ">";
    }
  }
  // Is the part there, and what is its value?
  static std::string is_there(const Field& field) {
    if (field.kind == Kind::string) return "init." + field.name + ".data() != nullptr";
    if (field.kind == Kind::table) return "init." + field.name + ".has_value()";
    return "init." + field.name + ".present()";
  }
  static std::string is_absent(const Field& field) {
    if (field.kind == Kind::string) return "init." + field.name + ".data() == nullptr";
    return "!" + is_there(field);
  }
  static std::string value(const Field& field) {
    return (field.kind == Kind::table && !field.required ? "*init." : "init.") + field.name;
  }

  void measure(const Object& one) {
    if (one.constant()) return;
    out_ += "inline std::uint64_t " + self(one) + "measure(std::uint64_t end, const Init& init) noexcept {\n  using namespace taut::stubs;\n";
    for (const Field* field : live(one)) {
      if (!field->is_part()) continue;
      out_ += "  ";
      if (field->may_be_absent()) out_ += "if (" + is_there(*field) + ") ";
      out_ += "end = after_" + part_suffix(*field) + "(end, " + value(*field) + cap(*field) + ");\n";
    }
    out_ += "  return end;\n}\n\n";
  }

  // Values of the table itself, last line first, then the image over which entries of absent fields are cleared.
  void store_values(const Object& one) {
    auto fields = live(one);
    std::sort(fields.begin(), fields.end(), [](const Field* a, const Field* b) { return a->at > b->at; });
    std::uint32_t next = table_bytes(one);
    std::string puts;
    bool uses_init = false;
    for (const Field* field : fields) {
      std::uint32_t free = field->at + field->bytes;
      if (!field->is_part()) {
        uses_init = true;
        puts += "  " + put_value(one, *field, next, free) + "\n";
      }
      for (std::string gap; free < next;) {
        const std::uint32_t width = free % 4 == 0 && next - free >= 4 ? 4 : free % 2 == 0 && next - free >= 2 ? 2 : 1;
        puts += "  put<std::uint" + dec(8 * width) + "_t>(" + plus("base", one.table + free) + ", 0);\n";
        free += width;
      }
      next = field->at;
    }
    // Between the table's distance and its first field.
    for (std::uint32_t free = 4; free < next; free += 4) {
      puts += "  put<std::uint32_t>(" + plus("base", one.table + free) + ", 0);\n";
    }
    out_ += "// The table itself, last line first.\ntemplate <taut::stubs::Place place>\n";
    out_ += std::string("void " + self(one) + "store_values(std::byte* base, const Init&") + (uses_init ? " init" : "") + ") noexcept {\n  using namespace taut::stubs;\n";
    out_ += puts + "  put_image<place>(base, kImage);\n";
    for (const Field* field : live(one)) {
      if (field->is_part() || !field->may_be_absent()) continue;
      out_ += "  if (!init." + field->name + ") put<std::uint16_t>(base + " + dec(4 + field->entry()) + ", 0);\n";
    }
    out_ += "}\n\n";
  }

  // Stores the value, widened over zero bytes up to `next` where that makes one store of two.
  std::string put_value(const Object& one, const Field& field, std::uint32_t next, std::uint32_t& free) const {
    const std::string at = plus("base", one.table + field.at);
    std::string value = "init." + field.name;
    const std::string type = element_type(model_, field);
    if (field.may_be_absent()) value += ".value_or(" + type + "{})";
    const bool integral = field.kind == Kind::scalar && field.base != reflection::Float && field.base != reflection::Double;
    if (!integral) return "put<" + type + ">(" + at + ", " + value + ");";
    std::uint32_t width = field.bytes;
    while (width < 8 && field.at + 2 * width <= next && (one.table + field.at) % (2 * width) == 0) width *= 2;
    if (width == field.bytes) return "put<" + type + ">(" + at + ", " + value + ");";
    free = field.at + width;
    const std::string wide = "std::uint" + dec(8 * width) + "_t";
    const std::string narrow = "std::uint" + dec(8 * field.bytes) + "_t";
    if (narrow != type) value = "static_cast<" + narrow + ">(" + value + ")";
    return "put<" + wide + ">(" + at + ", " + value + ");";
  }

  void store(const Object& one) {
    const bool constant = one.constant();
    out_ += "template <taut::stubs::Place place>\n";
    out_ += "std::uint32_t " + self(one) + "store(std::byte* message, std::uint32_t base, std::uint32_t end, const Init& init) noexcept {\n  using namespace taut::stubs;\n";
    if (constant) {
      out_ += "  store_values<place>(message + base, init);\n  return end;\n}\n\n";
      return;
    }
    std::string absents;
    for (const Field* field : live(one)) {
      if (!field->is_part()) continue;
      out_ += "  ";
      if (field->may_be_absent()) {
        out_ += "if (" + is_there(*field) + ") ";
        absents += "  if (" + is_absent(*field) + ") put_absent(message + base, " + dec(4 + field->entry()) + ", " +
                   dec(one.table + field->at) + ");\n";
      }
      out_ += "end = put_" + part_suffix(*field) + "(message, " + plus("base", one.table + field->at) + ", end, " +
              value(*field) + ");\n";
    }
    out_ += "  store_values<place>(message + base, init);\n" + absents + "  return end;\n}\n\n";
  }

  // ---- comparing ----

  // One test per enum inside the value at `at`.
  void enum_tests(const Field& field, const std::string& pointer, std::uint32_t at, std::vector<std::string>& tests) const {
    if (field.base == reflection::Obj) {
      for (const Field& member : object_of(model_, field).fields) {
        for (std::uint32_t i = 0; i != std::max(1u, member.array); ++i) {
          const std::uint32_t bytes =
              member.base == reflection::Obj ? object_of(model_, member).struct_bytes : scalar_bytes(member.base);
          enum_tests(member, pointer, at + member.struct_offset + i * bytes, tests);
        }
      }
    } else if (is_enum(field)) {
      tests.push_back(enum_test(enum_of(model_, field), plus(pointer, at)));
    }
  }

  void compare(const Object& one) {
    std::string body;
    bool uses_size = false;
    for (const Field* field : live(one)) {
      const std::string entry = dec(4 + field->entry());
      if (field->may_be_absent()) {
        body += "  if (!entry_is(at, " + entry + ", " + dec(field->at) + ")) return 0;\n";
      }
      if (field->is_part()) {
        uses_size = true;
        const std::string place = plus("base", one.table + field->at);
        std::string test = "(end = check_" + part_suffix(*field) + "(message, size, " + place + ", end" +
                           cap(*field) + ")) == 0";
        std::vector<std::string> tests;
        if (field->kind == Kind::scalars || field->kind == Kind::structures) enum_tests(*field, "item", 0, tests);
        if (!tests.empty()) {
          std::string all;
          for (const std::string& one_test : tests) all += (all.empty() ? "" : " && ") + one_test;
          test = "(" + test + " ||\n      !all_items<" + element_type(model_, *field) + ">(message, " + place +
                 ", [](const std::byte* item) { return " + all + "; }))";
        }
        if (field->may_be_absent()) test = "!absent(at, " + entry + ") && " + test;
        body += "  if (" + test + ") return 0;\n";
      } else {
        // An absent scalar or struct is zeros in our layout, which need not be a value of the enum.
        std::vector<std::string> tests;
        enum_tests(*field, "at", one.table + field->at, tests);
        const std::string there = field->may_be_absent() ? "!absent(at, " + entry + ") && " : "";
        for (const std::string& test : tests) body += "  if (" + there + "!" + test + ") return 0;\n";
      }
    }
    out_ += "template <taut::stubs::Place place>\n";
    out_ += std::string("std::uint32_t " + self(one) + "compare(const std::byte* message, ") + (uses_size ? "std::uint32_t size" : "std::uint32_t") +
            ", std::uint32_t base, std::uint32_t end) noexcept {\n  using namespace taut::stubs;\n";
    out_ += "  const std::byte* const at = message + base;\n";
    out_ += "  if (!same<place>(at, kImage)) return 0;\n";
    out_ += body + "  return end;\n}\n\n";
  }

  // ---- field by field ----

  static bool has_vectors(const Object& one) {
    return std::any_of(one.fields.begin(), one.fields.end(), [](const Field& f) {
      return !f.deprecated && (f.kind == Kind::scalars || f.kind == Kind::structures);
    });
  }

  void setters(const Object& one) {
    const std::string type = cpp_name(one.name);
    out_ += "// Fills a " + one.name + " in claimed room, in any order; what is not set has its default or is absent.\n";
    out_ += "class taut::Schema<" + type + ">::Setters : private taut::stubs::SettersBase {\n  using Base = taut::stubs::SettersBase;\n\n public:\n";
    out_ += "  Setters(std::byte* message, std::uint32_t room) noexcept : Base(message, room, kBlock) {\n";
    out_ += "    if (!Base::fits()) return;\n";
    out_ += "    store_values<taut::stubs::Place::root>(message, Init{});\n";
    for (const Field* field : live(one)) {
      if (field->is_part()) {
        out_ += "    taut::stubs::put_absent(message, " + dec(4 + field->entry()) + ", " + dec(one.table + field->at) + ");\n";
      }
    }
    out_ += "  }\n\n  using Base::fits;\n";
    for (const Field* field : live(one)) {
      comment(out_, field->documentation, "  ");
      setter(one, *field);
    }
    out_ += "\n  // Bytes of the message; 0 when it did not fit. Required fields that were not set become empty.\n";
    out_ += "  std::uint32_t finish() noexcept {\n";
    for (const Field* field : live(one)) {
      if (!field->is_part() || !field->required) continue;
      const bool span = field->kind == Kind::scalars || field->kind == Kind::structures;
      out_ += "    if (!Base::is_present(" + dec(4 + field->entry()) + ")) " + (span ? "(void)" : "") + "this->" + field->name +
              (span ? "(0);\n" : "({});\n");
    }
    out_ += "    return Base::bytes();\n  }\n};\n\n";
  }

  void setter(const Object& one, const Field& field) {
    const std::string place = dec(one.table + field.at);
    const std::string present = "Base::present(" + dec(4 + field.entry()) + ", " + dec(field.at) + ");";
    if (field.kind == Kind::scalar || field.kind == Kind::structure) {
      const std::string type = element_type(model_, field);
      const std::string parameter = field.kind == Kind::structure ? "const " + type + "& value" : type + " value";
      out_ += "  void " + field.name + "(" + parameter + ") noexcept {\n    Base::set(" + place + ", value);\n";
      if (field.may_be_absent()) out_ += "    " + present + "\n";
      out_ += "  }\n";
      return;
    }
    if (field.kind == Kind::scalars || field.kind == Kind::structures) {
      const std::string type = element_type(model_, field);
      out_ += "  [[nodiscard]] std::span<" + type + "> " + field.name + "(std::size_t count) noexcept {\n";
      out_ += "    " + present + "\n    return Base::items<" + type + ">(" + place + ", count" + cap(field) + ");\n  }\n";
      return;
    }
    const std::string suffix = part_suffix(field);
    std::string type = init_type(model_, field);
    if (field.kind == Kind::table) type = init_name(object_of(model_, field));
    const std::string parameter = field.kind == Kind::string ? type + " value" : "const " + type + "& value";
    out_ += "  void " + field.name + "(" + parameter + ") noexcept {\n    " + present + "\n";
    out_ += "    Base::append(taut::stubs::after_" + suffix + "(Base::end(), value" + cap(field) + "), [&](std::uint32_t end) {\n";
    out_ += "      return taut::stubs::put_" + suffix + "(Base::message(), " + place + ", end, value);\n    });\n  }\n";
  }

  // ---- services ----

  void service(const Service& one) {
    const std::string name = last_name(one.name);
    in_namespace(name_space(one.name), [&] {
      comment(out_, one.documentation, "");
      out_ += "struct " + name + " {\n";
      out_ += "  class Service;\n  class Client;\n";
      out_ += "  static const taut::rpc::ServiceDescription& description() noexcept;\n};\n\n";
      base(one, name);
      client(one, name);
    });
  }

  const Object& object(int index) const { return model_.objects[static_cast<std::size_t>(index)]; }

  void base(const Service& one, const std::string& name) {
    out_ += "// Override what the service can do; the other methods answer unimplemented.\n";
    out_ += "class " + name + "::Service : public taut::Service {\n public:\n";
    out_ += "  [[nodiscard]] const taut::rpc::ServiceDescription& description() const noexcept final { return " + name + "::description(); }\n";
    for (const Method& method : one.methods) {
      out_ += "\n";
      comment(out_, method.documentation, "  ");
      const std::string request = cpp_name(object(method.request).name), reply = cpp_name(object(method.reply).name);
      if (method.oneway) {
        out_ += "  virtual void " + method.name + "(const " + request + "& request);\n";
      } else {
        out_ += "  virtual void " + method.name + "(const " + request + "& request, taut::Reply<" + reply + "> reply);\n";
      }
    }
    out_ += "};\n\n";
  }

  void client(const Service& one, const std::string& name) {
    out_ += "// Calls the service at the other end of a link, which outlives the client.\n";
    out_ += "class " + name + "::Client : private taut::stubs::Caller {\n public:\n";
    out_ += "  explicit Client(taut::Link& link) : Caller(link, " + name + "::description()) {}\n";
    std::set<std::string> sends;
    for (std::size_t i = 0; i != one.methods.size(); ++i) {
      const Method& method = one.methods[i];
      const Object& request_table = object(method.request);
      const std::string request = cpp_name(request_table.name), reply = cpp_name(object(method.reply).name);
      const std::string types = "<" + request + ", " + reply + ">";
      const std::string init = init_name(request_table);
      const std::string index = dec(i);
      out_ += "\n";
      comment(out_, method.documentation, "  ");
      if (method.oneway) {
        out_ += "  // Sent without an answer; false when it could not be sent.\n";
        out_ += "  [[nodiscard]] bool " + method.name + "(const " + init + "& request) noexcept {\n";
        out_ += "    return Caller::tell<" + request + ">(" + index + ", request);\n  }\n";
        continue;
      }
      out_ += "  taut::Call<" + reply + "> " + method.name + "(const " + init + "& request, taut::CallOptions options = {}) noexcept {\n";
      out_ += "    return Caller::call" + types + "(" + index + ", request, options);\n  }\n";
      out_ += "  taut::Answer<" + reply + "> " + method.name + "(const " + init + "& request, taut::stubs::Waiting wait) noexcept {\n";
      out_ += "    return Caller::wait" + types + "(" + index + ", request, wait.get());\n  }\n";
      if (!has_vectors(request_table)) continue;
      out_ += "  taut::Claim" + types + " claim_" + method.name + "(std::uint32_t bytes_max) noexcept {\n";
      out_ += "    return Caller::claim" + types + "(" + index + ", bytes_max);\n  }\n";
      if (!sends.insert(types).second) continue;
      out_ += "  taut::Call<" + reply + "> send(taut::Claim" + types + "&& claim, taut::CallOptions options = {}) noexcept {\n";
      out_ += "    return Caller::send(std::move(claim), options);\n  }\n";
    }
    out_ += "};\n\n";
  }

  const Model& model_;
  std::string name_;
  std::string out_;
};

}  // namespace

std::string emit_header(const Model& model, const std::string& name) { return Header(model, name).text(); }

}  // namespace gen
