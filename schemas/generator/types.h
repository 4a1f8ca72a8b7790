// How a field is spelled in C++.
#pragma once

#include <string>
#include <vector>

#include "model.h"

namespace gen {

inline const Object& object_of(const Model& model, const Field& field) {
  return model.objects[static_cast<std::size_t>(field.index)];
}
inline const Enum& enum_of(const Model& model, const Field& field) {
  return model.enums[static_cast<std::size_t>(field.index)];
}
inline bool is_enum(const Field& field) {
  return field.base != reflection::Obj && is_scalar(field.base) && field.index >= 0;
}

// Fields that are not deprecated, in order of id.
std::vector<const Field*> live(const Object& one);
const char* kind_name(Kind kind);  // as in taut::stubs::FieldKind

std::string scalar_type(reflection::BaseType base);                // std::uint32_t
std::string element_type(const Model& model, const Field& field);  // of the scalar, struct, or vector's element
std::string init_type(const Model& model, const Field& field);     // of the member of the init struct
std::string init_value(const Model& model, const Field& field);    // its default member initialiser
std::string init_name(const Object& table);                        // desk::OrderInit
// The bits of a scalar's default, for the table as data.
std::string default_bits(const Field& field);
// Which after_, put_ and check_ function is for the part: string, items<T>, tables<T> ...; and its cap as last
// argument.
std::string part_name(const Model& model, const Field& field);
std::string cap_argument(const Field& field);
// Are all numbers from the least to the largest values of the enum?
bool is_dense(const Enum& one);
// An expression: does a value of the enum stand at the pointer?
std::string enum_test(const Enum& one, const std::string& at);

// Do any values of the struct have to be looked at?
bool has_enum(const Model& model, const Object& structure);

}  // namespace gen
