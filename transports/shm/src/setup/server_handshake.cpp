#include "server_handshake.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>

#include "../observe/memory_files.h"
#include "../running/link_watch.h"
#include "agreement.h"
#include "shm_acceptor.h"

namespace taut::shm {
namespace {

constexpr std::string_view kClient = "the client";
}  // namespace

ServerHandshake::ServerHandshake(ShmAcceptor& acceptor, memory::Descriptor socket) noexcept
    : acceptor_(acceptor), socket_(std::move(socket)) {}

ServerHandshake::~ServerHandshake() { end(); }

Result<void> ServerHandshake::begin() {
  auto& control = acceptor_.parts().context.control;
  if (auto added = control.add(socket_.get(), EPOLLIN, *this); !added) return added;
  control.call_at(begun_at_ + acceptor_.parts().options.handshake_timeout, *this);
  control.expect_more();
  return {};
}

void ServerHandshake::end() noexcept {
  if (ended_) return;
  ended_ = true;
  auto& control = acceptor_.parts().context.control;
  control.forget(*this);
  if (socket_) control.remove(socket_.get());
}

void ServerHandshake::refuse(const Error& error) noexcept {
  if (ended_) return;
  send_message(socket_.get(), make_refusal(error));
  acceptor_.log_refusal(error);
  end();
}

void ServerHandshake::on_ready(int, std::uint32_t) {
  Packet packet;
  switch (receive(socket_.get(), packet, kClient)) {
    case Received::nothing:
      return;
    case Received::closed:
      end();
      break;
    case Received::packet:
      if (auto handled = handle(packet); !handled) refuse(handled.error());
  }
  if (ended_) acceptor_.finished(*this);  // behind this poll the handshake is gone
}

void ServerHandshake::on_time() {
  const auto patience =
      std::chrono::duration_cast<std::chrono::milliseconds>(acceptor_.parts().options.handshake_timeout);
  refuse(make_error(Code::deadline_exceeded, 0, {}, "the client took more than %lld ms for its handshake",
                    static_cast<long long>(patience.count())));
  acceptor_.finished(*this);
}

Result<void> ServerHandshake::handle(Packet& packet) {
  if (auto checked = check_packet(packet, kClient); !checked) return checked;
  const Users& users = acceptor_.parts().users;
  if (auto allowed = users.check(*packet.sender, socket_.get(), kClient); !allowed) return allowed;
  const auto head = read_head(packet.view(), kClient);
  if (!head) return head.error();
  if (head->type == MessageType::describe) return describe(packet);
  if (head->type == MessageType::inspect) return show(packet);
  return parts_ ? confirm(packet) : welcome(packet);
}

Result<void> ServerHandshake::describe(const Packet& packet) {
  if (auto read = read_message<Describe>(packet.view(), kClient); !read) return read.error();
  if (auto checked = check_descriptor_count(packet, 0, kClient); !checked) return checked;
  const ServiceParts& service = acceptor_.parts();
  auto answer = make_message<Description>();
  answer.description_bytes = service.description.bytes;
  answer.links = *service.links;
  const int fd = service.description.fd.get();
  send_message(socket_.get(), answer, std::span(&fd, 1));
  end();
  return {};
}

Result<void> ServerHandshake::show(const Packet& packet) {
  const auto question = read_message<Inspect>(packet.view(), kClient);
  if (!question) return question.error();
  if (auto checked = check_descriptor_count(packet, 0, kClient); !checked) return checked;
  // Whoever may have links may not for that reason look into those of others.
  if (packet.sender->uid != geteuid()) {
    return make_error(Code::permission_denied, 0, "run the tool as the service's user, or as root with --pid",
                      "the memory of %s is shown to its own user only", acceptor_.parts().url.c_str());
  }
  const auto files = own_memory_files(acceptor_.parts().name, question->after, kFilesAtOnce);
  auto answer = make_message<Inspected>();
  answer.count = static_cast<std::uint32_t>(files.size());
  answer.last = files.size() == kFilesAtOnce ? static_cast<std::uint32_t>(files.back().number) : ~std::uint32_t{0};
  std::vector<int> fds;
  for (const auto& file : files) fds.push_back(file.fd.get());
  send_message(socket_.get(), answer, fds);
  end();
  return {};
}

Result<void> ServerHandshake::welcome(Packet& packet) {
  const auto hello = read_message<Hello>(packet.view(), kClient);
  if (!hello) return hello.error();
  if (auto checked = check_offer(hello->offer, kClient); !checked) return checked;
  if (hello->calls_wanted == 0) {
    return make_error(Code::invalid_argument, 0, {}, "the client asks for 0 calls: a link without a use");
  }
  const bool serves = hello->description_bytes != 0;
  if (serves != (hello->offer.calls_granted != 0)) {
    return make_error(Code::invalid_argument, 0, {}, "the client grants %u calls of a description of %llu bytes",
                      hello->offer.calls_granted, static_cast<unsigned long long>(hello->description_bytes));
  }
  const std::size_t descriptor_count = 1 + std::size_t{hello->offer.has_board} + (serves ? 1 : 0);
  if (auto checked = check_descriptor_count(packet, descriptor_count, kClient); !checked) return checked;
  auto held = hold_sender(packet, kClient);
  if (!held) return held.error();
  peer_ = *std::move(held);
  if (peer_.proven) no_more_pidfds(socket_.get());  // so that what succeeds up to the welcome needs none behind it

  auto peer = PeerLinkSegment::open(std::move(packet.descriptors[0]), hello->offer.segment_bytes,
                                    hello->offer.ring_bytes, "the client's segment");
  if (!peer) return peer.error();
  memory::PeerBoard peer_board;
  if (hello->offer.has_board != 0) {
    auto board = memory::PeerBoard::open(std::move(packet.descriptors[1]), "the client's board");
    if (!board) return board.error();
    peer_board = *std::move(board);
  }
  auto methods = methods_of_client(*hello, packet);
  if (!methods) return methods.error();

  const ServiceParts& service = acceptor_.parts();
  const rpc::ListenContext& context = service.context;
  seat_ = context.seats->deal();
  if (seat_ == nullptr) return make_error(Code::unavailable, 0, {}, "%s has no dispatcher", service.url.c_str());
  auto spare = acceptor_.spares().take();
  if (!spare) return spare.error();

  auto answer = make_message<Welcome>();
  answer.offer = make_offer(context.limits, context.clock, true);
  answer.offer.calls_granted = std::min(hello->calls_wanted, context.limits.inflight);
  answer.offer.reply_bytes_max = std::min(hello->offer.reply_bytes_max, context.limits.reply_bytes_max);
  answer.link = spare->link;
  answer.first_of_client = first_positions(spare->link, 0);
  answer.first_of_server = first_positions(spare->link, 1);
  if (const auto& fixed = service.options.first_position) {
    answer.first_of_client.fill(*fixed);
    answer.first_of_server.fill(*fixed);
  }
  answer.description_bytes = service.description.bytes;
  spare->segment.begin(spare->link, answer.first_of_server, answer.first_of_client);

  auto control_page = service.control_page->open_read_only();
  if (!control_page) return control_page.error();
  const int fds[] = {spare->segment.fd(), control_page->get(), service.description.fd.get(), seat_->board_fd()};
  answer.offer.stamps = read_stamps(context.clock);  // last, so that the client's stamps nest it closely
  if (send_message(socket_.get(), answer, fds) != 0) {
    end();
    return {};
  }
  context.control.expect_more();

  rpc::Agreement agreement;
  agreement.out = shapes(ring_sizes(context.limits), answer.first_of_server);
  agreement.in = shapes(hello->offer.ring_bytes, answer.first_of_client);
  // Not more than this side grants: rows for such calls would else be the peer's to order.
  agreement.calls_out_max = std::min(hello->offer.calls_granted, context.limits.inflight);
  agreement.calls_in_max = answer.offer.calls_granted;
  agreement.reply_bytes_max = answer.offer.reply_bytes_max;
  agreement.message_out_max = hello->offer.message_bytes_max;
  agreement.message_in_max = answer.offer.message_bytes_max;
  agreement.check = check_of(context.limits, peer_.uid);
  agreement.link_id = answer.link;
  agreement.peer_pid = peer_.pid;
  agreement.peer_methods = *std::move(methods);
  agreement.peer_uid = peer_.uid;
  parts_.emplace(WireParts{std::move(agreement),
                           std::move(spare->segment),
                           *std::move(peer),
                           std::move(peer_board),
                           service.control_page,
                           {},
                           nullptr});
  return {};
}

Result<rpc::MethodTable> ServerHandshake::methods_of_client(const Hello& hello, Packet& packet) const {
  if (hello.description_bytes == 0) return rpc::MethodTable{};
  const memory::Descriptor fd = std::move(packet.descriptors.back());
  auto description = read_description(fd, hello.description_bytes, Schemas::skip, "the client's description");
  if (!description) return description.error();
  return std::move(description->methods);
}

Result<void> ServerHandshake::confirm(const Packet& packet) {
  const auto confirm = read_message<Confirm>(packet.view(), kClient);
  if (!confirm) return confirm.error();
  if (auto checked = check_descriptor_count(packet, 0, kClient); !checked) return checked;
  if (auto proven = prove_sender(peer_, packet, kClient); !proven) return proven;
  rpc::Agreement& agreement = parts_->agreement;
  if (confirm->link != agreement.link_id || confirm->clock > ClockSource::manual) {
    return make_error(Code::invalid_argument, 0, {},
                      "the client confirms link %llu with clock %u; offered was link %llu",
                      static_cast<unsigned long long>(confirm->link), static_cast<unsigned>(confirm->clock),
                      static_cast<unsigned long long>(agreement.link_id));
  }
  agreement.clock = confirm->clock;
  if (confirm->ready_wanted != 0) {
    auto ready = make_message<Ready>();
    ready.link = confirm->link;
    send_message(socket_.get(), ready);
  }

  ServiceParts& service = acceptor_.parts();
  end();
  no_more_senders(socket_.get());
  auto state = std::make_shared<LinkState>();
  state->socket = std::move(socket_);
  state->peer = std::move(peer_.pidfd);
  state->link = agreement.link_id;
  state->endpoint = seat_->endpoint();
  state->peer_name = "a client of " + service.url + ", " + name_of(peer_) + ",";
  state->count = service.links;
  state->seat = seat_;
  state->attach(seat_->inbox());
  parts_->state = state;
  auto wire = std::make_unique<ShmWire>(*std::move(parts_));
  if (seat_->is_of(service.context.control)) {
    if (auto watched = wire->watch(service.context.control); !watched) {
      acceptor_.log_refusal(watched.error());  // the wire says goodbye
      return {};
    }
  }  // else by the dispatcher that takes it, in its own control plane; what comes before then waits in the socket
  seat_->link_up(std::move(wire));
  return {};
}

}  // namespace taut::shm
