// One line of JSON from a message that nobody vouches for: copied out of the ring of a process that may be broken or
// lie. Every access is held against the message's bytes before it is made, and how deep and how long the text becomes
// is bounded, since a few bytes of offsets can name one table a million times.
//
// Threads  any.
// Memory   a text within its limits, and nothing else.
// Trust    the schema passed check_schema(); the message is a private copy, so it cannot change under the check.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "schema_check.h"
#include "taut/base/result.h"

namespace taut::tool {

struct DecodeLimits {
  unsigned depth = 32;              // tables and structs in each other; what lies deeper is "..."
  std::size_t elements = 64;        // of each vector
  std::size_t string_bytes = 1024;  // of each string
  std::size_t text_bytes = 16384;   // of all; the text may be longer by what closes it
};

struct Decoded {
  std::string json;
  bool cut = false;  // a limit left something out; it was not checked either
};

// invalid_argument: the message is not a valid `table`; the sentence says why. Structure, alignment, required fields
// and strings are checked as FlatBuffers' Verifier does; ranges of enums and caps are not.
Result<Decoded> decode(const reflection::Schema& schema, const reflection::Object& table,
                       std::span<const std::byte> message, const DecodeLimits& limits = {});

}  // namespace taut::tool
