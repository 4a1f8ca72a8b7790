#include "inspect_parts.h"

#include <array>
#include <cmath>
#include <cstring>

#include "say.h"

namespace taut::tool {

std::optional<Nanoseconds> Ages::of(std::uint64_t stamp, ClockSource clock) const noexcept {
  const bool tsc = clock == ClockSource::tsc;
  if (tsc ? system_.source() != ClockSource::tsc : clock != ClockSource::monotonic) return std::nullopt;
  const Ticks now = tsc ? system_now_ : monotonic_now_;
  if (stamp == 0 || stamp > now) return std::nullopt;
  return tsc ? system_.to_duration(now - stamp) : monotonic_.to_duration(now - stamp);
}

std::string short_time(Nanoseconds time) {
  struct Unit {
    double ns;
    const char* name;
  };
  static constexpr std::array<Unit, 4> kUnits{{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}}};
  const auto ns = static_cast<double>(time.count());
  if (ns >= 86400e9) return fmt::format("{:.1f} days", ns / 86400e9);
  for (const Unit& unit : kUnits) {
    if (ns >= unit.ns || unit.ns == 1) {
      const double value = ns / unit.ns;
      return fmt::format("{:.{}f} {}", value,
                         value < 10 && unit.ns != 1    ? 2
                         : value < 100 && unit.ns != 1 ? 1
                                                       : 0,
                         unit.name);
    }
  }
  return {};
}

std::string short_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 4> kUnits{"bytes", "KiB", "MiB", "GiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 != kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit == 0 || value == std::floor(value) ? 0 : 1, kUnits[unit]);
}

std::optional<std::string> status_of(const shm::ObservedRecord& record) {
  if (record.torn || record.head.kind() != ring::Kind::reply || record.head.detail() == 0) return std::nullopt;
  const unsigned detail = record.head.detail();
  const auto code = static_cast<Code>(detail & 0xff);
  const auto ran = static_cast<Ran>(detail >> 8 & 3);
  const auto why = static_cast<Why>(detail >> 10);
  std::string text = fmt::format("{} (ran: {}, why: {})", to_text(code), to_text(ran), to_text(why));
  std::span<const std::byte> payload = record.payload;
  std::uint32_t steps = 0;
  if (says_when(why) && payload.size() >= sizeof steps) {
    std::memcpy(&steps, payload.data(), sizeof steps);
    payload = payload.subspan(sizeof steps);
    text += fmt::format(", retry after {}", short_time(Nanoseconds{std::int64_t{steps} * Status::kWaitStepNs}));
  }
  if (!payload.empty()) {
    const std::string_view sentence(reinterpret_cast<const char*>(payload.data()), payload.size());
    const std::string quoted = json_text(sentence);  // printable
    text += ": " + quoted.substr(1, quoted.size() - 2);
  }
  return text;
}

std::string_view state_of(const shm::ObservedRecord& record) noexcept {
  return record.torn ? "torn" : record.taken ? "taken" : "waiting";
}

std::string_view to_text(ClockSource clock) noexcept {
  switch (clock) {
    case ClockSource::monotonic:
      return "monotonic";
    case ClockSource::tsc:
      return "tsc";
    case ClockSource::manual:
      return "manual";
  }
  return "unknown";
}

std::string_view to_text(rpc::Check check) noexcept {
  return check == rpc::Check::in_place ? "in_place" : check == rpc::Check::copy ? "copy" : "unknown";
}

std::optional<std::uint64_t> open_calls(const shm::ObservedSide& side, shm::Side which) {
  enum : std::size_t { sent = 0, received = 2, timed_out = 4, requests = 5, answers = 8, lost = 9 };
  if (side.counters.size() <= lost) return std::nullopt;
  const auto& count = side.counters;
  const std::uint64_t begun = which == shm::Side::client ? count[sent] : count[requests];
  const std::uint64_t over =
      which == shm::Side::client ? count[received] + count[timed_out] : count[answers] + count[lost];
  // Counters are not read in one moment.
  return begun > over ? begun - over : 0;
}

}  // namespace taut::tool
