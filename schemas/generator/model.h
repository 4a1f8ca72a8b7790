// A schema as the generator sees it: read from a binary schema, names in C++ and in schema spelling, every field with
// its place in the message, and the line that declares each thing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "flatbuffers/reflection.h"

namespace gen {

using Attributes = std::map<std::string, std::string, std::less<>>;

// Where something is declared. Line 0: not found.
struct Where {
  std::string file;
  int line = 0;
};

struct EnumValue {
  std::string name;
  std::int64_t value;
  int object = -1;  // of a union's member: its table
  Where where;
};

struct Enum {
  std::string name;  // desk.Side
  reflection::BaseType underlying;
  std::vector<EnumValue> values;  // in order of value
  bool flags = false;
  bool is_union = false;
  bool own = false;  // declared in the file that is being compiled
  Where where;
};

enum class Kind { scalar, structure, string, table, scalars, structures, strings, tables, unsupported };

struct Field {
  std::string name;
  std::uint16_t id = 0;
  Kind kind = Kind::unsupported;
  reflection::BaseType base = reflection::None;  // of the scalar, the element or the array's element
  int index = -1;                                // of the enum or object behind `base`
  std::uint32_t array = 0;                       // elements of a fixed array in a struct
  std::uint32_t struct_offset = 0;
  std::int64_t default_integer = 0;
  double default_real = 0;
  std::string lost_default;  // of a ulong above 2^63 - 1, as the schema spells it: binary schemas cannot hold it
  bool required = false;
  bool nullable = false;  // a scalar without a default
  bool deprecated = false;
  bool optional = false;    // the attribute: readers expect it to be absent
  std::string unsupported;  // why the kind is not supported, as the end of "field 'x' is ..."
  std::uint32_t max = 0;    // 0: no cap
  Attributes attributes;
  std::vector<std::string> documentation;
  Where where;

  // What it takes in the table itself; set by the layout, `at` counts from the table's start.
  std::uint32_t bytes = 0;
  std::uint32_t align = 1;
  std::uint32_t at = 0;

  [[nodiscard]] std::uint32_t entry() const { return 4 + 2 * id; }  // in the vtable
  [[nodiscard]] bool is_part() const { return kind != Kind::scalar && kind != Kind::structure; }
  // May a message leave it out and still be ours?
  [[nodiscard]] bool may_be_absent() const {
    if (kind == Kind::scalar) return nullable;
    if (kind == Kind::structure) return optional;
    return !required;
  }
};

struct Object {
  std::string name;  // desk.Order
  bool is_struct = false;
  bool own = false;
  std::vector<Field> fields;  // in order of id
  std::uint32_t struct_bytes = 0;
  std::uint32_t struct_align = 1;
  std::vector<std::string> documentation;
  Where where;

  // The block, see taut/stubs/wire.h.
  std::uint32_t table = 0;
  std::uint32_t block = 0;
  std::uint32_t align = 4;

  bool supported = true;   // with everything that it reaches
  bool recursive = false;  // reaches a table that contains itself

  [[nodiscard]] std::uint32_t vtable_entries() const { return static_cast<std::uint32_t>(fields.size()); }
  // Nothing follows the block.
  [[nodiscard]] bool constant() const;
};

// As taut::rpc::CallKind, which this program does not link.
enum class CallKind { unary, oneway, server_stream, client_stream, both_ways };
const char* to_text(CallKind kind);

struct Method {
  std::string name;
  int request = -1;
  int reply = -1;
  std::uint16_t id = 0;
  bool has_id = false;
  CallKind kind = CallKind::unary;
  bool idempotent = false;
  bool urgent = false;
  bool needed = false;
  std::int64_t timeout_ns = 0;
  std::uint32_t limit = 0;
  Attributes attributes;
  std::vector<std::string> documentation;
  Where where;

  [[nodiscard]] bool is_stream() const { return kind > CallKind::oneway; }
};

struct Service {
  std::string name;  // desk.Orders
  std::vector<Method> methods;
  std::vector<std::string> documentation;
  bool own = false;
  Where where;
};

struct Model {
  std::vector<Enum> enums;
  std::vector<Object> objects;
  std::vector<Service> services;
  std::vector<std::string> includes;  // base names of the included schemas: common
  std::vector<std::string> files;     // all that were read, the own one first
};

// Names.
std::string cpp_name(std::string_view schema_name);    // desk.Order -> desk::Order
std::string last_name(std::string_view schema_name);   // desk.Order -> Order
std::string name_space(std::string_view schema_name);  // desk.Order -> desk

std::uint32_t scalar_bytes(reflection::BaseType base);
bool is_scalar(reflection::BaseType base);
bool is_signed(reflection::BaseType base);

// `own_file` is the .fbs as the user named it; its folder is where included files are looked for.
Model read_model(const reflection::Schema& schema, const std::string& own_file);

// Gives every table its block, once all fields are known to be supported.
void lay_out(Model& model);

// Most bytes of a message by the schema's caps; 0 when they set no bound.
std::uint64_t message_bound(const Model& model, const Object& table);

}  // namespace gen
