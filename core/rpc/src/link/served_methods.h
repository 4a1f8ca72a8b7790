// How a request's method index becomes a call of generated code: one array, shared by all links of a listener.
#pragma once

#include <bit>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve_limits.h"
#include "taut/ring/record.h"
#include "taut/rpc/service.h"

namespace taut::rpc {

class ServedMethods {
 public:
  struct Method {
    void (*serve)(Service& service, ServedCall& call) = nullptr;
    Service* service = nullptr;
    ring::u32 answer_bound = ring::kStep;  // ring bytes promised for an answer
    CallKind kind = CallKind::unary;
    const MethodDescription* description = nullptr;
  };

  // Methods in the order of the services and of their descriptions: the order of the MethodTable.
  ServedMethods(std::span<Service* const> services, ring::u32 reply_bytes_max) {
    for (Service* service : services) {
      for (const MethodDescription& method : service->description().methods) {
        const ring::u32 payload = method.reply_bound != 0 ? method.reply_bound : reply_bytes_max;
        methods_.push_back({method.serve, service, ring::up(ring::kHeaderMin + payload), method.kind, &method});
      }
    }
    count_ = static_cast<ring::u32>(methods_.size());
    limits_ = std::make_unique<Limits>(methods_.size());
    for (ring::u32 i = 0; i != count_; ++i) {
      if (const ring::u32 most = methods_[i].description->limit; most != 0) limit().of(i).allow(most);
    }
    methods_.resize(std::bit_ceil(methods_.size() + 1));
    mask_ = methods_.size() - 1;
  }

  [[nodiscard]] ring::u32 count() const noexcept { return count_; }
  [[nodiscard]] const Method& operator[](ring::u32 index) const noexcept { return methods_[index & mask_]; }
  // By the name in its schema, with or without its service's: Place, desk.Orders.Place. None: no method, or several.
  [[nodiscard]] std::optional<ring::u32> find(std::string_view name) const {
    std::optional<ring::u32> found;
    for (ring::u32 i = 0; i != count_; ++i) {
      const Method& method = methods_[i];
      const std::string full =
          std::string(method.service->description().name) + "." + std::string(method.description->name);
      if (full == name) return i;
      if (method.description->name == name && std::exchange(found, i)) return std::nullopt;
    }
    return found;
  }

  // Null: none was set.
  [[nodiscard]] Limits* limits() const noexcept { return limited_; }
  // From here on requests are held against them.
  Limits& limit() noexcept { return *(limited_ = limits_.get()); }

 private:
  std::vector<Method> methods_;
  ring::u32 count_ = 0;
  // Keeps a mispredicted index inside the array. A word, as the sum that it goes into: half a word that is spilled to
  // the stack and loaded whole is not forwarded by the CPU, and cost the running path a tenth.
  ring::u64 mask_ = 0;
  Limits* limited_ = nullptr;
  std::unique_ptr<Limits> limits_;
};

}  // namespace taut::rpc
