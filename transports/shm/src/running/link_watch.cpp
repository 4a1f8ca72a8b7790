#include "link_watch.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <limits>

#include "taut/shm/message.h"

namespace taut::shm {
namespace {

// From a hang-up to the belief that the peer lives on without its socket. Long against the time between the two in a
// process that dies, since the pidfd's verdict is worth more.
constexpr auto kHangUpPatience = std::chrono::seconds(1);
// A peer that rings without end must not hold the control plane.
constexpr int kBellsPerTurn = 64;

}  // namespace

LinkWatch::LinkWatch(rpc::ControlPlane& control, std::shared_ptr<LinkState> state) noexcept
    : control_(control), state_(std::move(state)) {
  ++*state_->count;
}

Result<void> LinkWatch::begin(rpc::ControlPlane& control, std::shared_ptr<LinkState> state) {
  const int socket = state->socket.get();
  const int peer = state->peer.get();
  std::unique_ptr<LinkWatch> watch(new LinkWatch(control, std::move(state)));
  if (auto added = control.add(socket, EPOLLIN, *watch); !added) return added;
  if (auto added = control.add(peer, EPOLLIN, *watch); !added) return added;
  control.adopt(std::move(watch));
  return {};
}

LinkWatch::~LinkWatch() {
  --*state_->count;
  control_.remove(state_->socket.get());
  control_.remove(state_->peer.get());
  control_.forget(*this);
}

void LinkWatch::on_ready(int fd, std::uint32_t) {
  if (state_->closed.load(std::memory_order_acquire)) {  // sync(closed)
    leave();
    return;
  }
  // Who is dead says no more than lies in the socket's buffer, and a goodbye may stand behind all its bells.
  const bool dead = fd == state_->peer.get();
  const Heard heard = listen(dead ? std::numeric_limits<int>::max() : kBellsPerTurn);
  if (heard == Heard::goodbye) return end(Why::peer_closed, "said goodbye");
  if (heard == Heard::refusal) return end(Why::peer_closed, "gave up the link in its handshake");
  if (heard == Heard::violation) return end(Why::peer_violation, "sent what is neither a bell nor a goodbye");
  if (dead) return end(Why::peer_died, "died");
  if (heard == Heard::hang_up) {
    control_.remove(fd);  // it stays ready, and has nothing more to say
    control_.call_at(std::chrono::steady_clock::now() + kHangUpPatience, *this);
  }
}

void LinkWatch::on_time() {
  if (state_->closed.load(std::memory_order_acquire)) return leave();  // sync(closed)
  end(Why::peer_closed, "closed its socket without a goodbye, and lives", true);
}

LinkWatch::Heard LinkWatch::listen(int packets_max) noexcept {
  // Without room for control data: descriptors that a peer sends here are closed by the kernel.
  std::array<std::byte, sizeof(Refusal) + 1> bytes;
  for (int i = 0; i < packets_max; ++i) {
    const ssize_t received = ::recv(state_->socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (received == kBellBytes) continue;
    // A peer that left bells unread when it closed leaves a reset; its goodbye comes behind it.
    if (received < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (received < 0) return errno == EAGAIN ? Heard::nothing : Heard::hang_up;
    if (received == 0) return Heard::hang_up;
    const auto packet = std::span(bytes).first(static_cast<std::size_t>(received));
    if (read_message<Refusal>(packet, "the peer")) return Heard::refusal;
    const auto goodbye = read_message<Goodbye>(packet, "the peer");
    return goodbye && goodbye->link == state_->link ? Heard::goodbye : Heard::violation;
  }
  return Heard::nothing;
}

void LinkWatch::end(Why why, const char* how, bool runs_on) {
  state_->ended({why, state_->peer_name + " " + how, runs_on});
  leave();
}

void LinkWatch::leave() noexcept {
  // At once, since the poll that is running may hold an event of the other descriptor.
  control_.remove(state_->socket.get());
  control_.remove(state_->peer.get());
  control_.forget(*this);
  control_.dismiss(*this);
}

}  // namespace taut::shm
