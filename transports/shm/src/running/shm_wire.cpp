#include "shm_wire.h"

#include <sys/socket.h>

#include "../setup/message_socket.h"
#include "bell.h"
#include "link_watch.h"

namespace taut::shm {

ShmWire::ShmWire(WireParts parts) : parts_(std::move(parts)) {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const auto lane = static_cast<ring::Lane>(i);
    lanes_[i] = {parts_.own.ring(lane), parts_.peer.ring(lane), parts_.own.words(lane), parts_.peer.words(lane)};
  }
  parts_.own.show(parts_.control ? Side::server : Side::client, parts_.agreement);
}

ShmWire::~ShmWire() { close(); }

const ring::SharedWord* ShmWire::halt_word() const noexcept {
  if (parts_.control) return &parts_.control->words().halt;
  return parts_.peer_control.words() != nullptr ? &parts_.peer_control.words()->halt : nullptr;
}

void ShmWire::ring_bell() noexcept {
  if (parts_.state) shm::ring_bell(parts_.state->socket.get());
}

Result<void> ShmWire::watch(rpc::ControlPlane& control) {
  unwatched_ = false;
  return LinkWatch::begin(control, parts_.state);
}

void ShmWire::close() noexcept {
  if (!parts_.state) return;
  LinkState& state = *parts_.state;
  state.detach();
  // In a child of fork() the link is the parent's: it does not end because the child does.
  if (state.process == getpid()) {
    auto goodbye = make_message<Goodbye>();
    goodbye.link = state.link;
    send_message(state.socket.get(), goodbye);
    // sync(closed): pairs with the acquire in LinkWatch. The hang-up of our own socket wakes the watch, which goes.
    state.closed.store(true, std::memory_order_release);
    ::shutdown(state.socket.get(), SHUT_RDWR);
  }
  parts_.state.reset();
  parts_.own.close_descriptor();
  parts_.peer.close_descriptor();
}

}  // namespace taut::shm
