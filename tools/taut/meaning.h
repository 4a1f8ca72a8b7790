// What the numbers in a record mean: names of methods and JSON of payloads, by the descriptions of services.
//
// Threads  one.
// Trust    descriptions and payloads come from other processes: schemas are checked once, payloads as they are decoded.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "decode.h"
#include "taut/shm/observe.h"

namespace taut::tool {

struct Shown {
  std::string json;     // empty: it cannot be decoded
  bool cut = false;     // something was left out
  std::string trouble;  // why there is no JSON
};

class Meaning {
 public:
  // What the methods of shm://`service` are, by index. If it is known already, the first one counts.
  void add(const std::string& service, std::span<const rpc::ServiceEntry> entries,
           std::vector<std::vector<std::byte>> schemas);
  [[nodiscard]] bool knows(const std::string& service) const { return services_.contains(service); }

  // desk.Orders/Place, or "method 3" where nobody says.
  [[nodiscard]] std::string method(const std::string& service, std::uint64_t index) const;
  // Of a record whose method is known; "method 3 of the client" where the server calls.
  [[nodiscard]] std::string method(const std::string& service, const shm::ObservedRecord& record) const;
  [[nodiscard]] Shown payload(const std::string& service, const shm::ObservedRecord& record,
                              const DecodeLimits& limits) const;

 private:
  struct Entry {
    std::string name;  // Service/Method
    const reflection::Schema* schema = nullptr;
    const reflection::Object* request = nullptr;
    const reflection::Object* reply = nullptr;
    std::string trouble;  // why they are null
  };
  struct Known {
    std::vector<std::vector<std::byte>> schemas;  // whose bytes the entries point into
    std::vector<Entry> methods;                   // by index
  };
  std::map<std::string, Known> services_;
};

// The first bytes, for what cannot be decoded: "0a 1b 2c ... (88 bytes)".
std::string hex(std::span<const std::byte> bytes, std::size_t most, std::size_t all);

}  // namespace taut::tool
