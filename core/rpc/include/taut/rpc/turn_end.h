// What is done once at the end of a turn, however often it was asked for in it: handlers collect, and the collected is
// worked on in one go. taut::Batch stands on it.
//
// Threads  the dispatcher's.
// Memory   never allocates when asked.
// Waits    never: turn_ends() runs like a handler, so a wait in it is refused.
#pragma once

#include <memory>

namespace taut::rpc {

class Core;
class Dispatcher;
struct Turn;

class TurnEnd {
 public:
  explicit TurnEnd(Dispatcher& loop);
  TurnEnd(const TurnEnd&) = delete;
  TurnEnd& operator=(const TurnEnd&) = delete;

  // Has turn_ends() run when this turn has read all that it reads, before what was sent in it is shown. Outside a turn:
  // at the end of the next one.
  void ask() noexcept;
  [[nodiscard]] bool asked() const noexcept { return asked_; }

 protected:
  ~TurnEnd();  // may outlive the dispatcher
  virtual void turn_ends() = 0;

 private:
  friend class Core;
  std::shared_ptr<Turn> turn_;
  TurnEnd* next_ = nullptr;
  bool asked_ = false;
};

}  // namespace taut::rpc
