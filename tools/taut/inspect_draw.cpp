// A picture for people.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "inspect_parts.h"
#include "say.h"
#include "taut/ring/board.h"

namespace taut::tool {
namespace {

constexpr DecodeLimits kLimits{.depth = 16, .elements = 8, .string_bytes = 64, .text_bytes = 240};
constexpr std::size_t kBarCells = 24;

// Columns of the terminal; elsewhere lines are not cut.
std::size_t columns() noexcept {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 40) return 100'000;
  return size.ws_col;
}

// At most `width` bytes, not through the middle of a character.
std::string cut_to(std::string text, std::size_t width) {
  if (text.size() <= width) return text;
  std::size_t end = width > 3 ? width - 3 : 0;
  while (end != 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string since(std::uint64_t realtime_ns) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const std::uint64_t now_ns =
      static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
  if (realtime_ns == 0 || realtime_ns > now_ns) return "?";
  return short_time(Nanoseconds(static_cast<std::int64_t>(now_ns - realtime_ns)));
}

std::string_view life_of(const shm::ProcessInfo& process) noexcept {
  return process.stopped() ? "stopped" : process.state == 'Z' ? "dead" : process.state == '?' ? "out of sight" : "live";
}

// [==###...................]: taken, waiting, free. A little is not nothing.
std::string bar(std::uint64_t taken, std::uint64_t fill, std::uint64_t bytes) {
  const auto cells = [bytes](std::uint64_t part) {
    return std::min(static_cast<std::size_t>((part * kBarCells + bytes - 1) / bytes), kBarCells);
  };
  const std::size_t full = cells(fill), behind = std::min(cells(taken), full - (fill > taken && full > 1 ? 1 : 0));
  return "[" + std::string(behind, '=') + std::string(full - behind, '#') + std::string(kBarCells - full, '.') + "]";
}

// What the ring holds of requests that were handed to their handlers already.
std::uint64_t taken_bytes(const shm::ObservedRing& ring, const shm::ObservedTaken* mark) noexcept {
  if (mark == nullptr || static_cast<std::int64_t>(mark->position - ring.released) <= 0) return 0;
  return std::min(mark->position - ring.released, ring.fill());
}

class Picture {
 public:
  explicit Picture(const Inspected& inspected) : all_(inspected) {}

  void process(const shm::ObservedProcess& process) const {
    fmt::print("process {}  {}, {}{}\n", process.process.pid, process.process.name, life_of(process.process),
               dispatchers(process));
    for (const auto& service : process.services) serves(service);
    if (process.links.empty() && process.troubles.empty()) fmt::print("  no links\n");
    for (const auto& link : process.links) this->link(link);
    for (const std::string& trouble : process.troubles) fmt::print("  cannot be read: {}\n", trouble);
  }

 private:
  static std::string dispatchers(const shm::ObservedProcess& process) {
    std::string text;
    for (const std::uint64_t state : process.boards) {
      text += (state & ring::board::asleep) != 0         ? ", asleep"
              : (state & ring::board::never_sleeps) != 0 ? ", never sleeps"
                                                         : ", awake";
      if ((state & ring::board::draining) != 0) text += " and draining";
    }
    return text;
  }

  static void serves(const shm::ObservedService& service) {
    std::string offers;
    for (const auto& entry : service.methods.services()) {
      offers += (offers.empty() ? "" : "; ") + entry.name + ":";
      for (const auto& method : entry.methods) offers += (offers.back() == ':' ? " " : ", ") + method.name;
    }
    fmt::print("  serves shm://{}{}{}\n", service.name, offers.empty() ? "" : "  ", offers);
    if (service.halt) {
      fmt::print("    HALTED {} ago by process {} of uid {}: {}\n", since(service.halt->at_ns), service.halt->pid,
                 service.halt->uid, service.halt->why);
    }
  }

  void link(const shm::ObservedLink& link) const {
    const auto& either = link.server.here ? link.server.agreement : link.client.agreement;
    fmt::print("\nlink {:x}  of shm://{}, up {}, {} calls a lane, clock {}\n", link.id, link.service,
               since(either.since_ns), either.inflight, to_text(either.clock));
    side("client", link.client, shm::Side::client);
    side("server", link.server, shm::Side::server);
    static constexpr const char* kRequests[] = {"requests", "requests urgent"};
    static constexpr const char* kReplies[] = {"answers", "answers urgent"};
    for (std::size_t lane = 0; lane != ring::kLaneCount; ++lane) {
      ring(kRequests[lane], link, link.requests[lane], either.clock, &link.server.taken[lane]);
      mark(link, link.server.taken[lane], either.clock);
    }
    for (std::size_t lane = 0; lane != ring::kLaneCount; ++lane) {
      ring(kReplies[lane], link, link.replies[lane], either.clock, nullptr);
    }
  }

  static void side(const char* name, const shm::ObservedSide& side, shm::Side which) {
    if (!side.here) return fmt::print("  {}  its segment was not found\n", name);
    const std::string process =
        side.process ? fmt::format("{} {}, {}", side.process->pid, side.process->name, life_of(*side.process))
                     : fmt::format("{}, {}", side.agreement.pid, side.out_of_sight ? "out of sight" : "gone");
    fmt::print("  {}  {:<32} check {:<8}{}\n", name, process, to_text(side.agreement.check), counts(side, which));
  }

  // The counters that say something: those of the side's part, and others only when they are not 0.
  static std::string counts(const shm::ObservedSide& side, shm::Side which) {
    static constexpr bool kAlways[2][std::size(kCounterNames)] = {
        {true, false, true}, {false, false, false, false, false, true, false, false, true}};
    std::string text;
    for (std::size_t i = 0; i < std::min(side.counters.size(), std::size(kCounterNames)); ++i) {
      if (side.counters[i] == 0 && !kAlways[which == shm::Side::client ? 0 : 1][i]) continue;
      std::string name = kCounterNames[i];
      std::replace(name.begin(), name.end(), '_', ' ');
      text += fmt::format("  {} {}", name, side.counters[i]);
    }
    if (const auto open = open_calls(side, which); open && *open != 0) text += fmt::format("  open {}", *open);
    return text;
  }

  void mark(const shm::ObservedLink& link, const shm::ObservedTaken& taken, ClockSource clock) const {
    if (taken.call == 0) return;
    const auto age = ages_.of(taken.since, clock);
    fmt::print("    taken last: {}, call {:x}{}\n", all_.meaning.method(link.service, taken.method), taken.call,
               age ? ", " + short_time(*age) + " ago" : "");
  }

  void ring(const char* name, const shm::ObservedLink& link, const shm::ObservedRing& ring, ClockSource clock,
            const shm::ObservedTaken* taken) const {
    if (ring.bytes == 0) return fmt::print("  {:<16} {}\n", name, ring.trouble);
    const std::string picture = bar(taken_bytes(ring, taken), ring.fill(), ring.bytes);
    if (ring.count == 0 && ring.fill() == 0) {
      fmt::print("  {:<16} {}   0 %  empty, {}, at {:x}\n", name, picture, short_bytes(ring.bytes), ring.position);
    } else {
      fmt::print("  {:<16} {} {:>3} %  {} of {}, {} record{}, at {:x}\n", name, picture, ring.fill() * 100 / ring.bytes,
                 short_bytes(ring.fill()), short_bytes(ring.bytes), ring.count, ring.count == 1 ? "" : "s",
                 ring.position);
    }
    if (!ring.trouble.empty()) fmt::print("    {}\n", ring.trouble);
    if (ring.records.empty()) return;
    fmt::print("    {:<8} {:>16} {:<28} {:>8} {:>6}  PAYLOAD\n", "STATE", "CALL", "METHOD", "AGE", "BYTES");
    std::size_t whole = 0;
    for (const auto& record : ring.records) {
      whole += record.torn ? 0 : 1;
      this->record(link, record, clock);
    }
    if (ring.count > whole) fmt::print("    ... {} more (--all)\n", ring.count - whole);
  }

  void record(const shm::ObservedLink& link, const shm::ObservedRecord& record, ClockSource clock) const {
    if (record.torn) return fmt::print("    torn     overwritten while it was copied\n");
    const auto age = record.head.kind() == ring::Kind::request ? ages_.of(record.sent, clock) : std::nullopt;
    const std::string line = fmt::format("    {:<8} {:>16x} {:<28} {:>8} {:>6}  {}", state_of(record), record.call,
                                         record.method ? all_.meaning.method(link.service, record) : "-",
                                         age ? short_time(*age) : "-", record.payload_bytes, payload(link, record));
    fmt::print("{}\n", cut_to(line, columns_));
  }

  [[nodiscard]] std::string payload(const shm::ObservedLink& link, const shm::ObservedRecord& record) const {
    if (const auto status = status_of(record)) return *status;
    const Shown shown = all_.meaning.payload(link.service, record, kLimits);
    return shown.json.empty() ? hex(record.payload, 16, record.payload_bytes) + "  (" + shown.trouble + ")"
                              : shown.json;
  }

  const Inspected& all_;
  Ages ages_;
  std::size_t columns_ = columns();
};

}  // namespace

void draw(const Inspected& inspected) {
  const Picture picture(inspected);
  for (std::size_t i = 0; i != inspected.processes.size(); ++i) {
    if (i != 0) fmt::print("\n");
    picture.process(inspected.processes[i]);
  }
}

}  // namespace taut::tool
