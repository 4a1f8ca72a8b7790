// Writes what people read: NAME.taut.h with init structs, the layout of each table and the service's stubs, and
// NAME.taut.cpp with the tables as data, the functions that serve, and the schema itself.
#pragma once

#include <span>
#include <string>

#include "model.h"

namespace gen {

std::string emit_header(const Model& model, const std::string& name);
std::string emit_source(const Model& model, const std::string& name, std::span<const std::uint8_t> schema);

}  // namespace gen
