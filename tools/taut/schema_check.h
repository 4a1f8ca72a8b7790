// Is this a schema that can be walked without looking back? Schemas come from services, files and the memory of other
// processes; FlatBuffers' Verifier says that their bytes are well formed, and its reflection then believes every index,
// offset and type in them. This check holds those too.
//
// Threads  any.
// Memory   the bytes must outlive the Schema that is given back.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "flatbuffers/reflection.h"
#include "taut/base/result.h"
#include "taut/rpc/service.h"

namespace taut::tool {

// `whose` begins the sentence of a refusal: "the schema of shm://orders". `binary` stands 16-aligned.
//
// S1  Every index of a type names an object or an enum that is there; every base type is known.
// S2  A struct lies within its bytes, holds only scalars, structs and arrays of them, and never itself; no two structs
//     are nested deeper than kStructDepthMax.
// S3  A field of a table has an even offset >= 4, and no two have one; a union has its type in the field before it.
// S4  Names are made of letters, digits, '_' and '.', so that they can be printed.
Result<const reflection::Schema*> check_schema(std::span<const std::byte> binary, std::string_view whose);

inline constexpr unsigned kStructDepthMax = 16;

// Bytes of a scalar, or of what stands in a table for anything else: an offset, or a whole struct.
std::size_t inline_bytes(const reflection::Schema& schema, const reflection::Type& type);
inline bool is_scalar(reflection::BaseType type) noexcept {
  return type >= reflection::UType && type <= reflection::Double;
}

// By name, or null. Searched one after the other: g++ 12 takes the library's binary search for a read past a table's
// end.
const reflection::Object* table_named(const reflection::Schema& schema, std::string_view name);
const reflection::KeyValue* attribute_named(const reflection::RPCCall& method, std::string_view name);

// As its attributes say; a value of (streaming) that taut-gen would refuse counts as unary.
rpc::CallKind kind_of(const reflection::RPCCall& method);

}  // namespace taut::tool
