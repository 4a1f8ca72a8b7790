// From bytes to a handler: what the generated function of each method does.
#pragma once

#include <string_view>
#include <utility>

#include "taut/rpc/served_call.h"
#include "taut/rpc/service.h"
#include "taut/stubs/reply.h"

namespace taut::stubs {

// The sentence begins with its reason: what travels beside a reply header is cut at its end.
template <class Request>
[[gnu::noinline, gnu::cold]] void refuse_bad_message(rpc::ServedCall& call, std::string_view method) noexcept {
  Sentence why;
  explain<Request>(call.payload(), why);
  why << " (request of " << method << ")";
  call.refuse_bad_message(why.text());
}

// `handler(const Request&, rpc::RawReply)`. The mark that a call may have run is set between check and handler.
template <class Request, class Handler>
inline void serve(rpc::ServedCall& call, std::string_view method, Handler&& handler) {
  const auto payload = call.payload();
  if (!check<Request>(payload)) [[unlikely]]
    return refuse_bad_message<Request>(call, method);
  call.taken();
  handler(*root<Request>(payload), call.reply());
}

// `handler(const Request&)`. There is nobody to answer.
template <class Request, class Handler>
inline void serve_oneway(rpc::ServedCall& call, std::string_view method, Handler&& handler) {
  const auto payload = call.payload();
  if (!check<Request>(payload)) [[unlikely]]
    return refuse_bad_message<Request>(call, method);
  call.taken();
  handler(*root<Request>(payload));
}

}  // namespace taut::stubs
