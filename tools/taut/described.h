// What a target offers: asked of a live service, read from the memory of one that does not answer, or from a file.
//
// Threads  one.
// Trust    schemas were checked (schema_check.h) before anybody sees them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flatbuffers/reflection.h"
#include "taut/rpc/method_table.h"

namespace taut::tool {

struct Described {
  std::string target;  // shm://orders, or the file
  int pid = 0;         // of the server; 0: a file, or not seen from here
  std::string note;    // how it was learnt, where that is not obvious
  std::vector<rpc::ServiceEntry> services;
  bool has_fingerprints = false;
  std::vector<std::vector<std::byte>> schemas;  // of each service
};

// A schema, .fbs or .bfbs, as the name says.
bool is_schema_file(const std::string& target);

// None: said on stderr; `exit` is the exit code.
std::optional<Described> described_by_file(const std::string& path, int& exit);
std::optional<Described> described_by_service(const std::string& target, int& exit);

// The method's entry in a schema that was checked, or null.
const reflection::RPCCall* call_named(const reflection::Schema& schema, std::string_view service,
                                      std::string_view method);

}  // namespace taut::tool
