// Does a service as its client knows it fit what the server's method table says? Asked when a client binds itself to a
// link, and again whenever the link comes up. What is refused and why: docs/evolution.md.
//
// Threads  functions of their arguments.
// Memory   set-up, and calls that were refused: they allocate.
// Trust    the server's table was parsed, so its names can be printed.
#pragma once

#include <optional>
#include <string>

#include "taut/rpc/method_table.h"
#include "taut/rpc/transport.h"

namespace taut::rpc {

// Why no call of this service may be sent: one id means two methods, a method that the client needs is missing, or
// `exact` was asked for and the fingerprints differ. Everything else fits, whatever the fingerprints are.
std::optional<Error> misfit(const ServiceDescription& client, const MethodTable& server, bool exact,
                            std::string_view url);

// Why one method cannot be called at a server that lacks it.
std::string missing_text(const ServiceDescription& client, const MethodDescription& method, const MethodTable& server);

}  // namespace taut::rpc
