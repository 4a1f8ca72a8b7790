// A service whose methods are known at run time only, as one client sees it: what Binding is for generated clients.
// Used through <taut/raw.h>.
//
// Threads  the thread that polls the link's dispatcher.
// Memory   filled at set-up and whenever the link comes up; a lookup is an array access. Ids are the schema's, so the
//          array has an entry for each id up to the largest: 512 KiB at most.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "taut/base/clock.h"
#include "taut/rpc/call.h"
#include "taut/rpc/service.h"

namespace taut::raw {

// A method, for clients and services that have no schema. What is not said is as in a schema that does not say it.
struct Method {
  std::string name = {};  // a client may leave it out; where both sides have one, they must agree
  std::uint16_t id = 0;
  rpc::CallKind kind = rpc::CallKind::unary;
  bool idempotent = false;          // may be run twice
  bool urgent = false;              // travels on the urgent lane
  std::uint32_t request_bound = 0;  // most payload bytes of a request; 0: none is known
  std::uint32_t reply_bound = 0;    // likewise of an answer: a server reserves so much room for it; 0: reply_max
  Nanoseconds timeout{0};           // of a call that names none; 0: the link's

  bool operator==(const Method&) const = default;
};

}  // namespace taut::raw

namespace taut::rpc {

struct ServiceEntry;

class RawBinding {
 public:
  // Without methods they are those of the server's table, whichever it has when the link comes up.
  RawBinding(std::string_view service, std::vector<raw::Method> methods);
  RawBinding(const RawBinding&) = delete;
  RawBinding& operator=(const RawBinding&) = delete;

  // Stays where it is as long as the link lives: open claims point at it.
  [[nodiscard]] const BoundMethod& operator[](std::uint16_t id) const noexcept {
    const BoundMethod* const bound = id < by_id_.size() ? by_id_[id] : nullptr;
    if (bound == nullptr) [[unlikely]]
      return missing(id);
    return *bound;
  }
  [[nodiscard]] const std::string& service() const noexcept { return service_; }
  // Of the service at the server; 0 before the link was up.
  [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }
  [[nodiscard]] CallKind kind(std::uint16_t id) const noexcept;
  // Those that the server has at present.
  [[nodiscard]] std::vector<raw::Method> methods() const;

 private:
  friend class LinkState;
  struct Row {
    raw::Method method;
    BoundMethod bound;
  };
  void add(raw::Method method);
  void learn(const ServiceEntry& theirs);
  // For comparisons with the server's table: views of the rows.
  [[nodiscard]] std::vector<MethodDescription> descriptions() const;
  [[nodiscard]] const BoundMethod& missing(std::uint16_t id) const noexcept;
  [[nodiscard]] bool holds(const BoundMethod& method) const noexcept;

  const std::string service_;
  const std::vector<raw::Method> given_;
  std::uint64_t fingerprint_ = 0;
  std::deque<Row> rows_;  // never moved, never fewer
  std::vector<const BoundMethod*> by_id_;
  BoundMethod missing_;                 // stands in for every id that the server lacks
  mutable std::uint16_t asked_id_ = 0;  // the last of them, for the sentence that refuses it
};

// Set-up. Equal ones share a binding, which lives as long as the link.
RawBinding& bind_raw(LinkState& link, std::string_view service, std::vector<raw::Method> methods);

}  // namespace taut::rpc
