// A transport whose two ends share their memory directly, as two processes do, but inside one. The test reaches every
// shared word: it can be one of the ends by hand, and lie. Also the fastest way to run two dispatchers on two threads.
#pragma once

#include <atomic>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "taut/rpc/dispatcher.h"
#include "taut/rpc/transport.h"

namespace taut::rpc::testing {

using ring::Lane;

// The shared memory of one link. Side 0 calls, side 1 serves.
class JoinedMemory {
 public:
  JoinedMemory(const LinkOptions& options, std::uint64_t id, std::uint64_t first, ClockSource clock)
      : bytes_{options.ring_bytes, options.urgent_ring_bytes} {
    for (int side = 0; side != 2; ++side) {
      for (std::size_t lane = 0; lane != ring::kLaneCount; ++lane) {
        rings_[side][lane].reset(new (std::align_val_t{4096}) std::byte[bytes_[lane]]());
        words_[side][lane].taken.position.store(first);
        words_[side][lane].released.store(first);
        agreements_[side].out[lane] = agreements_[side].in[lane] = {bytes_[lane], first};
      }
      agreements_[side].reply_bytes_max = options.reply_bytes_max;
      agreements_[side].message_out_max = agreements_[side].message_in_max = options.message_bytes_max;
      agreements_[side].check = options.check.value_or(Check::in_place);
      agreements_[side].clock = clock;
      agreements_[side].link_id = id;
      agreements_[side].peer_pid = 4711;
    }
    agreements_[0].calls_out_max = agreements_[1].calls_in_max = options.inflight;
    arena_bytes_ = options.arena_bytes;
    for (auto& arena : arenas_)
      arena.reset(arena_bytes_ != 0 ? new (std::align_val_t{4096}) std::byte[arena_bytes_]() : nullptr);
  }

  // What the client serves: so many calls of the server.
  void offer(const MethodTable& methods, std::uint32_t calls) {
    agreements_[1].peer_methods = methods;
    agreements_[1].calls_out_max = agreements_[0].calls_in_max = calls;
  }

  [[nodiscard]] ring::LaneMemory lane(int side, Lane lane) {
    const auto i = static_cast<std::size_t>(lane);
    return {rings_[side][i].get(), rings_[1 - side][i].get(), &words_[side][i], &words_[1 - side][i]};
  }
  [[nodiscard]] Agreement& agreement(int side) { return agreements_[side]; }
  [[nodiscard]] Counters& counters(int side) { return counters_[side]; }
  [[nodiscard]] ArenaMemory arena(int side) {
    return {{arenas_[side].get(), arena_bytes_},
            &releases_[1 - side],
            {arenas_[1 - side].get(), arena_bytes_},
            &releases_[side]};
  }
  [[nodiscard]] ring::ReleaseWords& releases(int side) { return releases_[side]; }
  ring::SharedWord halt_word{0};
  Dispatcher* turned_in_waits = nullptr;  // so that a wait of the caller also turns the server
  std::atomic<bool> ended{false};

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { ::operator delete[](bytes, std::align_val_t{4096}); }
  };
  std::uint32_t bytes_[ring::kLaneCount];
  std::unique_ptr<std::byte, Free> rings_[2][ring::kLaneCount];
  ring::LaneWords words_[2][ring::kLaneCount]{};
  Counters counters_[2]{};
  Agreement agreements_[2];
  std::size_t arena_bytes_ = 0;
  std::unique_ptr<std::byte, Free> arenas_[2];
  ring::ReleaseWords releases_[2]{};
};

class JoinedWire final : public Wire {
 public:
  // What the other end hears when this one is closed.
  struct Other {
    Inbox* inbox = nullptr;
    std::uint64_t endpoint = 0;
  };
  JoinedWire(std::shared_ptr<JoinedMemory> memory, int side, Other other)
      : memory_(std::move(memory)),
        side_(side),
        other_(other),
        lanes_{memory_->lane(side, Lane::normal), memory_->lane(side, Lane::urgent)} {}

  const Agreement& agreement() const noexcept override { return memory_->agreement(side_); }
  const ring::LaneMemory& lane(Lane lane) const noexcept override { return lanes_[static_cast<std::size_t>(lane)]; }
  Counters& counters() noexcept override { return memory_->counters(side_); }
  ArenaMemory arena() const noexcept override { return memory_->arena(side_); }
  const ring::SharedWord* halt_word() const noexcept override { return &memory_->halt_word; }
  bool needs_pump() const noexcept override { return side_ == 0 && memory_->turned_in_waits != nullptr; }
  int pump(Ticks) noexcept override {
    return memory_->turned_in_waits == nullptr ? 0 : memory_->turned_in_waits->poll();
  }
  void close() noexcept override {
    if (memory_->ended.exchange(true) || other_.inbox == nullptr) return;  // whoever closes second tells nobody
    other_.inbox->link_ended(other_.endpoint, agreement().link_id, {Why::peer_closed, "the peer closed the link"});
  }

 private:
  std::shared_ptr<JoinedMemory> memory_;
  int side_;
  Other other_;
  ring::LaneMemory lanes_[ring::kLaneCount];
};

// What has been served and connected by the dispatchers that share it.
class Joint {
 public:
  struct Made {
    std::shared_ptr<JoinedMemory> memory;
    Inbox* server = nullptr;
    Inbox* client = nullptr;
    std::uint64_t server_endpoint = 0, client_endpoint = 0;
    // The transport says that the link ended.
    void end(Why why, const std::string& text) const {
      if (memory->ended.exchange(true)) return;
      for (const auto& [inbox, endpoint] : {std::pair{client, client_endpoint}, {server, server_endpoint}}) {
        if (inbox != nullptr) inbox->link_ended(endpoint, memory->agreement(0).link_id, {why, text});
      }
    }
  };

  explicit Joint(std::uint64_t first_position = 0) : first(first_position) {}
  [[nodiscard]] std::unique_ptr<Transport> transport() { return std::make_unique<Way>(*this); }
  // The newest link.
  [[nodiscard]] const Made& made() const { return links.back(); }

  // A link to the served name whose client the test is.
  const Made& connect_by_hand(const std::string& name, const LinkOptions& options = {},
                              const MethodTable* offered = nullptr) {
    return make(name, options, ClockSource::manual, nullptr, 0, offered);
  }
  // Runs before a name is given back.
  std::function<void()> name_goes;
  // Whoever connects to `name` gets a link whose server the test is, with this method table.
  void serve_by_hand(const std::string& name, MethodTable methods) { by_hand.emplace(name, std::move(methods)); }

 private:
  class Bound final : public Acceptor {
   public:
    Bound(Joint& joint, std::string name, ListenContext context)
        : joint_(joint), name_(std::move(name)), url_("joined://" + name_), context_(std::move(context)) {
      joint_.served.emplace(name_, &context_);
    }
    ~Bound() override {
      if (joint_.name_goes) joint_.name_goes();
      joint_.served.erase(name_);
    }
    const std::string& url() const noexcept override { return url_; }

   private:
    Joint& joint_;
    std::string name_, url_;
    ListenContext context_;
  };
  class Maker final : public Connector {
   public:
    Maker(Joint& joint, std::string name, ConnectContext context)
        : joint_(joint), name_(std::move(name)), context_(std::move(context)) {}
    void attempt() override {
      if (!joint_.served.contains(name_) && !joint_.by_hand.contains(name_)) {
        context_.inbox.connect_failed(context_.endpoint, make_error(Code::unavailable, 0, {}, "nobody is there"));
        return;
      }
      joint_.make(name_, context_.options, context_.clock.source(), &context_.inbox, context_.endpoint,
                  context_.methods);
    }

   private:
    Joint& joint_;
    std::string name_;
    ConnectContext context_;
  };
  class Way final : public Transport {
   public:
    explicit Way(Joint& joint) : joint_(joint) {}
    std::string_view scheme() const noexcept override { return "joined"; }
    Result<std::unique_ptr<Acceptor>> listen(const Url& url, ListenContext context) override {
      return std::unique_ptr<Acceptor>(std::make_unique<Bound>(joint_, url.rest, std::move(context)));
    }
    Result<std::unique_ptr<Connector>> connect(const Url& url, ConnectContext context) override {
      return std::unique_ptr<Connector>(std::make_unique<Maker>(joint_, url.rest, std::move(context)));
    }

   private:
    Joint& joint_;
  };

  const Made& make(const std::string& name, const LinkOptions& options, ClockSource clock, Inbox* client,
                   std::uint64_t client_endpoint, const MethodTable* offered = nullptr) {
    Made link{std::make_shared<JoinedMemory>(options, links.size() + 1, first, clock), nullptr, client, 0,
              client_endpoint};
    if (offered != nullptr) link.memory->offer(*offered, options.inflight);
    if (const auto found = served.find(name); found != served.end()) {
      link.server = &found->second->inbox;
      link.server_endpoint = found->second->endpoint;
      link.memory->agreement(0).peer_methods = found->second->methods;
      link.server->link_up(link.server_endpoint,
                           std::make_unique<JoinedWire>(link.memory, 1, JoinedWire::Other{client, client_endpoint}));
    } else {
      link.memory->agreement(0).peer_methods = by_hand.at(name);
    }
    if (client != nullptr) {
      client->link_up(client_endpoint, std::make_unique<JoinedWire>(
                                           link.memory, 0, JoinedWire::Other{link.server, link.server_endpoint}));
    }
    return links.emplace_back(std::move(link));
  }

  std::uint64_t first;
  std::map<std::string, ListenContext*> served;
  std::map<std::string, MethodTable> by_hand;
  std::deque<Made> links;
};

}  // namespace taut::rpc::testing
