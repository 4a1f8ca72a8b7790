#include "taut/loopback/loopback.h"

#include <algorithm>
#include <map>
#include <optional>

#include "pipe.h"

namespace taut::loopback {

using ring::Lane;
using rpc::LinkEnded;

// One link: both sides of both lanes, and the pipes between them.
class Link {
 public:
  Link(const rpc::LinkOptions& options, const rpc::ListenContext& server, const rpc::ConnectContext& client,
       std::uint64_t id)
      : id(id),
        server_inbox(&server.inbox),
        client_inbox(&client.inbox),
        server_endpoint(server.endpoint),
        client_endpoint(client.endpoint),
        clock(client.clock) {
    const ring::u32 bytes[] = {options.ring_bytes, options.urgent_ring_bytes};
    for (std::size_t i = 0; i < ring::kLaneCount; ++i) {
      const ring::Shape shape{bytes[i], ring::kStep * (id * 0x9e3779b97f4a7c15u >> 40)};
      agreements[0].out[i] = agreements[0].in[i] = agreements[1].out[i] = agreements[1].in[i] = shape;
      client_side[i] = std::make_unique<Side>(bytes[i]);
      server_side[i] = std::make_unique<Side>(bytes[i]);
      there[i].emplace(*client_side[i], *server_side[i], shape);
      back[i].emplace(*server_side[i], *client_side[i], shape);
      memory[0][i] = client_side[i]->memory();
      memory[1][i] = server_side[i]->memory();
    }
    for (auto& agreement : agreements) {
      agreement.reply_bytes_max = server.limits.reply_bytes_max;
      agreement.message_out_max = agreement.message_in_max = server.limits.message_bytes_max;
      agreement.check = options.check.value_or(rpc::Check::in_place);  // one process, one user
      agreement.clock = client.clock.source();
      agreement.link_id = id;
    }
    agreements[0].calls_out_max = agreements[1].calls_in_max = options.inflight;
    agreements[0].peer_methods = server.methods;
    if (client.serves()) {
      agreements[1].calls_out_max = agreements[0].calls_in_max = std::min(options.inflight, server.limits.inflight);
      agreements[1].peer_methods = *client.methods;
    }
  }

  void end(Why why, const std::string& text) {
    if (ended) return;
    ended = true;
    // As a survivor reads the marks of the dead: not those that the last move of records saw.
    for (auto* pipes : {&there, &back}) {
      for (auto& pipe : *pipes) pipe->follow_taken();
    }
    client_inbox->link_ended(client_endpoint, id, LinkEnded{why, text});
    server_inbox->link_ended(server_endpoint, id, LinkEnded{why, text});
  }

  std::uint64_t id;
  rpc::Inbox* server_inbox;
  rpc::Inbox* client_inbox;
  std::uint64_t server_endpoint, client_endpoint;
  Clock clock;
  std::unique_ptr<Side> client_side[ring::kLaneCount], server_side[ring::kLaneCount];
  std::optional<Pipe> there[ring::kLaneCount], back[ring::kLaneCount];
  ring::LaneMemory memory[2][ring::kLaneCount];  // of the client's end, of the server's
  rpc::Agreement agreements[2];
  rpc::Counters counters[2]{};
  bool ended = false;
};

class Wires : public std::enable_shared_from_this<Wires> {
 public:
  explicit Wires(const Faults& with) : faults(with), random(with.seed) {}

  int pump(Link& link, Ticks now) {
    int moved = 0;
    for (std::size_t i = 0; i < lanes_moved && !link.ended; ++i) {
      for (Pipe* pipe : {&*link.there[i], &*link.back[i]}) {
        const Pipe::Moved what = pipe->move(faults, random, now, link.clock);
        if (what == Pipe::Moved::disconnect) {
          link.end(Why::peer_died, "the loopback network cut the link");
          break;
        }
        moved += what == Pipe::Moved::some ? 1 : 0;
      }
    }
    if (!driving) {
      driving = true;
      int done = moved;
      for (rpc::Dispatcher* dispatcher : driven) done += dispatcher->poll();
      driving = false;
      if (done == 0 && idle) idle();
    }
    return moved;
  }

  // A side that closes in good order has sent what it has sent: its peer finds it, as it would in shared memory.
  [[gnu::cold, gnu::noinline]] void close(Link& link, int side) {
    if (link.ended) return;
    for (auto& pipe : side == 0 ? link.there : link.back) pipe->move({}, random, ~Ticks{0}, link.clock);
    link.end(Why::peer_closed, "the peer closed the link");
  }

  void end_all(Why why, const std::string& text) {
    for (const auto& weak : links) {
      if (const auto link = weak.lock()) link->end(why, text);
    }
    links.clear();
  }

  Faults faults;
  std::mt19937_64 random;
  bool driving = false;
  std::size_t lanes_moved = ring::kLaneCount;  // 0: held
  std::function<void()> idle;
  std::vector<rpc::Dispatcher*> driven;
  std::map<std::string, rpc::ListenContext*> listening;
  std::vector<std::weak_ptr<Link>> links;
  std::uint64_t next_id = 1;
};

namespace {

class LoopbackWire final : public rpc::Wire {
 public:
  LoopbackWire(std::shared_ptr<Wires> wires, std::shared_ptr<Link> link, int side)
      : wires_(std::move(wires)), link_(std::move(link)), side_(side) {}
  const rpc::Agreement& agreement() const noexcept override { return link_->agreements[side_]; }
  const ring::LaneMemory& lane(Lane lane) const noexcept override {
    return link_->memory[side_][static_cast<std::size_t>(lane)];
  }
  rpc::Counters& counters() noexcept override { return link_->counters[side_]; }
  bool needs_pump() const noexcept override { return true; }
  int pump(Ticks now) noexcept override { return wires_->pump(*link_, now); }
  void close() noexcept override { wires_->close(*link_, side_); }

 private:
  std::shared_ptr<Wires> wires_;
  std::shared_ptr<Link> link_;
  int side_;
};

class LoopbackAcceptor final : public rpc::Acceptor {
 public:
  LoopbackAcceptor(std::shared_ptr<Wires> wires, std::string name, rpc::ListenContext context)
      : wires_(std::move(wires)), name_(std::move(name)), url_("loopback://" + name_), context_(std::move(context)) {
    wires_->listening[name_] = &context_;
  }
  ~LoopbackAcceptor() override { wires_->listening.erase(name_); }
  const std::string& url() const noexcept override { return url_; }

 private:
  std::shared_ptr<Wires> wires_;
  std::string name_, url_;
  rpc::ListenContext context_;
};

class LoopbackConnector final : public rpc::Connector {
 public:
  LoopbackConnector(std::shared_ptr<Wires> wires, std::string name, rpc::ConnectContext context)
      : wires_(std::move(wires)), name_(std::move(name)), context_(context) {}
  void attempt() override {
    const auto found = wires_->listening.find(name_);
    if (found == wires_->listening.end()) {
      context_.inbox.connect_failed(context_.endpoint,
                                    make_error(Code::unavailable, 0, "serve it on the same loopback network first",
                                               "nobody serves loopback://%s", name_.c_str()));
      return;
    }
    const auto link = std::make_shared<Link>(context_.options, *found->second, context_, wires_->next_id++);
    wires_->links.push_back(link);
    found->second->inbox.link_up(found->second->endpoint, std::make_unique<LoopbackWire>(wires_, link, 1));
    context_.inbox.link_up(context_.endpoint, std::make_unique<LoopbackWire>(wires_, link, 0));
  }

 private:
  std::shared_ptr<Wires> wires_;
  std::string name_;
  rpc::ConnectContext context_;
};

}  // namespace

class Loopback final : public rpc::Transport {
 public:
  explicit Loopback(std::shared_ptr<Wires> wires) : wires_(std::move(wires)) {}
  std::string_view scheme() const noexcept override { return "loopback"; }
  Result<std::unique_ptr<rpc::Acceptor>> listen(const rpc::Url& url, rpc::ListenContext context) override {
    if (wires_->listening.contains(url.rest)) {
      return make_error(Code::already_exists, 0, "choose another name", "%s is served already", url.name().c_str());
    }
    return std::unique_ptr<rpc::Acceptor>(std::make_unique<LoopbackAcceptor>(wires_, url.rest, std::move(context)));
  }
  Result<std::unique_ptr<rpc::Connector>> connect(const rpc::Url& url, rpc::ConnectContext context) override {
    return std::unique_ptr<rpc::Connector>(std::make_unique<LoopbackConnector>(wires_, url.rest, context));
  }

 private:
  std::shared_ptr<Wires> wires_;
};

Network::Network(Faults faults) : wires_(std::make_shared<Wires>(faults)) {}
Network::~Network() = default;
void Network::set_faults(const Faults& faults) {
  wires_->faults = faults;
  wires_->random.seed(faults.seed);
}
void Network::drive(rpc::Dispatcher& dispatcher) { wires_->driven.push_back(&dispatcher); }
void Network::when_idle(std::function<void()> f) { wires_->idle = std::move(f); }
void Network::hold(bool on) { wires_->lanes_moved = on ? 0 : ring::kLaneCount; }
void Network::cut() { wires_->end_all(Why::peer_died, "the loopback network cut the link"); }
void Network::say_goodbye() { wires_->end_all(Why::peer_closed, "the peer said goodbye"); }
std::unique_ptr<rpc::Transport> Network::transport() { return std::make_unique<Loopback>(wires_); }

}  // namespace taut::loopback
