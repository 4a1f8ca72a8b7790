// A server that takes over from another one.
//
// Threads  the dispatcher's.
// Waits    until the name is free: its owner drains, or is gone. The test's own time-out ends what never comes.
#pragma once

#include <unistd.h>

#include <utility>

#include "taut/taut.h"

namespace taut::testing {

// Serves as soon as the predecessor has given the name back. Any other refusal ends the process.
template <class... Services>
Listener serve_as_successor(Dispatcher& loop, const char* url, Services&... services) {
  while (true) {
    auto made = loop.serve(url, services...);
    if (made) return *std::move(made);
    if (made.error().code() != Code::already_exists) _exit(report(made.error()));
  }
}

}  // namespace taut::testing
