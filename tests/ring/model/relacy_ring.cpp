// Drives the shipping ring and board through relacy. Each scenario prints how many executions were searched.
//
//   ring_relacy            the quick part
//   ring_relacy --full     the whole search, minutes
//   ring_relacy NAME...    those scenarios
//
// Limits of the tool: a full search offers a load the newest value and the one before it, not older ones, and a
// bounded search gives up a thread that could go on only so many times.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>
#include <streambuf>
#include <string>
#include <string_view>

#include "relacy_memory.h"

namespace taut::model {
namespace {

enum class Do { send, drop, begin_batch, end_batch };
struct Step {
  Do what;
  u32 claimed = 1;  // lines
  u32 sent = 1;     // lines, fewer after a shrink
};

// One writer that follows Script::steps and one reader that takes what comes.
template <class Script>
struct OneLane : rl::test_suite<OneLane<Script>, 2> {
  std::optional<Ring<Script::lines>> ring;

  void before() { ring.emplace(Script::first); }
  void after() {
    RL_ASSERT(ring->received == ring->sent);
    ring.reset();
  }
  void thread(unsigned index) { index == 0 ? write() : read(); }

  static constexpr u32 records() {
    u32 count = 0;
    for (const Step& step : Script::steps) count += step.what == Do::send;
    return count;
  }
  void write() {
    for (const Step& step : Script::steps) {
      switch (step.what) {
        case Do::send:
          ring->send(step.claimed, step.sent);
          break;
        case Do::drop:
          ring->drop(step.claimed);
          break;
        case Do::begin_batch:
          ring->writer.begin_batch();
          break;
        case Do::end_batch:
          ring->writer.end_batch();
          break;
      }
    }
  }
  void read() {
    Record held[Script::ahead];
    u32 count = 0;
    for (u32 left = records(); left != 0;) {
      const Record record = ring->receive();
      if (record) held[count++] = record;
      if (count == Script::ahead || (count != 0 && (!record || count == left))) {
        for (u32 i = 0; i != count; ++i) ring->give_back(held[i]);
        left -= count;
        count = 0;
      } else if (!record) {
        ring->reader.idle();
        rl::yield(1, $);
      }
    }
  }
};

constexpr u64 before_wrap(u32 lines) { return 0 - u64{lines} * kStep; }
constexpr Step kOne{Do::send, 1, 1};
constexpr Step kTwo{Do::send, 2, 2};
constexpr Step kBegin{Do::begin_batch};
constexpr Step kEnd{Do::end_batch};

struct ThreeRecords {
  static constexpr u32 lines = 4, ahead = 1;
  static constexpr u64 first = before_wrap(2);
  static constexpr Step steps[] = {kOne, kOne, kOne};
};
struct FourRecords {
  static constexpr u32 lines = 4, ahead = 1;
  static constexpr u64 first = before_wrap(2);
  static constexpr Step steps[] = {kOne, kOne, kOne, kOne};
};
// The first record does not fit before the end: a pad. The second meets a full ring until the first is released.
struct Pad {
  static constexpr u32 lines = 8, ahead = 1;
  static constexpr u64 first = before_wrap(1);
  static constexpr Step steps[] = {kTwo, kOne};
};
struct PadAndLap {
  static constexpr u32 lines = 8, ahead = 1;
  static constexpr u64 first = before_wrap(3);
  static constexpr Step steps[] = {kTwo, kTwo, kTwo, kTwo};
};
struct ReadAhead {
  static constexpr u32 lines = 4, ahead = 2;
  static constexpr u64 first = before_wrap(1);
  static constexpr Step steps[] = {kOne, kOne, kOne, kOne};
};
struct Dropped {
  static constexpr u32 lines = 8, ahead = 1;
  static constexpr u64 first = before_wrap(2);
  static constexpr Step steps[] = {{Do::drop, 2}, kOne, {Do::drop, 2}, kOne, {Do::drop, 1}, kOne};
};
struct DroppedFullLap {
  static constexpr u32 lines = 8, ahead = 1;
  static constexpr u64 first = before_wrap(3);
  static constexpr Step steps[] = {kTwo, {Do::drop, 2}, kOne, kTwo, {Do::drop, 2}, kTwo, kTwo};
};
struct Shrunk {
  static constexpr u32 lines = 8, ahead = 1;
  static constexpr u64 first = before_wrap(1);
  static constexpr Step steps[] = {{Do::send, 2, 1}, {Do::send, 2, 1}};
};
struct ShrunkFullLap {
  static constexpr u32 lines = 8, ahead = 1;
  static constexpr u64 first = before_wrap(3);
  static constexpr Step steps[] = {{Do::send, 2, 1}, kTwo, {Do::send, 2, 1}, {Do::send, 2, 1}, kTwo};
};
struct Batch {
  static constexpr u32 lines = 4, ahead = 1;
  static constexpr u64 first = before_wrap(2);
  static constexpr Step steps[] = {kOne, kBegin, kOne, kOne, kEnd, kOne};
};
struct BatchWithPad {
  static constexpr u32 lines = 8, ahead = 1;
  static constexpr u64 first = before_wrap(1);
  static constexpr Step steps[] = {kBegin, kTwo, {Do::drop, 1}, kOne, kEnd, kTwo};
};

// A normal and an urgent lane: the reader looks at the urgent one before every record. No order between them.
struct TwoLanes : rl::test_suite<TwoLanes, 2> {
  static constexpr u32 kNormal = 2, kUrgent = 2;
  std::optional<Ring<4>> normal, urgent;

  void before() {
    normal.emplace(before_wrap(1));
    urgent.emplace(before_wrap(2));
  }
  void after() {
    normal.reset();
    urgent.reset();
  }
  void thread(unsigned index) {
    if (index == 0) {
      for (u32 i = 0; i != kNormal; ++i) {
        normal->send(1, 1);
        urgent->send(1, 1);
      }
      return;
    }
    while (normal->received + urgent->received != kNormal + kUrgent) {
      if (!take(*urgent) && !take(*normal)) rl::yield(1, $);
    }
  }
  static bool take(Ring<4>& ring) {
    const Record record = ring.receive();
    record ? ring.give_back(record) : ring.reader.idle();
    return static_cast<bool>(record);
  }
};

// Senders ring the bell of a reader that sleeps when all its rings are empty. A lost wake-up is a deadlock, which
// relacy reports. Each turn sends two records and asks once.
template <u32 senders, u32 turns, u32 records_a_turn>
struct Bell : rl::test_suite<Bell<senders, turns, records_a_turn>, static_cast<int>(senders) + 1> {
  std::optional<Ring<4>> rings[senders];
  std::optional<BoardMemory> board;
  struct Tag {};
  rl::semaphore<Tag> bell;

  void before() {
    for (auto& ring : rings) ring.emplace(before_wrap(1));
    board.emplace();
    bell.init(false, 0, 1000, $);
  }
  void after() {
    for (auto& ring : rings) ring.reset();
    board.reset();
    bell.deinit($);
  }
  void thread(unsigned index) {
    if (index == senders) return sleep();
    for (u32 turn = 0; turn != turns; ++turn) {
      for (u32 i = 0; i != records_a_turn; ++i) rings[index]->send(1, 1);
      if (bell_wanted(*board)) {
        unsigned before = 0;
        bell.post(1, before, $);
      }
    }
  }
  void sleep() {
    for (u32 left = senders * turns * records_a_turn; left != 0;) {
      u32 found = 0;
      for (auto& ring : rings) {
        const Record record = ring->receive();
        record ? ring->give_back(record) : ring->reader.idle();
        found += record ? 1 : 0;
      }
      left -= found;
      if (found != 0) continue;
      announce_sleep(*board, board::draining);
      bool waiting = false;
      for (auto& ring : rings) waiting = waiting || ring->reader.waiting();
      if (!waiting) bell.wait(false, false, $);
      announce_awake(*board, board::draining);
    }
  }
};

// An observer copies the first record without being part of the ring. If `touched` is at most a ring ahead
// afterwards, the copy is whole. The ring's own ends run on one thread: they are not the question here.
struct Observer : rl::test_suite<Observer, 2> {
  static constexpr u64 kFirst = before_wrap(8);
  std::optional<Ring<8, true>> ring;

  void before() { ring.emplace(kFirst); }
  void after() { ring.reset(); }
  void thread(unsigned index) { index == 0 ? lap() : observe(); }
  // The last record overwrites the first one, in the claim that moves `touched` more than a ring ahead: relacy
  // remembers one older value of a word, so a move before that would hide a fence that is missing.
  void lap() {
    for (const u32 line_count : {2u, 2u, 2u, 1u, 2u}) {
      ring->send(line_count, line_count);
      ring->give_back(ring->receive());
    }
  }
  void observe() {
    auto& shared = ring->shared;
    const u64 head = shared.head[0].load(rl::mo_acquire, $);
    if (head != head_of(0, 2 * kStep)) return;
    const u64 word = shared.head[1].load(rl::mo_relaxed, $);
    // sync(touched): pairs with the fence in Writer::touch(). First the copy, then the fence, then the word.
    rl::atomic_thread_fence(rl::mo_acquire, $);
    const u64 touched = shared.touched.load(rl::mo_relaxed, $);
    if (touched - kFirst <= 8 * kStep) RL_ASSERT(word == payload_word(0, 1));
  }
};

struct Search {
  rl::scheduler_type_e type;
  unsigned bound = 0;
};
constexpr Search kFair{rl::fair_full_search_scheduler_type};
constexpr Search bounded(unsigned switches) { return {rl::fair_context_bound_scheduler_type, switches}; }

// Where relacy prints. It replaces operator new while it runs, so nothing here may allocate.
class Log : public std::streambuf {
 public:
  Log() { clear(); }
  void clear() { setp(text_, text_ + sizeof text_); }
  [[nodiscard]] std::string_view text() const { return {pbase(), static_cast<std::size_t>(pptr() - pbase())}; }

 private:
  char text_[1 << 18];
};

class Driver {
 public:
  Driver(int argc, char** argv) : names_(argv + 1), count_(argc - 1) {
    full_ = count_ == 1 && std::strcmp(names_[0], "--full") == 0;
    if (full_) count_ = 0;
  }

  template <class Suite>
  void run(const char* name, bool quick, Search search) {
    if (count_ != 0 ? !named(name) : !(quick || full_)) return;
    rl::test_params params;
    static Log log;
    log.clear();
    std::ostream out(&log), nowhere(nullptr);
    params.output_stream = &out;
    params.progress_stream = &nowhere;
    params.search_type = search.type;
    params.context_bound = search.bound;
    params.execution_depth_limit = 1000;
    const auto begin = std::chrono::steady_clock::now();
    const bool good = rl::simulate<Suite>(params);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const std::string kind =
        search.type == kFair.type ? "fair full search" : "at most " + std::to_string(search.bound) + " switches";
    std::printf("%-24s %-20s %12llu executions %7.1f s  %s\n", name, kind.c_str(),
                static_cast<unsigned long long>(params.stop_iteration), seconds, good ? "ok" : "FAILED");
    if (!good) std::printf("%.*s\n", static_cast<int>(log.text().size()), log.text().data());
    std::fflush(stdout);
    failed_ = failed_ || !good;
    total_ += params.stop_iteration;
  }

  int finish() const {
    std::printf("%llu executions in all\n", static_cast<unsigned long long>(total_));
    return failed_ || total_ == 0 ? 1 : 0;
  }

 private:
  bool named(const char* name) const {
    for (int i = 0; i != count_; ++i) {
      if (std::strcmp(names_[i], name) == 0) return true;
    }
    return false;
  }
  char** names_;
  int count_;
  bool full_ = false;
  bool failed_ = false;
  unsigned long long total_ = 0;
};

}  // namespace
}  // namespace taut::model

int main(int argc, char** argv) {
  using namespace taut::model;
  Driver driver(argc, argv);
  driver.run<OneLane<ThreeRecords>>("three-records", true, kFair);
  driver.run<OneLane<FourRecords>>("four-records", false, kFair);
  driver.run<OneLane<FourRecords>>("four-records-bounded", true, bounded(4));
  driver.run<OneLane<Pad>>("pad", true, kFair);
  driver.run<OneLane<PadAndLap>>("pad-and-lap", true, bounded(4));
  driver.run<OneLane<ReadAhead>>("read-ahead", true, bounded(4));
  driver.run<OneLane<Dropped>>("dropped", true, bounded(6));
  driver.run<OneLane<DroppedFullLap>>("dropped-full-lap", true, bounded(3));
  driver.run<OneLane<DroppedFullLap>>("dropped-full-lap-4", false, bounded(4));
  driver.run<OneLane<Shrunk>>("shrunk", true, kFair);
  driver.run<OneLane<ShrunkFullLap>>("shrunk-full-lap", true, bounded(4));
  driver.run<OneLane<Batch>>("batch", true, bounded(4));
  driver.run<OneLane<Batch>>("batch-6", false, bounded(6));
  driver.run<OneLane<BatchWithPad>>("batch-with-pad", true, bounded(6));
  driver.run<TwoLanes>("two-lanes", true, bounded(4));
  driver.run<TwoLanes>("two-lanes-6", false, bounded(6));
  driver.run<Bell<1, 1, 1>>("bell", true, kFair);
  driver.run<Bell<1, 2, 1>>("bell-two-turns", false, kFair);
  driver.run<Bell<1, 2, 1>>("bell-two-turns-bounded", true, bounded(4));
  driver.run<Bell<1, 2, 2>>("bell-two-a-turn", true, bounded(3));
  driver.run<Bell<1, 2, 2>>("bell-two-a-turn-4", false, bounded(4));
  driver.run<Bell<2, 1, 1>>("bell-two-senders", true, bounded(3));
  driver.run<Bell<2, 1, 1>>("bell-two-senders-4", false, bounded(4));
  driver.run<Observer>("observer", true, kFair);
  return driver.finish();
}
