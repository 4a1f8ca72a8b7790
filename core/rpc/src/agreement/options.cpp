// read_options(): what a URL says about a link, checked before anything is made.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>

#include "taut/rpc/transport.h"

namespace taut::rpc {
namespace {

using Option = std::pair<std::string, std::string>;
using std::uint32_t;
using std::uint64_t;

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr Unit kSizeUnits[] = {{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}};
constexpr Unit kTimeUnits[] = {
    {"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"min", 60'000'000'000}};
constexpr Unit kCountUnits[] = {{"", 1}};

// Mapping a peer's segment takes a millisecond for each 8 MiB, and a segment ends at 1 GiB.
constexpr uint64_t kArenaBytesMin = 64 * 1024;
constexpr uint64_t kArenaBytesMax = 768 * 1024 * 1024;
constexpr Nanoseconds kReconnectMin = std::chrono::milliseconds(1);
constexpr Nanoseconds kReconnectMax = std::chrono::minutes(1);
constexpr uint32_t kReconnectBudgetMax = 1000;

constexpr Nanoseconds kDelayMax = std::chrono::minutes(1);

constexpr const char* kNames =
    "ring, urgent_ring, inflight, reply_max, message_max, arena, open_max, delay_max, check, allow, schema, timeout, "
    "connect_timeout, reconnect, reconnect_budget";
constexpr const char* kTimeHint = "write a number and ns, us, ms, s or min: timeout=50us";

Error bad(const Option& option, const char* why, std::string_view hint = {}) {
  return make_error(Code::invalid_argument, 0, hint, "option %s=%s: %s", option.first.c_str(), option.second.c_str(),
                    why);
}

// A whole number and its unit, or nothing.
template <std::size_t N>
std::optional<uint64_t> number(std::string_view text, const Unit (&units)[N]) noexcept {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : units) {
    if (unit.name == name && value <= std::numeric_limits<uint64_t>::max() / unit.factor) return value * unit.factor;
  }
  return std::nullopt;
}

Result<uint32_t> ring_size(const Option& option) {
  constexpr const char* kHint = "write a power of two from 4KiB to 1GiB: ring=64KiB";
  const auto bytes = number(option.second, kSizeUnits);
  if (!bytes) return bad(option, "is not a size", kHint);
  if (!std::has_single_bit(*bytes)) return bad(option, "is not a power of two", kHint);
  if (*bytes < ring::kRingBytesMin) return bad(option, "is smaller than 4KiB", kHint);
  if (*bytes > ring::kRingBytesMax) return bad(option, "is larger than 1GiB", kHint);
  return static_cast<uint32_t>(*bytes);
}

Result<Nanoseconds> duration(const Option& option) {
  if (option.second == "forever") return Nanoseconds::max();
  const auto ns = number(option.second, kTimeUnits);
  constexpr auto kLongest = static_cast<uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!ns || *ns > kLongest) return bad(option, "is not a duration", kTimeHint);
  if (*ns == 0) return bad(option, "is no time at all", kTimeHint);
  return Nanoseconds{static_cast<std::int64_t>(*ns)};
}

// A list with commas: a listener and its clients may have several friends.
Result<AllowedUsers> users(const Option& option) {
  constexpr const char* kHint = "write allow=uid:1001, several with commas, or on a server allow=group";
  AllowedUsers allowed;
  std::string_view left = option.second;
  while (true) {
    const std::string_view one = left.substr(0, left.find(','));
    constexpr std::string_view kUid = "uid:";
    const auto uid = one.starts_with(kUid) ? number(one.substr(kUid.size()), kCountUnits) : std::nullopt;
    if (uid && *uid < std::numeric_limits<uint32_t>::max()) {  // which is (uid_t)-1: nobody
      allowed.uids.push_back(static_cast<uint32_t>(*uid));
    } else if (one == "group") {
      allowed.group = true;
    } else {
      return bad(option, "names no user", kHint);
    }
    if (one.size() == left.size()) return allowed;
    left.remove_prefix(one.size() + 1);
  }
}

template <class Value>
Result<void> store(Value& to, Result<Value> from) {
  if (!from) return from.error();
  to = *from;
  return {};
}

Result<void> read_option(const Option& option, LinkOptions& options) {
  const auto& [name, value] = option;
  if (name == "ring") return store(options.ring_bytes, ring_size(option));
  if (name == "urgent_ring") return store(options.urgent_ring_bytes, ring_size(option));
  if (name == "timeout") return store(options.timeout, duration(option));
  if (name == "connect_timeout") return store(options.connect_timeout, duration(option));
  if (name == "reconnect") return store(options.reconnect, duration(option));
  if (name == "reconnect_budget") {
    const auto count = number(value, kCountUnits);
    if (!count || *count > kReconnectBudgetMax) {
      return bad(option, "is not a number of attempts a second", "write a number from 1 to 1000: reconnect_budget=20");
    }
    options.reconnect_budget = static_cast<uint32_t>(*count);
    return {};
  }
  if (name == "delay_max") {
    const auto longest = duration(option);
    if (longest && *longest > kDelayMax)
      return bad(option, "is longer than a minute", "write how long a call may wait: delay_max=50us");
    return store(options.delay_max, longest);
  }
  if (name == "open_max") {
    const auto count = number(value, kCountUnits);
    if (!count || *count == 0 || *count > std::numeric_limits<uint32_t>::max())
      return bad(option, "is not a number of calls", "write a number from 1: open_max=1024");
    options.open_max = static_cast<uint32_t>(*count);
    return {};
  }
  if (name == "inflight") {
    const auto count = number(value, kCountUnits);
    if (!count || *count == 0 || *count > ring::kRingBytesMax / ring::kStep) {
      return bad(option, "is not a number of calls", "write a number from 1: inflight=64");
    }
    options.inflight = static_cast<uint32_t>(*count);
    return {};
  }
  if (name == "reply_max") {
    const auto bytes = number(value, kSizeUnits);
    if (!bytes || *bytes == 0 || *bytes > ring::kRingBytesMax)
      return bad(option, "is not a size", "write reply_max=4KiB");
    options.reply_bytes_max = static_cast<uint32_t>(*bytes);
    return {};
  }
  if (name == "message_max") {
    const auto bytes = number(value, kSizeUnits);
    if (!bytes || *bytes == 0 || *bytes > ring::kRingBytesMax)
      return bad(option, "is not a size up to 1GiB", "write message_max=16MiB");
    options.message_bytes_max = static_cast<uint32_t>(*bytes);
    return {};
  }
  if (name == "arena") {
    const auto bytes = number(value, kSizeUnits);
    if (!bytes || *bytes < kArenaBytesMin || *bytes > kArenaBytesMax)
      return bad(option, "is not a size from 64KiB to 768MiB", "write arena=128MiB");
    options.arena_bytes = static_cast<uint32_t>(*bytes);
    return {};
  }
  if (name == "check") {
    if (value != "in_place" && value != "copy") return bad(option, "is neither in_place nor copy");
    options.check = value == "copy" ? Check::copy : Check::in_place;
    return {};
  }
  if (name == "allow") return store(options.allow, users(option));
  if (name == "schema") {
    if (value != "exact" && value != "compatible") return bad(option, "is neither exact nor compatible");
    options.schema_exact = value == "exact";
    return {};
  }
  return make_error(Code::invalid_argument, 0, std::string("known are ") + kNames, "unknown option '%s'", name.c_str());
}

// A line of the ring stays reserved for the answer of every call, and the rest must still hold the largest record
// twice.
constexpr uint64_t bytes_needed(uint64_t ring_bytes, uint64_t inflight) noexcept {
  return ring::kStep * inflight + 2 * (ring_bytes / 4);
}

Error cannot_keep(const char* which, const LinkOptions& options, uint64_t ring_bytes) {
  char hint[160];
  const uint64_t enough = std::bit_ceil(2 * uint64_t{ring::kStep} * options.inflight);
  std::snprintf(hint, sizeof hint, "write %s=%lluKiB or more, or inflight=%llu or less", which,
                static_cast<unsigned long long>(enough / 1024),
                static_cast<unsigned long long>(ring_bytes / 2 / ring::kStep));
  return make_error(
      Code::invalid_argument, 0, hint,
      "%s of %llu bytes cannot keep room for the answers of %u calls: 64 x inflight + 2 x (%s / 4) = %llu", which,
      static_cast<unsigned long long>(ring_bytes), options.inflight, which,
      static_cast<unsigned long long>(bytes_needed(ring_bytes, options.inflight)));
}

bool is_ring(uint32_t bytes) noexcept {
  return std::has_single_bit(bytes) && bytes >= ring::kRingBytesMin && bytes <= ring::kRingBytesMax;
}

}  // namespace

Result<LinkOptions> read_options(const Url& url, const LinkOptions& defaults) {
  LinkOptions options = defaults;
  bool urgent_given = false;
  for (const Option& option : url.options) {
    if (auto read = read_option(option, options); !read) return read.error();
    urgent_given |= option.first == "urgent_ring";
  }
  // `defaults` may come from a struct that a user filled.
  if (!is_ring(options.ring_bytes) || !is_ring(options.urgent_ring_bytes) || options.inflight == 0) {
    return make_error(Code::invalid_argument, 0, "write a power of two from 4KiB to 1GiB",
                      "rings of %u and %u bytes for %u calls cannot be made", options.ring_bytes,
                      options.urgent_ring_bytes, options.inflight);
  }
  if (bytes_needed(options.ring_bytes, options.inflight) > options.ring_bytes) {
    return cannot_keep("ring", options, options.ring_bytes);
  }
  // The urgent lane makes the same promise. Who raises `inflight` need not know of it.
  if (bytes_needed(options.urgent_ring_bytes, options.inflight) > options.urgent_ring_bytes) {
    if (urgent_given) return cannot_keep("urgent_ring", options, options.urgent_ring_bytes);
    options.urgent_ring_bytes = std::bit_ceil(2 * ring::kStep * options.inflight);
  }
  const uint32_t payload_max = options.ring_bytes / 4 - static_cast<uint32_t>(sizeof(ring::ReplyHeader));
  if (options.reply_bytes_max > payload_max) {
    return make_error(Code::invalid_argument, 0, "write a larger ring or a smaller reply_max",
                      "reply_max of %u bytes does not fit a record of a ring of %u bytes: %u at most",
                      options.reply_bytes_max, options.ring_bytes, payload_max);
  }
  if (options.reconnect < kReconnectMin || options.reconnect > kReconnectMax || options.reconnect_budget == 0 ||
      options.reconnect_budget > kReconnectBudgetMax) {
    return make_error(Code::invalid_argument, 0, "write reconnect=1ms to 1min, reconnect_budget=1 to 1000",
                      "pauses of up to %lld ns and %u attempts a second are no way to look for a server",
                      static_cast<long long>(options.reconnect.count()), options.reconnect_budget);
  }
  return options;
}

}  // namespace taut::rpc
