// The running side of the dispatcher: what one turn does, and what it does when there is nothing to do.
#include "core.h"

#include <sched.h>

#include <algorithm>

namespace taut::rpc {
namespace {

using namespace std::chrono_literals;

// A link that was empty so many turns in a row is polled with the cold ones, unless there are few links anyway.
constexpr std::uint32_t kTurnsUntilCold = 4096;
constexpr std::size_t kAlwaysHot = 8;

// Urgent lanes that are looked at behind each slice.
constexpr std::size_t kUrgentLooks = 16;

constexpr Nanoseconds kYieldFor = 100us;
// A lost wake-up would cost at most this; none is known.
constexpr Nanoseconds kSleepMax = 100ms;
// Nobody rings when a full ring has room again: who has pieces to send looks for it.
constexpr Nanoseconds kSleepBetweenPieces = 1ms;

struct OwnBoard {
  memory::SharedWord* state;
  void store_state(std::uint64_t bits, ring::Order) noexcept { state->store(bits, std::memory_order_relaxed); }
  void fence(ring::Order) noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
};

}  // namespace

int Core::poll(int budget) noexcept {
  Turn& turn = *turn_;
  if (!turn.on_owner() || turn.calling_user || turn.waiting || forked()) [[unlikely]] {
    if (!may_poll()) return 0;
  }
  if (!pumped_.empty()) pump();
  int done = 0;
  if (turn.from_outside.load(std::memory_order_relaxed) != 0) [[unlikely]]
    done = count(take_from_outside(budget));
  turn.inside = true;
  // One unit is kept for the cold links: hot ones that fill every turn would else keep them waiting for ever.
  const int kept = !cold_.empty() && budget > 1 ? 1 : 0;
  done += poll_links(budget - done - kept);
  if (!cold_.empty() && done < budget) [[unlikely]]
    done += count(poll_cold(budget - done));
  if (!turn.finished.empty()) [[unlikely]]
    done += count(run_finished());
  if (turn.first_asked != nullptr) [[unlikely]]
    run_turn_ends();
  while (LinkEnd* end = turn.first_due) {
    turn.first_due = end->next_due;
    end->end_turn();
    warm(*end);  // an answer is to be expected, or the next request
  }
  if (turn.any_broken) [[unlikely]]
    end_the_broken();
  turn.inside = false;
  if (done == 0) {
    turn.found_nothing();
  } else if (turn.unstamped >= kRecordsPerBatch) {
    turn.stamp_after(0);
  }
  if (turn.now >= turn.earliest_deadline) [[unlikely]]
    expire_calls();
  if (turn.now >= next_control_) [[unlikely]]
    control_turn(0ns);
  return done;
}

bool Core::may_poll() noexcept {
  if (!on_owner()) {
    turn_->log(Severity::error, "poll() was " + wrong_thread_text());
    return false;
  }
  if (turn_->calling_user || turn_->waiting) {
    turn_->log(Severity::error, "poll() inside a handler, a callback or a wait does nothing");
    return false;
  }
  if (forked() && !ends_.empty()) {
    turn_->log(Severity::error, "poll() in a child of fork(): links belong to the process that opened them");
    run_finished();  // of calls that were refused for the same reason
    return false;
  }
  // A server that went into the background after it began to listen: the child takes its place.
  if (forked()) turn_->fork_guard->take_over();
  return true;
}

int Core::poll_links(int budget) noexcept {
  Turn& turn = *turn_;
  int done = 0;
  bool more = true;
  while (more && done < budget) {
    more = false;
    const bool alone = hot_.size() <= 1;
    // A handler may make or end links: the list is looked at anew each time.
    for (std::size_t i = 0; i < hot_.size() && done < budget; ++i) {
      if (++next_hot_ >= hot_.size()) next_hot_ = 0;  // whoever used up the budget is not first again
      LinkEnd& end = *hot_[next_hot_];
      const int allowed = alone ? budget - done : std::min(budget - done, turn.slice);
      const int found = end.poll(allowed);
      done += found;
      turn.unstamped += found % kRecordsPerBatch;  // a link reads the clock for each full batch
      if (found != 0) {
        end.idle_polls = 0;
        // A link alone has had its turn: what it sends is shown before it gets another.
        if (!alone) {
          more |= found >= std::min(allowed, kRecordsPerBatch);
          done += after_slice(found, budget - done);
        }
      } else if (++end.idle_polls >= kTurnsUntilCold && ends_.size() > kAlwaysHot) [[unlikely]] {
        grow_cold(next_hot_);
      }
    }
  }
  return done;
}

// A link had its turn, and others wait: those first who are in a hurry, when so much was handled as fits a slice. A
// slice costs more than these looks.
[[gnu::noinline]] int Core::after_slice(int found, int budget) noexcept {
  Turn& turn = *turn_;
  if (turn.unstamped >= kRecordsPerBatch) turn.stamp_after(0);
  since_urgent_ += found;
  if (since_urgent_ < turn.slice) return 0;
  since_urgent_ = 0;
  int done = 0;
  for (std::size_t looks = std::min(hot_.size(), kUrgentLooks); looks != 0 && done < budget; --looks) {
    if (++next_urgent_ >= hot_.size()) next_urgent_ = 0;
    LinkEnd& end = *hot_[next_urgent_];
    if (end.urgent_waiting()) done += end.poll(1);
  }
  turn.unstamped += done;
  return done;
}

void Core::pump() noexcept {
  // A transport that joins dispatchers may turn this one within; links then come and go.
  for (std::size_t i = 0; i < pumped_.size(); ++i) pumped_[i]->wire().pump(turn_->now);
}

// One that has a record is polled with the hot ones from now on.
[[gnu::noinline]] int Core::poll_cold(int budget) noexcept {
  LinkEnd* end = cold_.look();
  if (end == nullptr) return 0;
  warm(*end);
  return end->poll(budget);
}

[[gnu::noinline]] void Core::grow_cold(std::size_t hot_index) noexcept {
  LinkEnd& end = *hot_[hot_index];
  end.idle_polls = 0;
  if (end.waiting() || end.unfinished() || end.broken()) return;  // an open claim keeps it from being read, for example
  cold_.add(end);
  hot_[hot_index] = hot_.back();
  hot_.pop_back();
}

[[gnu::noinline]] void Core::move_to_hot(LinkEnd& end) noexcept {
  cold_.remove(end);
  hot_.push_back(&end);
}

[[gnu::noinline]] void Core::end_the_broken() noexcept {
  turn_->any_broken = false;
  for (const auto& end : ends_) {
    if (end->broken()) end_link(*end, {Why::peer_violation, end->violation()});
  }
}

int Core::run_finished() noexcept {
  running_finished_.swap(turn_->finished);  // callbacks may make calls that are refused too
  for (Turn::Finished& call : running_finished_) {
    turn_->calling_user = true;
    try {
      call.callback.finish({call.status, {}});
    } catch (...) {
      turn_->log_thrown("a callback");
    }
    turn_->calling_user = false;
  }
  const int done = static_cast<int>(running_finished_.size());
  running_finished_.clear();
  turn_->now = turn_->clock.now();  // no link read it for them, and refused calls that are repeated leave no empty turn
  return done;
}

int Core::take_from_outside(int budget) noexcept {
  if (turn_->take_from_outside(Turn::kReplies)) give_owed_answers(*turn_);
  if (turn_->take_from_outside(Turn::kInbox)) take_inbox();
  // Half of the turn, so that neither posts nor records keep the others waiting.
  return turn_->take_from_outside(Turn::kPosts) ? run_posts(std::min(budget, budget / 2 + 1)) : 0;
}

// Between two turns: a posted function may call, wait, connect, and even poll, which runs the posts behind it.
int Core::run_posts(int budget) noexcept {
  if (running_posts_.empty()) {
    // A poster that holds the lock delays its own function, not the turn.
    const std::unique_lock lock(posts_mutex_, std::try_to_lock);
    if (lock) running_posts_.swap(posts_);
    next_post_ = 0;
  }
  int done = 0;
  while (next_post_ < running_posts_.size() && done < budget) {
    Posted posted = std::move(running_posts_[next_post_++]);
    ++done;
    try {
      posted.run();
    } catch (...) {
      turn_->log_thrown("a posted function");
    }
  }
  if (next_post_ >= running_posts_.size()) running_posts_.clear();
  turn_->now = turn_->clock.now();  // as in run_finished()
  {
    const std::unique_lock lock(posts_mutex_, std::try_to_lock);
    if (!lock || !running_posts_.empty() || !posts_.empty()) turn_->came_from_outside(Turn::kPosts);
  }
  return done;
}

bool Core::post(Posted& posted, bool may_exceed) noexcept {
  {
    const std::lock_guard lock(posts_mutex_);
    if (posts_.size() >= options_.posts_max && !may_exceed) return false;
    posts_.push_back(std::move(posted));
    turn_->came_from_outside(Turn::kPosts);
  }
  wake();
  return true;
}

// Behind what came from outside.
void Core::wake() noexcept {
  // sync(post): pairs with the fence in sleep_until_rung(): either this side sees the sleeper or the sleeper sees what
  // came.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_relaxed)) control_->wake();
}

void Core::expire_calls() noexcept {
  turn_->earliest_deadline = kNever;  // callbacks may make calls, which are earlier than that
  turn_->timers.run_due(turn_->now);
  for (const auto& end : ends_) {
    if (end->drain_state() == LinkEnd::Drain::heard) next_control_ = 0;  // which takes the link to the successor
    if (end->without_calls()) continue;
    const Ticks next = end->expire(turn_->now);
    turn_->earliest_deadline = std::min(turn_->earliest_deadline, next);
  }
  turn_->earliest_deadline = std::min(turn_->earliest_deadline, turn_->timers.next());
}

// At most one system call a control period, unless links are being made: then up to half of the time.
void Core::control_turn(Nanoseconds wait) noexcept {
  const Ticks before = turn_->clock.now();
  next_control_ = before + control_period_;
  if (own_control_ != nullptr) {
    own_control_->poll(wait);
    if (own_control_->expects_more()) {
      const Ticks now = turn_->clock.now();
      next_control_ = now + std::max(wait == 0ns ? now - before : 0, control_period_ / 64);
    }
  }
  if (turn_->take_from_outside(Turn::kReplies)) give_owed_answers(*turn_);
  if (turn_->take_from_outside(Turn::kInbox)) take_inbox();
  if (turn_->any_broken) end_the_broken();
  for (const auto& end : ends_) {
    if (end->drain_state() != LinkEnd::Drain::no) drain_turn(*end);
  }
  const bool may_call_user = !turn_->waiting && !turn_->calling_user;
  if (any_news_ && may_call_user) tell_news();
  if (some_ended_ && may_call_user) bury_the_ended(false);
  if (!husks_.empty()) std::erase_if(husks_, [](const auto& end) { return !end->held_by_replies(); });
}

void Core::run(const std::atomic<bool>& over) noexcept {
  const bool rests = options_.idle != Idle::spin;
  Ticks idle_since = turn_->clock.now();
  while (!over.load(std::memory_order_relaxed) && !stopping.load(std::memory_order_relaxed)) {
    if (poll(Dispatcher::kPollDefault) != 0) {
      idle_since = turn_->now;
    } else if (!may_turn()) [[unlikely]] {
      break;  // poll() said why it does nothing here; resting would look at what is not this thread's or process's
    } else if (rests && turn_->now > idle_since + spin_ticks_) [[unlikely]] {
      rest(turn_->clock.to_duration(turn_->now - idle_since));
    } else if (hot_.size() == 1) {
      hot_.front()->watch(kLooks);
    }
  }
  stopping.store(false, std::memory_order_relaxed);  // not at the beginning: a stop() may come before run()
}

void Core::rest(Nanoseconds idle_for) noexcept {
  if (options_.idle == Idle::spin_then_yield || idle_for < kYieldFor || own_control_ == nullptr) {
    sched_yield();
  } else {
    sleep_until_rung(kSleepMax);
  }
}

void Core::sleep_until_rung(Nanoseconds at_most) noexcept {
  OwnBoard board{board_ ? &board_->state() : nullptr};
  asleep_.store(true, std::memory_order_relaxed);
  // sync(post): pairs with the fence in wake(). It also is the one of announce_sleep() where there is no board yet.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (board.state != nullptr) ring::announce_sleep(board, 0);
  const bool anything = std::any_of(hot_.begin(), hot_.end(), [](const LinkEnd* end) { return end->waiting(); }) ||
                        cold_.any_waiting() || turn_->from_outside.load(std::memory_order_relaxed) != 0 ||
                        !pumped_.empty();
  if (!anything) {
    Nanoseconds wait = std::min(at_most, kSleepMax);
    if (std::any_of(ends_.begin(), ends_.end(), [](const auto& end) { return end->waits_for_room(); })) {
      wait = std::min(wait, kSleepBetweenPieces);
    }
    if (turn_->earliest_deadline != kNever) {
      const Ticks now = turn_->clock.now();
      wait = turn_->earliest_deadline <= now ? 0ns
                                             : std::min(wait, turn_->clock.to_duration(turn_->earliest_deadline - now));
    }
    control_turn(wait);
  }
  if (board.state != nullptr) ring::announce_awake(board, 0);
  asleep_.store(false, std::memory_order_relaxed);
  turn_->now = turn_->clock.now();
}

void Core::rest_in_wait(LinkEnd& end, Nanoseconds idle_for, Ticks deadline) noexcept {
  if (options_.idle == Idle::spin) return;
  if (options_.idle == Idle::spin_then_yield || idle_for < kYieldFor || own_control_ == nullptr ||
      end.wire().needs_pump()) {
    sched_yield();
    return;
  }
  OwnBoard board{&board_->state()};
  ring::announce_sleep(board, 0);
  if (!end.unread()) {
    const Nanoseconds left =
        deadline == kNever ? kSleepMax : turn_->clock.to_duration(deadline - std::min(deadline, turn_->now));
    control_turn(std::min(end.waits_for_room() ? kSleepBetweenPieces : kSleepMax, left));
  }
  ring::announce_awake(board, 0);
}

void Core::stop() noexcept {
  stopping.store(true, std::memory_order_relaxed);
  control_->wake();
}

}  // namespace taut::rpc
