// One number for everything that two programs must agree on to read each other's bytes by comparison.
//
// It is FNV-1a, 64 bits, over the canonical form: a text of lines in a fixed order. Not over the .bfbs, which changes
// with comments, file names and the compiler's version. An accident is as likely as 64 bits allow; nobody gains by
// forging one, since it only chooses between two ways of checking the same bytes.
#pragma once

#include <cstdint>
#include <string>

#include "model.h"

namespace gen {

//   service desk.Orders
//   method 1 Place desk.Order desk.Ack
//   table desk.Order          everything the methods reach, in order of name
//   field 0 id ULong 0        id, name, type, then default and attributes that change bytes
//   struct desk.Level 16 8
//   member price Long 0
//   enum desk.Side UByte
//   value buy 0
std::string canonical_form(const Model& model, const Service& service);

std::uint64_t fnv1a(const std::string& text);

}  // namespace gen
