// What a service says about itself to clients and tools: its method table and the binary schemas, in one memory file
// that nobody can write any more. Made once, when the service begins to listen.
//
//   offset  bytes  word
//        0      8  magic: "taut dsc"
//        8      4  layout version (0)
//       12      4  number of services
//       16      8  bytes of the method table
//       24      8  bytes of all that follows from offset 0
//       32    8 n  bytes of each service's schema, in the table's order; 0: it has none
//               …  method table (taut/rpc/method_table.h)
//               …  schemas
//
// Trust  a peer's file is read with pread(), so that no access can fault, and every length is checked.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "taut/base/result.h"
#include "taut/memory/descriptor.h"
#include "taut/rpc/method_table.h"

namespace taut::shm {

struct DescriptionFile {
  memory::Descriptor fd;
  std::uint64_t bytes = 0;  // of the file
};

Result<DescriptionFile> make_description(const std::string& service, const rpc::MethodTable& methods,
                                         std::span<const rpc::ServiceDescription* const> services);

struct ReadDescription {
  rpc::MethodTable methods;
  std::vector<std::vector<std::byte>> schemas;  // as many as services; empty unless they were asked for
};
enum class Schemas : unsigned char { skip, read };
Result<ReadDescription> read_description(const memory::Descriptor& fd, std::uint64_t bytes, Schemas schemas,
                                         std::string_view whose);

}  // namespace taut::shm
