// A schema at run time: JSON to messages and back, by the binary schema that a service hands out.
//
// Threads  one at a time.
// Trust    the schema is the peer's: it is verified before it is used. So is every message before it is printed.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taut/base/result.h"
#include "taut/rpc/service.h"

namespace taut::tool {

struct SchemaMethod {
  std::string request;  // names of the tables, with namespace
  std::string reply;
  rpc::CallKind kind = rpc::CallKind::unary;
  bool urgent = false;
};

class Schema {
 public:
  // `whose` begins the sentence of a refusal: "the schema of shm://orders".
  static Result<Schema> of(std::span<const std::byte> binary, std::string_view whose);
  Schema(Schema&&) noexcept;
  ~Schema();

  Result<SchemaMethod> method(std::string_view service, std::string_view method) const;
  // Names of a table's fields, in the order of the schema.
  [[nodiscard]] std::vector<std::string> fields(const std::string& table) const;

  // The refusal names the place in `json`.
  Result<std::vector<std::byte>> message(const std::string& table, const std::string& json);
  // Plain values in the order of the fields; those that are not given keep their defaults.
  Result<std::string> json_of_values(const std::string& table, std::span<const std::string> values) const;
  // On one line.
  Result<std::string> json(const std::string& table, std::span<const std::byte> message);

 private:
  struct Parts;
  explicit Schema(std::unique_ptr<Parts> parts) noexcept;
  std::unique_ptr<Parts> parts_;
};

}  // namespace taut::tool
