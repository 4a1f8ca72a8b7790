// What policies agree on: which failures another attempt may mend, and what the call says when none did.
#pragma once

#include <algorithm>
#include <cstdio>

#include "taut/rpc/retry.h"

namespace taut::rpc {

// The server was not there, had no room, or did not answer in time. Not what it said about the call itself, nor a
// mistake of this side. An open claim is one too, but not of the call that is repeated.
inline bool may_mend(const Status& status, const Attempts& attempts) noexcept {
  switch (status.code()) {
    case Code::unavailable:
    case Code::resource_exhausted:
    case Code::deadline_exceeded:
      return status.ran() != Ran::yes;
    default:
      return status.why() == Why::open_claim && attempts.made > 1;
  }
}

inline Ran more_certain(Ran a, Ran b) noexcept {
  return static_cast<Ran>(std::max(static_cast<int>(a), static_cast<int>(b)));
}

// The last status, with what the handlers did in all attempts, and their number.
inline Status status_of_all(const Status& last, const Attempts& attempts, std::uint32_t attempts_max,
                            const char* reason) noexcept {
  constexpr int kForTheCount = 80;
  const std::string_view text = last.text();
  char whole[kStatusTextMax];
  std::snprintf(whole, sizeof whole, "%.*s (attempt %u of %u%s)",
                std::min(static_cast<int>(text.size()), static_cast<int>(kStatusTextMax) - kForTheCount), text.data(),
                attempts.made, attempts_max, reason);
  return {last.code(), attempts.ran, last.why(), whole};
}

}  // namespace taut::rpc
