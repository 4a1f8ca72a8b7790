#include "taut/base/status.h"

#include <array>
#include <ostream>

namespace taut {
namespace {

constexpr std::array<std::string_view, kCodeCount> kCodeNames = {
    "ok",        "cancelled",      "unknown",           "invalid_argument",   "deadline_exceeded",
    "not_found", "already_exists", "permission_denied", "resource_exhausted", "failed_precondition",
    "aborted",   "out_of_range",   "unimplemented",     "internal",           "unavailable",
    "data_loss", "unauthenticated"};

constexpr std::array<std::string_view, kRanCount> kRanNames = {"no", "maybe", "yes"};

constexpr std::array<std::string_view, static_cast<std::size_t>(Why::count_)> kWhyNames = {
    "none",           "ring_full",       "calls_in_flight",  "reply_room",
    "too_big",        "timeout",         "expired_in_queue", "peer_died",
    "peer_violation", "peer_closed",     "link_closed",      "not_connected",
    "halted",         "draining",        "unknown_method",   "schema_mismatch",
    "bad_message",    "reply_dropped",   "handler_threw",    "wrong_thread",
    "inside_handler", "open_claim",      "forked",           "cancelled",
    "stream_misuse",  "deadline_passed", "bad_metadata",     "intercepted",
    "server_limit",   "method_limit",    "queue_delay",      "held_back"};

template <class Names, class Enum>
std::string_view name_of(const Names& names, Enum value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  return index < names.size() ? names[index] : std::string_view{"(out of range)"};
}

}  // namespace

std::string_view to_text(Code code) noexcept { return name_of(kCodeNames, code); }
std::string_view to_text(Ran ran) noexcept { return name_of(kRanNames, ran); }
std::string_view to_text(Why why) noexcept { return name_of(kWhyNames, why); }

std::ostream& operator<<(std::ostream& out, const Status& status) {
  if (status.ok()) return out << "ok";
  out << to_text(status.code()) << " (ran: " << to_text(status.ran()) << ", why: " << to_text(status.why()) << ")";
  if (!status.text().empty()) out << ": " << status.text();
  return out;
}

}  // namespace taut
