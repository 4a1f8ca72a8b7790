// Parts of a schema in words: as they stand in a .fbs file, and as requests to fill in.
//
// Trust  the schema passed check_schema(); comments and attributes are made printable here.
#pragma once

#include <string>
#include <vector>

#include "schema_check.h"

namespace taut::tool {

// [desk.Level], ulong, [ubyte:8]
std::string type_text(const reflection::Schema& schema, const reflection::Type& type);
// int, and string too
const char* scalar_text(reflection::BaseType base) noexcept;
// What an absent scalar reads as, as JSON: 7, "buy", null for an optional one. Empty: the field is no scalar.
std::string default_text(const reflection::Schema& schema, const reflection::Field& field);

// Tables, structs and enums that messages of `table` can hold, itself first, each once.
struct Types {
  std::vector<const reflection::Object*> objects;
  std::vector<const reflection::Enum*> enums;
  void add(const reflection::Schema& schema, const reflection::Object& object);
  void add(const reflection::Schema& schema, const reflection::Enum& enumeration);

 private:
  void add(const reflection::Schema& schema, const reflection::Type& type);
};

// A message of `table` with everything in it, as one line of JSON: what to change and send.
std::string template_of(const reflection::Schema& schema, const reflection::Object& table);

// In the order in which they stand in memory, which is that of their ids; without deprecated ones.
std::vector<const reflection::Field*> live_fields(const reflection::Object& object);

// Without what a terminal might act on.
std::string printable(std::string_view text);

}  // namespace taut::tool
