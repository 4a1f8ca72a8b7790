// What the control plane reports, perhaps from another thread: links that came, went, or could not be made. May
// allocate and log.
#include <algorithm>

#include "core.h"

namespace taut::rpc {

void Core::deliver(Event event) {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(event));
    turn_->came_from_outside(Turn::kInbox);
  }
  wake();  // another dispatcher may have accepted the link
}

void Core::link_up(std::uint64_t endpoint, std::unique_ptr<Wire> wire) { deliver(LinkUp{endpoint, std::move(wire)}); }
void Core::link_ended(std::uint64_t endpoint, std::uint64_t link_id, LinkEnded ended) {
  deliver(LinkDown{endpoint, link_id, std::move(ended)});
}
void Core::connect_failed(std::uint64_t endpoint, Error error) { deliver(ConnectFailed{endpoint, error}); }
void Core::log(Severity severity, std::string_view text) { deliver(Logged{severity, std::string(text)}); }

void Core::take_inbox() {
  std::vector<Event> events;
  {
    const std::lock_guard lock(inbox_mutex_);
    events.swap(inbox_);
  }
  for (Event& event : events) {
    std::visit([this](auto& what) { happened(what); }, event);
  }
}

void Core::happened(LinkUp& up) {
  const auto served = served_.find(up.endpoint);
  const auto link = links_.find(up.endpoint);
  if (served == served_.end() && link == links_.end()) return up.wire->close();  // nobody waits for it any more
  if (up.wire->unwatched() && !watched(*up.wire)) return up.wire->close();
  if (link != links_.end() && std::any_of(ends_.begin(), ends_.end(), [&](const auto& end) {
        return end->endpoint == up.endpoint && end->claim_open();
      })) {
    // A call is still being written into the ring that went: sent now, it must not end up in the new one.
    return deliver(LinkUp{up.endpoint, std::move(up.wire)});
  }
  auto end = served != served_.end()
                 ? std::make_unique<LinkEnd>(turn_, std::move(up.wire), LinkEnd::Side::server, served->second.methods)
                 : std::make_unique<LinkEnd>(turn_, std::move(up.wire), LinkEnd::Side::client, link->second->served());
  end->endpoint = up.endpoint;
  const auto chain = served != served_.end() ? served->second.chain : link->second->serve_chain();
  if (chain != nullptr) end->intercept(chain);
  hot_.push_back(end.get());
  if (end->wire().needs_pump()) pumped_.push_back(end.get());
  ends_by_link_.emplace(end->wire().agreement().link_id, end.get());
  ends_.push_back(std::move(end));
  cold_.reserve(ends_.capacity());
  hot_.reserve(ends_.capacity());
  if (served != served_.end() && served->second.draining) ends_.back()->drain();
  if (link != links_.end()) {
    link->second->connected(*ends_.back());
    any_news_ = true;
    control_after_ = 0;
  }
}

bool Core::watched(Wire& wire) {
  Result<void> watched;
  control_->perform([&] { watched = wire.watch(*control_); });
  if (!watched) turn_->log(Severity::warning, "closing a link that was dealt: " + std::string(watched.error().what()));
  return static_cast<bool>(watched);
}

void Core::happened(LinkDown& down) {
  const auto [first, last] = ends_by_link_.equal_range(down.link_id);
  const auto found =
      std::find_if(first, last, [&](const auto& entry) { return entry.second->endpoint == down.endpoint; });
  if (found != last) end_link(*found->second, std::move(down.ended));
}

void Core::happened(ConnectFailed& failed) {
  const auto link = links_.find(failed.endpoint);
  if (link != links_.end()) link->second->attempt_failed(failed.error);
}

void Core::happened(Logged& logged) { turn_->log(logged.severity, logged.text); }

// The link is over for new calls at once; what was under way is ended outside of any turn, wait or callback.
void Core::end_link(LinkEnd& end, LinkEnded ended) noexcept {
  if (end.ended != nullptr) return;
  if (ended.why == Why::peer_violation) {
    turn_->log(Severity::warning, "closing a link to process " + std::to_string(end.wire().agreement().peer_pid) +
                                      ", which broke the rules: " + ended.text);
  }
  if (ended.why == Why::link_closed && forked())
    ended = {Why::forked, "the link belongs to the parent of this process"};
  end.ended = std::make_shared<LinkEnded>(std::move(ended));
  const auto [first, last] = ends_by_link_.equal_range(end.wire().agreement().link_id);
  ends_by_link_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == &end; }));
  end.goodbye_may_be_of_a_drain();
  std::erase(hot_, &end);
  cold_.remove(end);
  std::erase(pumped_, &end);
  some_ended_ = true;
  part_from_callers(end);
  const auto link = links_.find(end.endpoint);
  if (link != links_.end() && link->second->end() == &end) {
    link->second->disconnected();
    any_news_ = true;
  }
  control_after_ = 0;
}

void Core::tell_news() {
  any_news_ = false;
  std::vector<std::uint64_t> endpoints;
  for (const auto& [endpoint, link] : links_) {
    if (link->has_news()) endpoints.push_back(endpoint);
  }
  for (const std::uint64_t endpoint : endpoints) {
    const auto link = links_.find(endpoint);  // whoever was told before may have destroyed it
    if (link != links_.end()) link->second->tell_news();
  }
  tell_callers_news();
}

void Core::drop_claim(std::uint64_t endpoint, ring::Lane lane, const std::byte* payload) noexcept {
  for (const auto& end : ends_) {
    if (end->endpoint == endpoint && end->claimed(lane, payload)) end->drop_request(lane);
  }
}

// Clients that go all at once would hold up those that stay: to unmap two segments takes some 40 us.
constexpr std::size_t kServedBuriedPerTurn = 16;

// An end in whose ring a call is being written stays until that is over, unless the dispatcher goes.
void Core::bury_the_ended(bool all) noexcept {
  some_ended_ = false;
  std::vector<std::unique_ptr<LinkEnd>> ended;
  std::size_t served_count = 0;
  for (auto& end : ends_) {
    if (end == nullptr || end->ended == nullptr) continue;
    if (end->claim_open() && !all) {
      some_ended_ = true;
    } else if (end->side() == LinkEnd::Side::server && ++served_count > kServedBuriedPerTurn && !all) {
      some_ended_ = true;
      control_after_ = 0;
    } else {
      ended.push_back(std::move(end));
    }
  }
  std::erase(ends_, nullptr);
  for (auto& end : ended) {
    end->bury();
    if (end->held_by_replies()) husks_.push_back(std::move(end));
  }
}

}  // namespace taut::rpc
