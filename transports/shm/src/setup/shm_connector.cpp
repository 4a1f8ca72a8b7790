#include "shm_connector.h"

#include <sys/epoll.h>

#include <cerrno>

#include "../running/link_watch.h"
#include "agreement.h"
#include "service_name.h"

namespace taut::shm {

Result<std::unique_ptr<rpc::Connector>> ShmConnector::make(const rpc::Url& url, rpc::ConnectContext context,
                                                           const TransportOptions& options) {
  auto wanted = rpc::read_options(url, context.options);
  if (!wanted) return wanted.error();
  context.options = *wanted;
  if (auto checked = check_service_name(url.rest); !checked) return checked.error();
  if (context.options.allow.group) {
    return make_error(Code::invalid_argument, 0, "write allow=uid:1001",
                      "shm://%s: a client trusts the servers of users, each by its uid, and of no group",
                      url.rest.c_str());
  }
  auto users = Users::of(context.options.allow);
  if (!users) return users.error();
  DescriptionFile description;
  if (context.serves()) {
    auto made = make_description(url.rest + ":" + std::to_string(context.endpoint) + ":client", *context.methods,
                                 context.services);
    if (!made) return made.error();
    description = *std::move(made);
  }
  return std::unique_ptr<rpc::Connector>(
      new ShmConnector(url.rest, std::move(context), options, *std::move(users), std::move(description)));
}

ShmConnector::ShmConnector(std::string service, rpc::ConnectContext context, const TransportOptions& options,
                           Users users, DescriptionFile description)
    : service_(std::move(service)),
      server_("the server of shm://" + service_),
      context_(std::move(context)),
      options_(options),
      users_(std::move(users)),
      description_(std::move(description)) {}

ShmConnector::~ShmConnector() { stop(); }

void ShmConnector::attempt() {
  if (socket_) return;
  if (auto begun = begin(); !begun) fail(begun.error());
}

Result<void> ShmConnector::begin() {
  // Anew for each attempt: the directory may be made meanwhile, or made again.
  const auto directory = ServiceDirectory::open(options_.directory, false, context_.options.allow.uids);
  if (!directory) return directory.error();
  auto socket = connect_to_service(*directory, service_, options_.scm_pidfd);
  if (!socket) return socket.error();

  const std::string name = "taut:" + service_ + ":" + std::to_string(context_.endpoint) + ":client";
  auto own = LinkSegment::create(name, ring_sizes(context_.options), 0, context_.options.arena_bytes);
  if (!own) return own.error();
  own_ = *std::move(own);
  socket_ = *std::move(socket);

  auto hello = make_message<Hello>();
  hello.offer = make_offer(context_.options, context_.clock, context_.board_fd >= 0);
  hello.calls_wanted = context_.options.inflight;
  hello_stamps_ = hello.offer.stamps;
  std::vector<int> fds{own_->fd()};
  if (context_.board_fd >= 0) fds.push_back(context_.board_fd);
  if (context_.serves()) {
    hello.offer.calls_granted = context_.options.inflight;
    hello.offer.features_needed |= feature::client_serves;
    hello.description_bytes = description_.bytes;
    fds.push_back(description_.fd.get());
  }
  const int refused = send_message(socket_.get(), hello, fds);
  if (refused != 0) return why_unheard(refused);
  if (auto added = context_.control.add(socket_.get(), EPOLLIN, *this); !added) return added;
  context_.control.call_at(std::chrono::steady_clock::now() + options_.handshake_timeout, *this);
  context_.control.expect_more();
  return {};
}

void ShmConnector::on_ready(int, std::uint32_t) {
  Packet packet;
  switch (receive(socket_.get(), packet, server_)) {
    case Received::nothing:
      return;
    case Received::closed:
      return fail(make_error(Code::unavailable, 0, {}, "%s closed the connection in the handshake", server_.c_str()));
    case Received::packet:
      break;
  }
  if (auto handled = handle(packet); !handled) fail(handled.error());
}

void ShmConnector::on_time() {
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(options_.handshake_timeout);
  fail(make_error(Code::deadline_exceeded, 0, "is it stopped, or does it not poll?", "%s did not answer within %lld ms",
                  server_.c_str(), static_cast<long long>(patience.count())));
}

Result<void> ShmConnector::check(const Packet& packet) const {
  if (auto checked = check_packet(packet, server_); !checked) return checked;
  return users_.check(*packet.sender, socket_.get(), server_);
}

Result<void> ShmConnector::handle(Packet& packet) {
  if (auto checked = check(packet); !checked) return checked;
  const auto head = read_head(packet.view(), server_);
  if (!head) return head.error();
  if (head->type == MessageType::refusal) return refusal_in(packet);
  return parts_ ? read_ready(packet) : read_welcome(packet);
}

Error ShmConnector::refusal_in(const Packet& packet) const {
  const auto refusal = read_message<Refusal>(packet.view(), server_);
  return refusal ? to_error(*refusal, "shm://" + service_ + " refused the link") : refusal.error();
}

// A server that refuses at once has closed before it was spoken to; its sentence waits to be read.
Error ShmConnector::why_unheard(int os_errno) const {
  Packet packet;
  if (receive(socket_.get(), packet, server_) == Received::packet && check(packet)) {
    const auto head = read_head(packet.view(), server_);
    if (head && head->type == MessageType::refusal) return refusal_in(packet);
  }
  return make_error(Code::unavailable, os_errno, {}, "speaking to %s", server_.c_str());
}

Result<void> ShmConnector::read_welcome(Packet& packet) {
  const Stamps now = read_stamps(context_.clock);  // first, so that they nest the server's closely
  const auto welcome = read_message<Welcome>(packet.view(), server_);
  if (!welcome) return welcome.error();
  if (auto checked = check_offer(welcome->offer, server_); !checked) return checked;
  const std::size_t descriptor_count = 3 + std::size_t{welcome->offer.has_board};
  if (auto checked = check_descriptor_count(packet, descriptor_count, server_); !checked) return checked;
  if (auto checked = check_positions(welcome->first_of_client, server_); !checked) return checked;
  if (auto checked = check_positions(welcome->first_of_server, server_); !checked) return checked;
  if (welcome->offer.calls_granted == 0 || welcome->offer.calls_granted > context_.options.inflight) {
    return make_error(Code::invalid_argument, 0, {}, "%s grants %u calls; asked for were %u", server_.c_str(),
                      welcome->offer.calls_granted, context_.options.inflight);
  }
  auto held = hold_sender(packet, server_);
  if (!held) return held.error();
  peer_ = *std::move(held);

  auto peer = PeerLinkSegment::open(std::move(packet.descriptors[0]), welcome->offer.segment_bytes,
                                    welcome->offer.ring_bytes, "the server's segment");
  if (!peer) return peer.error();
  auto control = memory::PeerControlPage::open(std::move(packet.descriptors[1]), "the server's control page");
  if (!control) return control.error();
  auto description =
      read_description(packet.descriptors[2], welcome->description_bytes, Schemas::skip, "the server's description");
  if (!description) return description.error();
  packet.descriptors[2].reset();
  memory::PeerBoard board;
  if (welcome->offer.has_board != 0) {
    auto opened = memory::PeerBoard::open(std::move(packet.descriptors[3]), "the server's board");
    if (!opened) return opened.error();
    board = *std::move(opened);
  }
  const auto clock =
      common_clock(context_.clock.source(), hello_stamps_, welcome->offer.clock, welcome->offer.stamps, now);
  if (!clock) {
    return make_error(Code::failed_precondition, 0, "are they in different time namespaces?",
                      "this process and %s do not read one clock", server_.c_str());
  }

  rpc::Agreement agreement;
  agreement.out = shapes(ring_sizes(context_.options), welcome->first_of_client);
  agreement.in = shapes(welcome->offer.ring_bytes, welcome->first_of_server);
  agreement.calls_out_max = welcome->offer.calls_granted;
  agreement.calls_in_max = context_.serves() ? context_.options.inflight : 0;
  agreement.reply_bytes_max = welcome->offer.reply_bytes_max;
  agreement.message_out_max = welcome->offer.message_bytes_max;
  agreement.message_in_max = context_.options.message_bytes_max;
  agreement.check = check_of(context_.options, peer_.uid);
  agreement.clock = *clock;
  agreement.link_id = welcome->link;
  agreement.peer_pid = peer_.pid;
  agreement.peer_uid = peer_.uid;
  agreement.peer_methods = std::move(description->methods);
  own_->begin(welcome->link, welcome->first_of_client, welcome->first_of_server);
  parts_.emplace(WireParts{std::move(agreement), *std::move(own_), *std::move(peer), std::move(board), nullptr,
                           *std::move(control), nullptr});
  own_.reset();

  auto confirm = make_message<Confirm>();
  confirm.link = welcome->link;
  confirm.clock = *clock;
  confirm.ready_wanted = peer_.proven ? 0 : 1;
  if (const int refused = send_message(socket_.get(), confirm); refused != 0) return why_unheard(refused);
  return peer_.proven ? link_up() : Result<void>{};
}

Result<void> ShmConnector::read_ready(const Packet& packet) {
  const auto ready = read_message<Ready>(packet.view(), server_);
  if (!ready) return ready.error();
  if (auto checked = check_descriptor_count(packet, 0, server_); !checked) return checked;
  if (auto proven = prove_sender(peer_, packet, server_); !proven) return proven;
  return link_up();
}

Result<void> ShmConnector::link_up() {
  context_.control.forget(*this);
  context_.control.remove(socket_.get());
  no_more_senders(socket_.get());
  auto state = std::make_shared<LinkState>();
  state->socket = std::move(socket_);
  state->peer = std::move(peer_.pidfd);
  state->link = parts_->agreement.link_id;
  state->endpoint = context_.endpoint;
  state->peer_name = server_ + ", " + name_of(peer_) + ",";
  state->attach(context_.inbox);
  parts_->state = state;
  auto wire = std::make_unique<ShmWire>(*std::move(parts_));
  parts_.reset();
  if (auto watched = wire->watch(context_.control); !watched) return watched;  // the wire says goodbye
  context_.inbox.link_up(context_.endpoint, std::move(wire));
  return {};
}

void ShmConnector::stop() noexcept {
  context_.control.forget(*this);
  if (socket_) context_.control.remove(socket_.get());
  socket_.reset();
  own_.reset();
  peer_ = Peer{};
  parts_.reset();
}

void ShmConnector::fail(const Error& error) {
  stop();
  context_.inbox.connect_failed(context_.endpoint, error);
}

}  // namespace taut::shm
