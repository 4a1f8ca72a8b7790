#include "names.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace gen {
namespace {

constexpr std::array kKeywords = {
    "alignas",     "alignof",  "and",        "and_eq",    "asm",       "auto",         "bitand",
    "bitor",       "bool",     "break",      "case",      "catch",     "char",         "char16_t",
    "char32_t",    "char8_t",  "class",      "co_await",  "co_return", "co_yield",     "compl",
    "concept",     "const",    "const_cast", "consteval", "constexpr", "constinit",    "continue",
    "decltype",    "default",  "delete",     "do",        "double",    "dynamic_cast", "else",
    "enum",        "explicit", "export",     "extern",    "false",     "float",        "for",
    "friend",      "goto",     "if",         "inline",    "int",       "long",         "mutable",
    "namespace",   "new",      "noexcept",   "not",       "not_eq",    "nullptr",      "operator",
    "or",          "or_eq",    "private",    "protected", "public",    "register",     "reinterpret_cast",
    "requires",    "return",   "short",      "signed",    "sizeof",    "static",       "static_assert",
    "static_cast", "struct",   "switch",     "template",  "this",      "thread_local", "throw",
    "true",        "try",      "typedef",    "typeid",    "typename",  "union",        "unsigned",
    "using",       "virtual",  "void",       "volatile",  "wchar_t",   "while",        "xor",
    "xor_eq"};

// The schemas that come with taut, for example health/taut_health.fbs.
constexpr std::string_view kOurs = "taut.health";

class Names {
 public:
  Names(const Model& model, std::vector<Problem>& problems) : model_(model), problems_(problems) {}

  void check() {
    namespaces();
    for (const Enum& one : model_.enums) values(one);
    names();
  }

 private:
  void error(const Where& where, std::string text) { problems_.push_back({where, std::move(text), false}); }

  void namespaces() {
    std::set<std::string> seen;
    const auto look = [&](const std::string& name, const Where& where) {
      const std::string space = name_space(name);
      if (!seen.insert(space).second) return;
      for (std::size_t from = 0; from <= space.size();) {
        const std::size_t dot = std::min(space.find('.', from), space.size());
        const std::string part = space.substr(from, dot - from);
        if (is_keyword(part)) {
          error(where,
                "namespace " + quoted(space) + " holds the C++ keyword " + quoted(part) + "; give it another name");
        }
        if (from == 0 && space != kOurs && (part == "taut" || part == "std" || part == "flatbuffers")) {
          error(where, "namespace " + quoted(part) + " belongs to a library; give the schema a namespace of its own");
        }
        from = dot + 1;
      }
    };
    for (const Service& one : model_.services) look(one.name, one.where);
    for (const Object& one : model_.objects) look(one.name, one.where);
    for (const Enum& one : model_.enums) look(one.name, one.where);
  }

  // Names that the generated header would declare twice.
  void names() {
    std::map<std::string, std::string> taken;
    for (const Object& one : model_.objects) taken[one.name] = one.is_struct ? "struct" : "table";
    for (const Enum& one : model_.enums) taken[one.name] = "enum";
    for (const Object& one : model_.objects) {
      if (is_keyword(last_name(one.name))) {
        error(one.where,
              quoted(last_name(one.name)) + " is a C++ keyword; give the " + taken[one.name] + " another name");
      }
      if (one.is_struct) continue;
      if (const auto other = taken.find(one.name + "Init"); other != taken.end()) {
        error(one.where, "the init struct of table " + quoted(last_name(one.name)) + " and the " + other->second + " " +
                             quoted(last_name(other->first)) + " would have one name; rename either");
      }
    }
    for (const Service& one : model_.services) {
      if (const auto other = taken.find(one.name); other != taken.end()) {
        error(one.where, "service " + quoted(last_name(one.name)) + " has the name of a " + other->second +
                             "; rename either, for example " + quoted(last_name(one.name) + "Service"));
      }
      if (is_keyword(last_name(one.name))) {
        error(one.where, quoted(last_name(one.name)) + " is a C++ keyword; give the service another name");
      }
    }
  }

  void values(const Enum& one) {
    if (one.is_union) return;
    if (is_keyword(last_name(one.name))) {
      error(one.where, quoted(last_name(one.name)) + " is a C++ keyword; give the enum another name");
    }
    for (const EnumValue& value : one.values) {
      if (is_keyword(value.name)) {
        error(one.where, "value " + quoted(value.name) + " of enum " + quoted(last_name(one.name)) +
                             " is a C++ keyword; rename it, for example " + quoted(value.name + "_value"));
      }
    }
  }

  const Model& model_;
  std::vector<Problem>& problems_;
};

}  // namespace

bool is_keyword(std::string_view name) {
  return std::find(kKeywords.begin(), kKeywords.end(), name) != kKeywords.end();
}

void check_names(const Model& model, std::vector<Problem>& problems) { Names(model, problems).check(); }

}  // namespace gen
