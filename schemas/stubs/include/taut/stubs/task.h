// Task: a coroutine that starts at once and goes on by itself, for handlers that have to wait for something.
//
//   void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
//     route(taut::keep(order), std::move(reply));
//   }
//   taut::Task route(taut::Message<desk::Order> order, taut::Reply<desk::Ack> reply) {
//     auto ack = co_await next_.Place({.id = order->id()}, {.timeout = reply.left()});
//     if (ack) reply.send({.id = ack->id()}); else reply.refuse(ack.status().code(), "upstream");
//   }
//
// A Task that is let go runs on; its frame goes when it ends. Tasks holds some, and destroying it destroys them where
// they stand. `co_await another()` waits for a task and owns it: when the one goes, so does the other. TaskOf<T> is a
// task that is awaited for a value. See docs/coroutines.md.
//
// Threads  a task runs where it was started and where its answers arrive: on its dispatcher's thread.
// Memory   a frame each, from the heap or a FramePool (frame_pool.h). Nothing else allocates.
// Waits    never; finish() polls until a task has ended.
//
// What a task throws comes out of the co_await or the finish() that waits for it, else it is logged. A Reply that such
// a task held is answered `internal` (why: handler_threw).
#pragma once

#include <chrono>
#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "flatbuffers/flatbuffers.h"
#include "taut/base/clock.h"
#include "taut/rpc/call.h"
#include "taut/stubs/frame_pool.h"

namespace taut {

class Task;
class Tasks;

namespace stubs {

class HeldTask;
class AwaitedTask;

// What is known of a coroutine whatever it returns: who holds it, who waits for it, and what it threw.
class TaskState : public InFrame {
 public:
  struct Ending {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> coroutine) noexcept {
      return coroutine.promise().end();
    }
    void await_resume() const noexcept {}
  };

  TaskState() noexcept = default;
  TaskState(const TaskState&) = delete;
  TaskState& operator=(const TaskState&) = delete;

  [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
  [[nodiscard]] Ending final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { thrown_ = std::current_exception(); }

  // What it waits for will never come: it is destroyed, with those that wait for it.
  void abandon() noexcept {
    TaskState* root = this;
    while (root->parent_ != nullptr) root = root->parent_;
    if (!root->continuation_) root->destroy();  // somebody else's coroutine waits for it, and owns it
  }

 protected:
  explicit TaskState(std::coroutine_handle<> self) noexcept : self_(self) {}
  ~TaskState() = default;

 private:
  friend class HeldTask;
  friend class AwaitedTask;
  friend class taut::Tasks;

  std::coroutine_handle<> end() noexcept;

  // Places itself behind `*place`, which somebody holds who will destroy it, or let it go.
  void join(TaskState*& place) noexcept {
    next_ = place;
    place_ = &place;
    if (next_ != nullptr) next_->place_ = &next_;
    place = this;
  }
  void leave() noexcept {
    if (place_ == nullptr) return;
    *place_ = next_;
    if (next_ != nullptr) next_->place_ = place_;
    place_ = nullptr;
    next_ = nullptr;
  }
  void destroy() noexcept {
    leave();
    self_.destroy();
  }
  // Destroys a task that has ended, while what it threw flies: so a Reply among its parameters knows.
  void destroy_ended() {
    if (thrown_ == nullptr) [[likely]]
      return destroy();
    struct Destroyed {
      TaskState& task;
      ~Destroyed() { task.destroy(); }
    };
    const std::exception_ptr thrown = std::move(thrown_);
    const Destroyed destroyed{*this};
    std::rethrow_exception(thrown);
  }
  // The same when nobody waits for it.
  void let_go() noexcept {
    try {
      destroy_ended();
    } catch (...) {
      rpc::log_thrown("a task");
    }
  }

  std::coroutine_handle<> self_;
  std::coroutine_handle<> continuation_;  // waits for the end
  TaskState* parent_ = nullptr;           // the same, when it is a task too
  TaskState** place_ = nullptr;           // what points here; null: nobody holds it
  TaskState* next_ = nullptr;             // in the list of a Tasks
  bool kept_ = false;                     // a Task object points here, and decides when it is over
  bool ended_ = false;
  std::exception_ptr thrown_;
};

inline std::coroutine_handle<> TaskState::end() noexcept {
  ended_ = true;
  if (continuation_) return continuation_;
  if (!kept_) let_go();
  return std::noop_coroutine();
}

// Points to a task from its first moment. Let go, the task runs on.
class HeldTask {
 public:
  explicit HeldTask(TaskState& task) noexcept {
    task.kept_ = true;
    task.join(task_);
  }
  HeldTask(HeldTask&& other) noexcept { take(other); }
  HeldTask& operator=(HeldTask&&) = delete;
  ~HeldTask() {
    if (task_ == nullptr) return;
    if (task_->ended_) {
      task_->let_go();
    } else {
      (void)give();
    }
  }

  // Has it ended?
  [[nodiscard]] bool done() const noexcept { return task_ == nullptr || task_->ended_; }

 protected:
  friend class taut::Tasks;
  // Throws what a task that has ended threw.
  void throw_on() {
    if (task_ != nullptr) task_->destroy_ended();
  }
  // The task is the caller's from here on.
  [[nodiscard]] TaskState* give() noexcept {
    TaskState* const task = task_;
    if (task != nullptr) {
      task->kept_ = false;
      task->leave();
    }
    return task;
  }

 private:
  void take(HeldTask& other) noexcept {
    if (TaskState* const task = other.give()) {
      task->kept_ = true;
      task->join(task_);
    }
  }
  TaskState* task_ = nullptr;
};

// A task that is awaited, in the frame of the coroutine that waits. It goes with it.
class AwaitedTask {
 public:
  explicit AwaitedTask(TaskState* task) noexcept {
    if (task == nullptr) return;
    task->kept_ = true;
    task->join(task_);
  }
  AwaitedTask(const AwaitedTask&) = delete;
  AwaitedTask& operator=(const AwaitedTask&) = delete;
  ~AwaitedTask() {
    if (task_ != nullptr) task_->destroy();
  }

  [[nodiscard]] bool await_ready() const noexcept { return task_ == nullptr || task_->ended_; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiting) noexcept {
    task_->continuation_ = waiting;
    if constexpr (std::derived_from<Promise, TaskState>) task_->parent_ = &waiting.promise();
  }
  void await_resume() const {
    if (task_ != nullptr && task_->thrown_ != nullptr) std::rethrow_exception(task_->thrown_);
  }

 private:
  TaskState* task_ = nullptr;
};

// ---- what a coroutine may take

template <class T>
concept Table = std::is_base_of_v<flatbuffers::Table, T>;
template <class T>
concept PartOfMessage = Table<T> || requires(const T* part) {
  []<class Element>(const flatbuffers::Vector<Element>*) {}(part);  // and strings
};
template <class T>
inline constexpr bool kPointsIntoMessage =
    std::is_pointer_v<T>&& PartOfMessage<std::remove_cv_t<std::remove_pointer_t<T>>>;

template <class T>
inline constexpr bool kIsFramePool = std::is_same_v<T, FramePool&>;

// The object of a member function or lambda comes first, as a reference. One that is const and holds something is
// refused: it would be a lambda with captures, which go with the lambda, or a parameter like const std::string&. g++
// has not completed a lambda's type here, and lets it pass.
template <class T>
concept Complete = requires {
  sizeof(T);
};
template <class T>
inline constexpr bool kMayBeObject = false;
template <class T>
inline constexpr bool kMayBeObject<T&> = std::is_class_v<T>;
template <class T>
requires Complete<T>
inline constexpr bool kMayBeObject<T&> =
    std::is_class_v<T> && !PartOfMessage<std::remove_cv_t<T>> && (!std::is_const_v<T> || std::is_empty_v<T>);

template <class... Parameters>
inline constexpr bool kOwnsParameters = true;
template <class First, class... Others>
inline constexpr bool kOwnsParameters<First, Others...> =
    (!std::is_reference_v<First> || kIsFramePool<First> || kMayBeObject<First>)&&!kPointsIntoMessage<First> &&
    ((!std::is_reference_v<Others> || kIsFramePool<Others>)&&...) && (!kPointsIntoMessage<Others> && ...);

template <class Promise, class... Parameters>
struct CoroutineOf {
  static_assert(kOwnsParameters<Parameters...>,
                "a task outlives what it is called with: it takes no reference and no part of a message. Take a "
                "taut::Message<T> and pass taut::keep(request); take other things by value, or by pointer if they "
                "outlive the task. A lambda has no captures, since they go with it: pass them as arguments");
  using promise_type = Promise;
};

class TaskPromise;

}  // namespace stubs

class Task : public stubs::HeldTask {
 public:
  using HeldTask::HeldTask;
  using HeldTask::throw_on;
  // `co_await another()`: waits until it ends. What it throws comes out here.
  [[nodiscard]] stubs::AwaitedTask operator co_await() && noexcept { return stubs::AwaitedTask(give()); }
};

namespace stubs {

class TaskPromise final : public TaskState {
 public:
  TaskPromise() noexcept : TaskState(std::coroutine_handle<TaskPromise>::from_promise(*this)) {}
  [[nodiscard]] Task get_return_object() noexcept { return Task(*this); }
  void return_void() const noexcept {}
};

template <class T>
class ValuePromise;

template <class T>
class AwaitedValue : public AwaitedTask {
 public:
  AwaitedValue(TaskState* task, std::optional<T>& value) noexcept : AwaitedTask(task), value_(&value) {}
  [[nodiscard]] T await_resume() const {
    AwaitedTask::await_resume();
    return std::move(**value_);
  }

 private:
  std::optional<T>* value_;
};

}  // namespace stubs

// A task with a value: `auto price = co_await quote(symbol)`. To be awaited, once.
template <class T>
class [[nodiscard]] TaskOf : public stubs::HeldTask {
 public:
  using promise_type = stubs::ValuePromise<T>;
  explicit TaskOf(promise_type& promise) noexcept : HeldTask(promise), value_(&promise.value) {}
  [[nodiscard]] stubs::AwaitedValue<T> operator co_await() && noexcept { return {give(), *value_}; }

 private:
  std::optional<T>* value_;
};

namespace stubs {

template <class T>
class ValuePromise final : public TaskState {
 public:
  ValuePromise() noexcept : TaskState(std::coroutine_handle<ValuePromise>::from_promise(*this)) {}
  [[nodiscard]] TaskOf<T> get_return_object() noexcept { return TaskOf<T>(*this); }
  template <class Value>
  void return_value(Value&& with) {
    value.emplace(std::forward<Value>(with));
  }
  std::optional<T> value;
};

}  // namespace stubs

// Tasks that end with it: a member of the object that they use. Destroying it, or clear(), destroys those that are
// under way where they stand: their calls are forgotten, what they hold goes, a Reply among it answers `aborted`.
// Not to be destroyed by one of its own tasks.
class Tasks {
 public:
  Tasks() noexcept = default;
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;
  ~Tasks() { clear(); }

  // Holds a task that was just started.
  void hold(Task task) noexcept {
    if (!task.done()) task.give()->join(first_);
  }
  // Are all over?
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  void clear() noexcept {
    while (first_ != nullptr) first_->destroy();
  }

 private:
  stubs::TaskState* first_ = nullptr;
};

// Polls `loop`, a dispatcher or a link, until the task has ended; throws what it threw. After `at_most` it is destroyed
// in mid-call: false. Not inside a handler or a callback, where poll() does nothing.
template <class Loop>
bool finish(Loop& loop, Task task, Nanoseconds at_most = std::chrono::hours(24 * 365)) {
  const auto last = std::chrono::steady_clock::now() + at_most;
  while (!task.done()) {
    if (std::chrono::steady_clock::now() > last) {
      Tasks dropped;
      dropped.hold(std::move(task));
      return false;
    }
    loop.poll();
  }
  task.throw_on();
  return true;
}

}  // namespace taut

template <class... Parameters>
struct std::coroutine_traits<taut::Task, Parameters...>
    : taut::stubs::CoroutineOf<taut::stubs::TaskPromise, Parameters...> {};
template <class T, class... Parameters>
struct std::coroutine_traits<taut::TaskOf<T>, Parameters...>
    : taut::stubs::CoroutineOf<taut::stubs::ValuePromise<T>, Parameters...> {};
