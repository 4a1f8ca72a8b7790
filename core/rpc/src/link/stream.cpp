// StreamEnd: what the holder of a stream's end may do, from where, and when it is over.
#include "taut/rpc/stream.h"

#include <algorithm>

#include "link_end.h"

namespace taut {

std::string_view to_text(Sent sent) noexcept {
  switch (sent) {
    case Sent::ok:
      return "ok";
    case Sent::no_credit:
      return "no_credit";
    case Sent::ring_full:
      return "ring_full";
    case Sent::too_big:
      return "too_big";
    case Sent::open_claim:
      return "open_claim";
    case Sent::refused:
      return "refused";
    case Sent::over:
      return "over";
  }
  return "(out of range)";
}

}  // namespace taut

namespace taut::rpc {
namespace {

// On the dispatcher's thread and in its process. Nothing else of the state may be looked at elsewhere.
bool at_home(const StreamState* state) noexcept {
  if (state == nullptr) return false;
  const Turn& turn = *state->turn;
  if (turn.on_owner() && !turn.forked()) [[likely]]
    return true;
  turn.log(Severity::error,
           "a stream was used outside of its dispatcher's thread or process; carry it home with post()");
  return false;
}

}  // namespace

void StreamEnd::hold() noexcept {
  if (state_ != nullptr) state_->handles.fetch_add(1, std::memory_order_relaxed);
}

void StreamEnd::let_go() noexcept {
  if (state_ == nullptr || state_->handles.fetch_sub(1, std::memory_order_relaxed) != 1) return;
  // Elsewhere nothing is touched: the functions go with the state.
  if (!state_->turn->on_owner() || state_->turn->forked()) return;
  state_->ready.clear();
  state_->change.clear();
}

bool StreamEnd::over() const noexcept { return !at_home(state_.get()) || state_->over || state_->end == nullptr; }

[[gnu::flatten]] std::byte* StreamEnd::claim(u32 payload_bytes, Sent& why) noexcept {
  if (!at_home(state_.get()) || state_->end == nullptr) [[unlikely]] {
    why = Sent::over;
    return nullptr;
  }
  return state_->end->claim_item(*state_, payload_bytes, why);
}

[[gnu::flatten]] Sent StreamEnd::send(u32 payload_bytes) noexcept {
  if (!at_home(state_.get()) || state_->end == nullptr) [[unlikely]]
    return Sent::over;
  return state_->end->send_item(*state_, payload_bytes);
}

void StreamEnd::drop_claim() noexcept {
  if (!over()) state_->end->drop_item(*state_);
}

Sent StreamEnd::close() noexcept { return over() ? Sent::over : state_->end->close_stream(*state_); }

bool StreamEnd::pull() noexcept {
  if (!at_home(state_.get())) return false;
  const auto most = std::max<u64>(state_->window_bytes, state_->granted.bytes);
  state_->queue = ItemQueue::create(static_cast<u32>(most));
  return state_->queue != nullptr;
}

std::optional<std::span<const std::byte>> StreamEnd::next() noexcept {
  if (!at_home(state_.get()) || state_->queue == nullptr) return std::nullopt;
  StreamState& state = *state_;
  if (std::exchange(state.front_shown, false)) {
    state.taken.add(ring::up(static_cast<u32>(sizeof(ring::ReplyHeader) + state.queue->front()->size())));
    state.queue->pop();
    if (state.grant_due() && state.end != nullptr) state.end->give_credit(state);
  }
  const auto item = state.queue->front();
  state.front_shown = item.has_value();
  return item;
}

bool StreamEnd::closed() const noexcept {
  if (!at_home(state_.get())) return true;
  if (!state_->over && !state_->closed_in) return false;
  return state_->queue == nullptr || state_->queue->count() == (state_->front_shown ? 1u : 0u);
}

bool StreamEnd::complete() const noexcept { return at_home(state_.get()) && state_->closed_in; }

void StreamEnd::later(Callback f) noexcept {
  if (at_home(state_.get())) state_->turn->finished.push_back({std::move(f), Status()});
}

void refuse_bad_item(StreamState& state, std::string_view text) noexcept {
  state.queue.reset();
  state.front_shown = false;
  if (!state.over) state.end->refuse_item(state, text);
}

void StreamEnd::credit(u32 items, u32 bytes) noexcept {
  if (over()) return;
  state_->window_items = items;
  state_->window_bytes = state_->queue != nullptr ? std::min(bytes, state_->queue->credit_bytes()) : bytes;
  state_->plan_grant();
  state_->end->give_credit(*state_);
}

void StreamEnd::cancel() noexcept {
  if (!over() && state_->caller) state_->end->cancel(state_->call, true);
}

void StreamEnd::forget() noexcept {
  if (!over() && state_->caller) state_->end->cancel(state_->call, false);
  if (!at_home(state_.get())) return;
  state_->ready.clear();
  state_->change.clear();
  state_->close.clear();
}

void StreamEnd::set_ready(StoredFunction<> f) noexcept {
  if (!at_home(state_.get())) return;
  state_->ready = std::move(f);
  if (state_->end != nullptr && (state_->over || state_->refused != Sent::no_credit)) state_->end->attend(*state_);
}

void StreamEnd::set_change(StoredFunction<> f) noexcept {
  if (!at_home(state_.get())) return;
  state_->change = std::move(f);
  if (state_->end != nullptr && state_->changed()) state_->end->attend(*state_);
}

void StreamEnd::set_close(StoredFunction<bool> f) noexcept {
  if (!at_home(state_.get())) return;
  state_->close = std::move(f);
  if (state_->end != nullptr && (state_->over || state_->closed_in)) state_->end->attend(*state_);
}

void StreamEnd::set_each(StoredFunction<std::span<const std::byte>> f) noexcept {
  if (at_home(state_.get())) state_->each = std::move(f);
}

}  // namespace taut::rpc
