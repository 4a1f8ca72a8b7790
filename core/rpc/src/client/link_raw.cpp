// The set-up side of untyped clients: which index each id has at the server. May allocate.
#include <algorithm>

#include "../agreement/schema_fit.h"
#include "../dispatcher/core.h"
#include "link_state.h"
#include "taut/rpc/raw_binding.h"

namespace taut::rpc {

RawBinding::RawBinding(std::string_view service, std::vector<raw::Method> methods)
    : service_(service), given_(std::move(methods)) {
  for (const raw::Method& method : given_) add(method);
}

void RawBinding::add(raw::Method method) {
  const std::size_t id = method.id;
  if (by_id_.size() <= id) by_id_.resize(id + 1);
  if (by_id_[id] != nullptr) return;
  rows_.push_back({std::move(method), {}});
  by_id_[id] = &rows_.back().bound;
}

void RawBinding::learn(const ServiceEntry& theirs) {
  fingerprint_ = theirs.fingerprint;
  if (!given_.empty()) return;
  for (const MethodEntry& method : theirs.methods) add({.name = method.name, .id = method.id, .kind = method.kind});
}

std::vector<MethodDescription> RawBinding::descriptions() const {
  std::vector<MethodDescription> all;
  for (const Row& row : rows_) {
    all.push_back({.name = row.method.name,
                   .id = row.method.id,
                   .kind = row.method.kind,
                   .idempotent = row.method.idempotent,
                   .urgent = row.method.urgent,
                   .request_bound = row.method.request_bound,
                   .reply_bound = row.method.reply_bound,
                   .timeout_ns = row.method.timeout.count(),
                   .request = {},
                   .reply = {}});
  }
  return all;
}

std::vector<raw::Method> RawBinding::methods() const {
  std::vector<raw::Method> present;
  for (const Row& row : rows_) {
    if (row.bound.index < BoundMethod::kMisfit) present.push_back(row.method);
  }
  return present;
}

CallKind RawBinding::kind(std::uint16_t id) const noexcept {
  const auto row = std::find_if(rows_.begin(), rows_.end(), [id](const Row& each) { return each.method.id == id; });
  return row != rows_.end() ? row->method.kind : CallKind::unary;
}

[[gnu::cold, gnu::noinline]] const BoundMethod& RawBinding::missing(std::uint16_t id) const noexcept {
  asked_id_ = id;
  return missing_;
}

bool RawBinding::holds(const BoundMethod& method) const noexcept {
  return &method == &missing_ ||
         std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return &row.bound == &method; });
}

RawBinding& LinkState::bind_raw(std::string_view service, std::vector<raw::Method> methods) {
  for (const auto& binding : raw_bindings_) {
    if (binding->service_ == service && binding->given_ == methods) return *binding;
  }
  raw_bindings_.push_back(std::make_unique<RawBinding>(service, std::move(methods)));
  fill(*raw_bindings_.back());
  return *raw_bindings_.back();
}

// An id keeps its name, here as in schemas: a server that gives it to another method gets no call.
void LinkState::fill(RawBinding& binding) const {
  const MethodTable none;
  const MethodTable& table = end_ != nullptr ? end_->wire().agreement().peer_methods : none;
  const ServiceEntry* const theirs = table.find(binding.service_);
  if (theirs != nullptr) binding.learn(*theirs);
  const std::vector<MethodDescription> methods = binding.descriptions();
  const auto refused = theirs != nullptr ? raw_misfit(binding, methods, table) : std::nullopt;
  if (refused) turn_->log(Severity::warning, "no call is sent to " + std::string(refused->what()));
  for (std::size_t i = 0; i < methods.size(); ++i) {
    BoundMethod& bound = binding.rows_[i].bound;
    prepare(bound, methods[i]);
    bound.index = refused ? BoundMethod::kMisfit : index_of(theirs, methods[i].id);
  }
}

// schema=exact has nothing to say about bytes: whoever calls by ids has no schema here that could differ. A method that
// has no name here has the one that it has there.
std::optional<Error> LinkState::raw_misfit(const RawBinding& binding, std::vector<MethodDescription> methods,
                                           const MethodTable& table) const {
  const ServiceEntry* const theirs = table.find(binding.service_);
  for (MethodDescription& method : methods) {
    if (!method.name.empty() || theirs == nullptr) continue;
    for (const MethodEntry& entry : theirs->methods) {
      if (entry.id == method.id) method.name = entry.name;
    }
  }
  const ServiceDescription service{binding.service_, binding.fingerprint_, methods, {}};
  const PeerMethods peer = towards_client_ ? PeerMethods{table, false, "client", "server"} : PeerMethods{table};
  return misfit(service, peer, url_);
}

Status LinkState::no_such_raw_call(Why why, const BoundMethod& method, const RawBinding& binding) const noexcept {
  const MethodTable none;  // the server may have gone between claim and call
  const MethodTable& table = end_ != nullptr ? end_->wire().agreement().peer_methods : none;
  if (why == Why::schema_mismatch) {
    const auto refused = raw_misfit(binding, binding.descriptions(), table);
    return {Code::failed_precondition, Ran::no, why, refused ? refused->what() : "the schemas did not fit"};
  }
  unsigned id = binding.asked_id_;
  for (const RawBinding::Row& row : binding.rows_) {
    if (&row.bound == &method) id = row.method.id;
  }
  return {Code::unimplemented, Ran::no, why,
          std::string(towards_client_ ? "the client's" : "the server's") + " method table lacks " +
              (table.find(binding.service_) != nullptr ? "id " + std::to_string(id) + " of " : "") + binding.service_};
}

const RawBinding* LinkState::raw_binding_of(const BoundMethod& method) const noexcept {
  for (const auto& binding : raw_bindings_) {
    if (binding->holds(method)) return binding.get();
  }
  return nullptr;
}

RawBinding& bind_raw(LinkState& link, std::string_view service, std::vector<raw::Method> methods) {
  return link.bind_raw(service, std::move(methods));
}

}  // namespace taut::rpc
