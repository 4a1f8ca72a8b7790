// Replies that come home from elsewhere: dropped on another thread, or alive when their dispatcher is gone.
//
// A LinkEnd counts the Replies that are held, so it stays until the last one is back. While the dispatcher lives, that
// count belongs to its thread and a foreign drop is queued for it; afterwards it belongs to whoever holds the mutex.
#include "link_end.h"

namespace taut::rpc {

void RawReply::drop_elsewhere(bool wrong_thread) noexcept {
  OpenRequest& request = *std::exchange(request_, nullptr);
  LinkEnd* end = request.end;
  const std::shared_ptr<Turn> turn = end->turn_keep_;  // survives the end that may be deleted below
  if (turn->forked()) return;                          // the parent answers
  const std::lock_guard lock(turn->foreign_mutex);
  if (!turn->gone.load(std::memory_order_acquire)) {
    if (wrong_thread) {
      turn->log(Severity::error, "a Reply was answered on thread " + describe_this_thread() +
                                     ", but its dispatcher belongs to thread " + turn->owner_name +
                                     "; carry it home with post()");
    }
    turn->owed.push_back(
        {&request, Status(Code::aborted, Ran::yes, wrong_thread ? Why::wrong_thread : Why::reply_dropped,
                          wrong_thread ? "answered on a wrong thread" : "the reply was let go on another thread")});
    turn->came_from_outside(Turn::kReplies);
    turn->wake();
    return;
  }
  end->close_request(request, LinkEnd::kLost);
  end->counters_.answers_lost.add();
  if (!end->held_by_replies()) delete end;
}

void owe(Turn& turn, Turn::Owed answer) noexcept {
  const std::lock_guard lock(turn.foreign_mutex);
  turn.owed.push_back(answer);
  turn.came_from_outside(Turn::kReplies);
}

void give_owed_answers(Turn& turn) noexcept {
  std::vector<Turn::Owed> answers;
  {
    const std::lock_guard lock(turn.foreign_mutex);
    answers.swap(turn.owed);
  }
  for (const Turn::Owed& answer : answers) {
    const Status& status = answer.status;
    answer.request->end->refuse(*answer.request, status.code(), status.ran(), status.why(), status.text());
  }
}

// One step under the mutex: a Reply that goes on another thread meanwhile finds either a dispatcher that will see it,
// or an end that is its own to delete.
void leave_to_replies(Turn& turn, std::vector<std::unique_ptr<LinkEnd>> ends) noexcept {
  const std::lock_guard lock(turn.foreign_mutex);
  turn.gone.store(true, std::memory_order_release);
  turn.core = nullptr;
  turn.wake = nullptr;
  for (const Turn::Owed& answer : turn.owed) answer.request->end->close_request(*answer.request, LinkEnd::kLost);
  turn.owed.clear();
  for (auto& end : ends) {
    if (end->held_by_replies()) (void)end.release();
  }
  ends.clear();
}

}  // namespace taut::rpc
