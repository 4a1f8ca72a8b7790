// What `taut inspect` found, and its two ways of saying it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "meaning.h"
#include "taut/base/clock.h"
#include "taut/shm/observe.h"

namespace taut::tool {

struct Inspected {
  std::string target;
  std::vector<shm::ObservedProcess> processes;
  Meaning meaning;
  std::vector<std::string> notes;  // how it was found, where that is not obvious
};

// Ages of stamps, by the clock that a link agreed on.
class Ages {
 public:
  // None: the stamp is no time of this clock, or lies in the future.
  [[nodiscard]] std::optional<Nanoseconds> of(std::uint64_t stamp, ClockSource clock) const noexcept;

 private:
  Clock system_ = Clock::system();
  Clock monotonic_ = Clock::monotonic();
  Ticks system_now_ = system_.now();
  Ticks monotonic_now_ = monotonic_.now();
};
// 1.25 s, 340 us: three digits.
std::string short_time(Nanoseconds time);
// 2.3 KiB
std::string short_bytes(std::uint64_t bytes);

// An answer that is no success: "not_found (ran: yes, why: none): no such symbol". None: it is one.
std::optional<std::string> status_of(const shm::ObservedRecord& record);
// torn, taken or waiting.
std::string_view state_of(const shm::ObservedRecord& record) noexcept;
std::string_view to_text(ClockSource clock) noexcept;
std::string_view to_text(rpc::Check check) noexcept;

// Requests whose answers are not sent (server), calls whose answers did not come (client), by the side's counters.
std::optional<std::uint64_t> open_calls(const shm::ObservedSide& side, shm::Side which);

inline constexpr const char* kCounterNames[] = {
    "calls_sent",           "calls_refused",        "answers_received",    "answers_late",   "calls_timed_out",
    "requests_received",    "requests_refused",     "requests_expired",    "answers_sent",   "answers_lost",
    "bells_rung",           "slow_checks",          "violations",          "pieces_sent",    "pieces_received",
    "buffers_allocated",    "calls_cancelled",      "cancels_received",    "oneways_sent",   "oneways_received",
    "oneways_refused",      "items_sent",           "items_received",      "items_dropped",  "streams_misused",
    "requests_over_server", "requests_over_method", "requests_over_delay", "calls_held_back"};

void draw(const Inspected& inspected);
void print_json(const Inspected& inspected);

}  // namespace taut::tool
