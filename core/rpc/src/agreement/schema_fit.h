// Does a service as its caller knows it fit what the peer's method table says? Asked when a generated client binds
// itself to a link, and again whenever the link comes up. What is refused and why: docs/evolution.md.
//
// Threads  functions of their arguments.
// Memory   set-up, and calls that were refused: they allocate.
// Trust    the peer's table was parsed, so its names can be printed.
#pragma once

#include <optional>
#include <string>

#include "taut/rpc/method_table.h"
#include "taut/rpc/transport.h"

namespace taut::rpc {

// What may be called at the other end, and the words that sentences have for it and for this one.
struct PeerMethods {
  const MethodTable& table;
  bool exact = false;  // fingerprints have to be equal
  const char* peer = "server";
  const char* own = "client";
};

// Why no call of this service may be sent: one id means two methods, a method that the caller needs is missing, or
// `exact` was asked for and the fingerprints differ. Everything else fits, whatever the fingerprints are.
std::optional<Error> misfit(const ServiceDescription& own, const PeerMethods& theirs, std::string_view url);

// Why one method cannot be called at a peer that lacks it.
std::string missing_text(const ServiceDescription& own, const MethodDescription& method, const PeerMethods& theirs);

}  // namespace taut::rpc
