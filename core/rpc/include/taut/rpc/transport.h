// The seam between the core and a transport. A transport makes two ends meet: it agrees on sizes, provides the memory
// of the lanes, and reports the peer's death. Calls never pass through it: both ends run the same rings, and a
// transport without shared memory moves records between rings in pump().
//
// Threads  Listeners and Connectors live on the thread that polls the ControlPlane; they hand finished links to the
//          Inbox, which may belong to another thread. A Wire belongs to the dispatcher's thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taut/base/clock.h"
#include "taut/base/log.h"
#include "taut/base/result.h"
#include "taut/ring/lane.h"
#include "taut/ring/releases.h"
#include "taut/ring/ring.h"
#include "taut/rpc/control_plane.h"
#include "taut/rpc/counters.h"
#include "taut/rpc/interceptor.h"
#include "taut/rpc/method_table.h"
#include "taut/rpc/url.h"

namespace taut::rpc {

class Seats;

// How larger records of the peer are read. Small ones (<= 256 bytes) are always copied before they are checked.
enum class Check : std::uint8_t {
  in_place = 0,  // guards against bugs of the peer
  copy = 1,      // guards against a peer that rewrites its bytes after the check
};

// Whom a side makes links with beside processes of its own user: nobody, unless it is said.
struct AllowedUsers {
  std::vector<std::uint32_t> uids;  // URL: allow=uid:1001,uid:1002
  bool group = false;               // for a listener: the group of its services' directory. URL: allow=group
  [[nodiscard]] bool any() const noexcept { return group || !uids.empty(); }
};

// Options of a link; each but what it serves can stand in a URL under the same name.
struct LinkOptions {
  std::uint32_t ring_bytes = 64 * 1024;                // URL: ring
  std::uint32_t urgent_ring_bytes = 8 * 1024;          // URL: urgent_ring
  std::uint32_t inflight = 64;                         // calls each side may have unanswered; URL: inflight
  std::uint32_t reply_bytes_max = 4096;                // room for answers whose schema sets no bound; URL: reply_max
  std::uint32_t message_bytes_max = 16 * 1024 * 1024;  // of a message that arrives in pieces; URL: message_max
  std::uint32_t arena_bytes = 0;                       // for messages above a record, read in place; URL: arena
  std::optional<Check> check = std::nullopt;           // none: copy for another user. URL: check=in_place|copy
  AllowedUsers allow = {};                             // URL: allow=group, allow=uid:1001,uid:1002
  bool schema_exact = false;                           // URL: schema=exact
  // A listener's, for all its links on one dispatcher together (docs/overload.md); 0: no limit.
  std::uint32_t open_max = 0;                             // calls taken on and not answered; URL: open_max
  Nanoseconds delay_max{0};                               // that a call may have waited when it is; URL: delay_max
  Nanoseconds timeout = std::chrono::seconds(1);          // of a call that names none; URL: timeout
  Nanoseconds connect_timeout = std::chrono::seconds(1);  // URL: connect_timeout
  // Of a client: what its server may call on this link, {.serve = {events}}. The services outlive the link. Their
  // handlers run in the client's poll(), never in a wait.
  Services serve = {};
  // Before them, behind those of the dispatcher. They outlive the link.
  ServerInterceptors serve_interceptors = {};
  // A link without a server tries again after pauses that double up to `reconnect`, drawn by lot from half of it on,
  // and at most so many times a second.
  Nanoseconds reconnect = std::chrono::milliseconds(100);  // URL: reconnect
  std::uint32_t reconnect_budget = 20;                     // URL: reconnect_budget
};
// Reads the options of `url` over `defaults`; refuses unknown names and impossible values, and a ring that cannot keep
// its promises: 64 x inflight + 2 x (ring/4) > ring.
Result<LinkOptions> read_options(const Url& url, const LinkOptions& defaults);

// What both ends agreed on.
struct Agreement {
  std::array<ring::Shape, ring::kLaneCount> out;  // rings that this side writes
  std::array<ring::Shape, ring::kLaneCount> in;
  std::uint32_t calls_out_max = 0;  // per lane: unanswered calls that the peer grants this side, and this side wants
  std::uint32_t calls_in_max = 0;   // and this side grants the peer
  std::uint32_t reply_bytes_max = 4096;
  std::uint32_t message_out_max = 0;  // most bytes of a message that the peer takes in pieces; 0: none
  std::uint32_t message_in_max = 0;   // and that this side takes
  Check check = Check::in_place;
  ClockSource clock = ClockSource::monotonic;  // of the stamps on this link
  std::uint64_t link_id = 0;
  int peer_pid = 0;                            // for people: death is never judged by it
  std::optional<std::uint32_t> peer_uid = {};  // as the kernel says; nothing where it says none
  MethodTable peer_methods;                    // what this side may call; empty where the peer serves nothing
};

// Why a link ended.
struct LinkEnded {
  Why why;  // peer_died: proven by its pidfd; peer_closed; peer_violation; link_closed
  std::string text;
  bool runs_on = false;  // peer_closed without a goodbye: the peer lives, and may still run what it took
};

// Where large messages are built and read in place. A side without an arena writes them in pieces.
struct ArenaMemory {
  std::span<std::byte> own = {};                 // empty: none
  const ring::ReleaseWords* released = nullptr;  // the peer's list of our blocks; with `own`
  std::span<const std::byte> peer = {};          // empty: none
  ring::ReleaseWords* releases = nullptr;        // our list of the peer's; with `peer`
};

// One end of one link, as its transport holds it. Keeps the memory mapped as long as it lives.
class Wire {
 public:
  virtual ~Wire() = default;
  [[nodiscard]] virtual const Agreement& agreement() const noexcept = 0;
  [[nodiscard]] virtual const ring::LaneMemory& lane(ring::Lane) const noexcept = 0;
  [[nodiscard]] virtual Counters& counters() noexcept = 0;
  [[nodiscard]] virtual ArenaMemory arena() const noexcept { return {}; }
  // The board of the peer's dispatcher; null: it never sleeps.
  [[nodiscard]] virtual const ring::SharedWord* peer_board() const noexcept { return nullptr; }
  // The halt word of the service; null where there is none. Not zero: halted.
  [[nodiscard]] virtual const ring::SharedWord* halt_word() const noexcept { return nullptr; }
  // Wakes a sleeping peer. One system call that never blocks.
  virtual void ring_bell() noexcept {}
  // For transports whose rings are not shared: moves records from and to the peer; returns how many. Once a turn.
  [[nodiscard]] virtual bool needs_pump() const noexcept { return false; }
  virtual int pump(Ticks /*now*/) noexcept { return 0; }
  // The link was dealt to a dispatcher whose control plane is not the listener's: nothing watches its descriptors until
  // the dispatcher says where. Once, inside ControlPlane::perform().
  [[nodiscard]] virtual bool unwatched() const noexcept { return false; }
  virtual Result<void> watch(ControlPlane& /*control*/) { return {}; }
  // Says goodbye and lets go of descriptors. The memory stays until the Wire is destroyed.
  virtual void close() noexcept = 0;
};

// Where listeners and connectors put what happened. Any thread; the dispatcher takes it in its next turn.
class Inbox {
 public:
  virtual ~Inbox() = default;
  // `listener` or `connector` is the id that the dispatcher gave; a link keeps the id of its Wire object's address.
  virtual void link_up(std::uint64_t endpoint, std::unique_ptr<Wire> wire) = 0;
  virtual void link_ended(std::uint64_t endpoint, std::uint64_t link_id, LinkEnded ended) = 0;
  virtual void connect_failed(std::uint64_t endpoint, Error error) = 0;
  virtual void log(Severity, std::string_view) = 0;
};

// What a listener needs to know of its dispatcher.
struct ListenContext {
  std::uint64_t endpoint;  // names this listener in the Inbox
  ControlPlane& control;
  Inbox& inbox;
  int board_fd = -1;                                // the dispatcher's board, to be passed to peers
  const MethodTable& methods;                       // outlives the listener
  std::vector<const ServiceDescription*> services;  // for tools that ask for the schema
  LinkOptions limits;                               // what the server allows at most
  Clock clock;
  std::shared_ptr<Seats> seats = {};  // where a transport that deals takes endpoint, inbox and board of each link from
};
struct ConnectContext {
  std::uint64_t endpoint;
  ControlPlane& control;
  Inbox& inbox;
  int board_fd = -1;
  LinkOptions options;
  Clock clock;
  // What the client offers its server, as a listener offers it clients; empty: nothing. Outlives the connector.
  const MethodTable* methods = nullptr;
  std::vector<const ServiceDescription*> services = {};
  [[nodiscard]] bool serves() const noexcept { return methods != nullptr && methods->method_count() != 0; }
};

// Accepts links until it is destroyed; the links it made live on.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  [[nodiscard]] virtual const std::string& url() const noexcept = 0;
  // Are links dealt to all dispatchers that share the listener? Else all go to the one that the ListenContext names.
  [[nodiscard]] virtual bool deals() const noexcept { return false; }
};

// Makes one link at a time: attempt() ends in link_up() or connect_failed().
class Connector {
 public:
  virtual ~Connector() = default;
  virtual void attempt() = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  [[nodiscard]] virtual std::string_view scheme() const noexcept = 0;
  virtual Result<std::unique_ptr<Acceptor>> listen(const Url&, ListenContext) = 0;
  virtual Result<std::unique_ptr<Connector>> connect(const Url&, ConnectContext) = 0;
};

}  // namespace taut::rpc
