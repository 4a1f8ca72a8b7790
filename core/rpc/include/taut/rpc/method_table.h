// Which services a server offers and which index each method has on its links. Agreed in the handshake: requests name
// methods by index, so that services share a link and a lookup is an array access.
//
// Threads  built at set-up, constant afterwards.
// Trust    parse() takes bytes of the peer: every length is checked, and a table that contradicts itself is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "taut/base/result.h"
#include "taut/rpc/service.h"

namespace taut::rpc {

struct MethodEntry {
  std::string name;
  std::uint16_t id = 0;
  CallKind kind = CallKind::unary;
};

struct ServiceEntry {
  std::string name;
  std::uint64_t fingerprint = 0;
  std::uint16_t first_index = 0;  // of its first method; the others follow in order
  std::vector<MethodEntry> methods;
};

class MethodTable {
 public:
  static constexpr std::size_t kMethodsMax = 4096;
  static constexpr std::size_t kServicesMax = 256;
  static constexpr std::size_t kNameBytesMax = 255;
  static constexpr std::size_t kBytesMax = 2 << 20;  // of a serialized table: more than any has

  MethodTable() = default;
  // Refused: two services of one name, more than the maxima.
  static Result<MethodTable> of(std::span<const ServiceDescription* const> services);
  static Result<MethodTable> parse(std::span<const std::byte> bytes);
  [[nodiscard]] std::vector<std::byte> serialize() const;

  [[nodiscard]] std::span<const ServiceEntry> services() const noexcept { return services_; }
  [[nodiscard]] const ServiceEntry* find(std::string_view service) const noexcept;
  [[nodiscard]] std::uint16_t method_count() const noexcept { return method_count_; }

 private:
  std::vector<ServiceEntry> services_;
  std::uint16_t method_count_ = 0;
};

}  // namespace taut::rpc
