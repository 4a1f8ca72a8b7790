// From bytes to a handler: what the generated function of each method does, by the method's kind.
//
// The mark that a call may have run is set between the check of its request and the handler.
#pragma once

#include <string_view>
#include <utility>

#include "taut/rpc/served_call.h"
#include "taut/rpc/service.h"
#include "taut/stubs/reply.h"
#include "taut/stubs/served_stream.h"

namespace taut::stubs {

// The sentence begins with its reason: what travels beside a reply header is cut at its end.
template <class Request>
[[gnu::noinline, gnu::cold]] void refuse_bad_message(rpc::ServedCall& call, std::string_view method) noexcept {
  Sentence why;
  explain<Request>(call.payload(), why);
  why << " (request of " << method << ")";
  call.refuse_bad_message(why.text());
}

// Null: it was refused.
template <class Request>
[[nodiscard]] inline const Request* take_request(rpc::ServedCall& call, std::string_view method) noexcept {
  const auto payload = call.payload();
  if (!check<Request>(payload)) [[unlikely]] {
    refuse_bad_message<Request>(call, method);
    return nullptr;
  }
  call.taken();
  return root<Request>(payload);
}

// `handler(const Request&, Reply<T>)`
template <class Request, class T, class Handler>
inline void serve_unary(rpc::ServedCall& call, std::string_view method, Handler&& handler) {
  if (const Request* const request = take_request<Request>(call, method)) handler(*request, Reply<T>(call.reply()));
}

// `handler(const Request&, const Told&)`. There is nobody to answer.
template <class Request, class Handler>
inline void serve_oneway(rpc::ServedCall& call, std::string_view method, Handler&& handler) {
  if (const Request* const request = take_request<Request>(call, method)) handler(*request, call.told());
}

// `handler(const Request&, Writer<T>)`
template <class Request, class T, class Handler>
inline void serve_server_stream(rpc::ServedCall& call, std::string_view method, Handler&& handler) {
  const Request* const request = take_request<Request>(call, method);
  if (request == nullptr) return;
  auto stream = call.stream();
  handler(*request, Writer<T>(std::move(stream), call.reply()));
}

// `handler(Reader<Item>, Reply<T>)`. The request of a call whose caller streams is empty.
template <class Item, class T, class Handler>
inline void serve_client_stream(rpc::ServedCall& call, std::string_view, Handler&& handler) {
  call.taken();
  auto stream = call.stream();
  handler(Reader<Item>(std::move(stream)), Reply<T>(call.reply()));
}

// `handler(Reader<Item>, Writer<T>)`
template <class Item, class T, class Handler>
inline void serve_both_ways(rpc::ServedCall& call, std::string_view, Handler&& handler) {
  call.taken();
  auto stream = call.stream();
  Reader<Item> in(stream);
  handler(std::move(in), Writer<T>(std::move(stream), call.reply()));
}

}  // namespace taut::stubs
