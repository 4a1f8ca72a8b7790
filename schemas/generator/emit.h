// Writes what people read: NAME.taut.h with init structs, the layout of each table and the service's stubs, and
// NAME.taut.cpp with the tables as data, the functions that serve, and the schema itself.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model.h"
#include "printer.h"

namespace gen {

std::string emit_header(const Model& model, const std::string& name);
std::string emit_source(const Model& model, const std::string& name, std::span<const std::uint8_t> schema);

// Parts of the header.
void emit_schema(Printer& print, const Model& model, const Object& table);         // struct taut::Schema<T>
void emit_schema_bodies(Printer& print, const Model& model, const Object& table);  // its functions
void emit_setters(Printer& print, const Model& model, const Object& table);        // its Setters
void emit_service(Printer& print, const Model& model, const Service& service);     // Service and Client

// What a handler takes, in order.
struct Parameter {
  std::string type, name;
};
std::vector<Parameter> handler_parameters(const Model& model, const Method& method);

// Tables that this header describes.
inline bool is_emitted(const Object& one) { return one.own && !one.is_struct && one.supported; }
// Tables with vectors to fill can be written in the record: they get Setters, and methods that take them a claim.
bool has_setters(const Object& table);

}  // namespace gen
