// MethodTable in memory and in bytes. Little-endian, without padding:
//
//   u16 version (1), u16 services
//   a service: u64 fingerprint, u16 methods, u8 bytes of its name, name
//   a method:  u16 id, u8 kind, u8 bytes of its name, name
//
// Indexes are not written: methods are numbered in the order in which they stand.
#include "taut/rpc/method_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace taut::rpc {
namespace {

constexpr std::uint16_t kVersion = 1;
static_assert(std::endian::native == std::endian::little);

Error bad_table(const char* why) { return make_error(Code::failed_precondition, 0, {}, "method table: %s", why); }

bool is_name(std::string_view name) noexcept {
  // Tools print names: nothing that a terminal would act on.
  return !name.empty() && name.size() <= MethodTable::kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

// Reads what a peer wrote, never beyond its end: what is not there reads as 0, and ok() says so afterwards.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) noexcept : left_(bytes) {}

  template <class Integer>
  Integer integer() noexcept {
    Integer value = 0;
    if (take(sizeof value)) std::memcpy(&value, taken_, sizeof value);
    return value;
  }
  std::string name() {
    const auto bytes = integer<std::uint8_t>();
    if (!take(bytes)) return {};
    return {reinterpret_cast<const char*>(taken_), bytes};
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] bool at_end() const noexcept { return left_.empty(); }

 private:
  bool take(std::size_t bytes) noexcept {
    ok_ = ok_ && bytes <= left_.size();
    if (!ok_) return false;
    taken_ = left_.data();
    left_ = left_.subspan(bytes);
    return true;
  }
  std::span<const std::byte> left_;
  const std::byte* taken_ = nullptr;
  bool ok_ = true;
};

class Output {
 public:
  template <class Integer>
  void integer(Integer value) {
    add(std::as_bytes(std::span(&value, 1)));
  }
  void name(std::string_view text) {
    integer(static_cast<std::uint8_t>(text.size()));
    add(std::as_bytes(std::span(text)));
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  // Not insert(): g++ 12 with the thread sanitizer sees it write behind the first two bytes, and warns.
  void add(std::span<const std::byte> bytes) {
    bytes_.resize(bytes_.size() + bytes.size());
    std::copy(bytes.begin(), bytes.end(), bytes_.end() - static_cast<std::ptrdiff_t>(bytes.size()));
  }

  std::vector<std::byte> bytes_;
};

Result<void> check_service(const ServiceEntry& service) {
  if (!is_name(service.name)) return bad_table("a service has no name that can be printed in 255 bytes");
  std::vector<std::uint16_t> ids;
  std::vector<std::string_view> names;
  for (const MethodEntry& method : service.methods) {
    if (!is_name(method.name)) return bad_table("a method has no name that can be printed in 255 bytes");
    ids.push_back(method.id);
    names.push_back(method.name);
  }
  std::sort(ids.begin(), ids.end());
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(ids.begin(), ids.end()) != ids.end())
    return bad_table("one id means two methods of a service");
  if (std::adjacent_find(names.begin(), names.end()) != names.end())
    return bad_table("two methods of a service have one name");
  return {};
}

// Adds a service behind the others and numbers its methods.
Result<void> append(std::vector<ServiceEntry>& services, std::uint16_t& method_count, ServiceEntry service) {
  if (services.size() == MethodTable::kServicesMax) return bad_table("more than 256 services");
  if (service.methods.size() > MethodTable::kMethodsMax - method_count) return bad_table("more than 4096 methods");
  if (auto checked = check_service(service); !checked) return checked;
  const auto same_name = [&](const ServiceEntry& other) { return other.name == service.name; };
  if (std::any_of(services.begin(), services.end(), same_name)) {
    return make_error(Code::already_exists, 0, {}, "method table: two services have the name %s", service.name.c_str());
  }
  service.first_index = method_count;
  method_count = static_cast<std::uint16_t>(method_count + service.methods.size());
  services.push_back(std::move(service));
  return {};
}

}  // namespace

Result<MethodTable> MethodTable::of(std::span<const ServiceDescription* const> services) {
  MethodTable table;
  for (const ServiceDescription* description : services) {
    ServiceEntry service;
    service.name = description->name;
    service.fingerprint = description->fingerprint;
    for (const MethodDescription& method : description->methods)
      service.methods.push_back({std::string(method.name), method.id, method.kind});
    if (auto added = append(table.services_, table.method_count_, std::move(service)); !added) return added.error();
  }
  return table;
}

Result<MethodTable> MethodTable::parse(std::span<const std::byte> bytes) {
  MethodTable table;
  Input input(bytes);
  const auto version = input.integer<std::uint16_t>();
  const auto service_count = input.integer<std::uint16_t>();
  if (!input.ok()) return bad_table("it is cut off");
  if (version != kVersion) {
    return make_error(Code::failed_precondition, 0, "build both sides with the same version of taut",
                      "method table: version %u; this side knows %u", version, kVersion);
  }
  // Counts are not trusted with memory: each entry takes bytes, and they must be there.
  for (unsigned s = 0; s < service_count && input.ok(); ++s) {
    ServiceEntry service;
    service.fingerprint = input.integer<std::uint64_t>();
    const auto method_count = input.integer<std::uint16_t>();
    service.name = input.name();
    for (unsigned m = 0; m < method_count && input.ok(); ++m) {
      MethodEntry method;
      method.id = input.integer<std::uint16_t>();
      const auto kind = input.integer<std::uint8_t>();
      if (kind >= kCallKindCount) return bad_table("a method is of a kind that does not exist");
      method.kind = static_cast<CallKind>(kind);
      method.name = input.name();
      service.methods.push_back(std::move(method));
    }
    if (!input.ok()) break;
    if (auto added = append(table.services_, table.method_count_, std::move(service)); !added) return added.error();
  }
  if (!input.ok()) return bad_table("it is cut off");
  if (!input.at_end()) return bad_table("bytes follow its end");
  return table;
}

std::vector<std::byte> MethodTable::serialize() const {
  Output output;
  output.integer(kVersion);
  output.integer(static_cast<std::uint16_t>(services_.size()));
  for (const ServiceEntry& service : services_) {
    output.integer(service.fingerprint);
    output.integer(static_cast<std::uint16_t>(service.methods.size()));
    output.name(service.name);
    for (const MethodEntry& method : service.methods) {
      output.integer(method.id);
      output.integer(static_cast<std::uint8_t>(method.kind));
      output.name(method.name);
    }
  }
  return output.take();
}

std::string_view to_text(CallKind kind) noexcept {
  constexpr std::string_view kNames[] = {"unary", "oneway", "server stream", "client stream", "stream both ways"};
  const auto index = static_cast<std::size_t>(kind);
  return index < std::size(kNames) ? kNames[index] : "(out of range)";
}

const ServiceEntry* MethodTable::find(std::string_view service) const noexcept {
  const auto found =
      std::find_if(services_.begin(), services_.end(), [&](const auto& entry) { return entry.name == service; });
  return found != services_.end() ? &*found : nullptr;
}

}  // namespace taut::rpc
