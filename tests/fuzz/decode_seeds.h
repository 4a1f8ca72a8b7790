// Schemas of every shape that FlatBuffers has, with messages of theirs: what fuzzing begins with.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "decode_input.h"
#include "flatbuffers/idl.h"

namespace taut::fuzz {

struct Seed {
  const char* schema;
  const char* table;
  const char* json;
};

inline constexpr Seed kSeeds[] = {
    {"table T { a:byte; b:ubyte; c:short; d:ushort; e:int; f:uint; g:long; h:ulong; i:float; j:double; k:bool; }", "T",
     R"({"a":-128,"b":255,"c":-3,"d":65535,"e":-5,"f":4294967295,"g":-9223372036854775808,"h":18446744073709551615,"i":1.5,"j":-0.1,"k":true})"},
    {"table T { a:int = 7; b:int = null; c:double = 2.5; d:string (deprecated); e:bool = true; }", "T", "{}"},
    {"table T { s:string (required); v:[string]; w:[ubyte]; }", "T",
     R"({"s":"plain","v":["","\"quoted\"","\u00e9\u4e2d\ud83d\ude00"],"w":[0,1,255]})"},
    {"struct P { x:short; y:double; } struct Q { p:P; n:[int:3]; ps:[P:2]; } table T { q:Q; qs:[Q]; }", "T",
     R"({"q":{"p":{"x":1,"y":2.0},"n":[1,2,3],"ps":[{"x":4,"y":5.0},{"x":6,"y":7.0}]},"qs":[{"p":{"x":1,"y":2.0},"n":[1,2,3],"ps":[{"x":4,"y":5.0},{"x":6,"y":7.0}]}]})"},
    {"enum E:byte { low = -3, high = 100 } enum F:ubyte (bit_flags) { one, two, three } "
     "table T { e:E = low; es:[E]; f:F = one; fs:[F]; }",
     "T", R"({"e":"high","es":["low",5],"f":"one three","fs":["two",64]})"},
    {"table A { n:int; } table B { s:string; } union U { A, B } table T { u:U; t:T; ts:[T]; }", "T",
     R"({"u_type":"B","u":{"s":"in a union"},"t":{"u_type":"A","u":{"n":3},"t":{}},"ts":[{},{"t":{"t":{}}}]})"},
    {"table T { next:T; }", "T",
     R"({"next":{"next":{"next":{"next":{"next":{"next":{"next":{"next":{"next":{}}}}}}}}}})"},
};

struct Made {
  std::vector<std::byte> schema;
  std::vector<std::byte> message;
};

inline flatbuffers::IDLOptions seed_options() {
  flatbuffers::IDLOptions options;
  options.strict_json = true;
  options.output_default_scalars_in_json = true;
  options.indent_step = -1;
  options.binary_schema_builtins = true;
  return options;
}

inline std::vector<std::byte> bytes_of(flatbuffers::FlatBufferBuilder& builder) {
  const auto* begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {begin, begin + builder.GetSize()};
}

inline Made make(const Seed& seed) {
  flatbuffers::Parser parser(seed_options());
  if (!parser.Parse(seed.schema)) throw std::runtime_error(parser.error_);
  parser.SetRootType(seed.table);
  Made made;
  parser.Serialize();
  made.schema = bytes_of(parser.builder_);
  parser.builder_.Clear();
  if (!parser.ParseJson(seed.json)) throw std::runtime_error(parser.error_);
  made.message = bytes_of(parser.builder_);
  return made;
}

// Which table of the made schema is the seed's.
inline std::uint8_t table_of(const Seed& seed, const Made& made) {
  const auto& objects = *reflection::GetSchema(made.schema.data())->objects();
  for (unsigned i = 0; i != objects.size(); ++i) {
    if (objects.Get(i)->name()->string_view() == seed.table) return static_cast<std::uint8_t>(i);
  }
  throw std::runtime_error("the schema lacks its table");
}

}  // namespace taut::fuzz
