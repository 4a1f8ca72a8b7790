// Walks every interleaving of one writer and one reader of the shipping ring, one memory access at a time, and every
// choice the two may make: which record is sent next, dropped claims, shrunk claims, batches, records held while later
// ones are read. Sequentially consistent: wrong memory orders are relacy's business (relacy_ring.cpp), while wrap, full
// and every start offset are the business of this file.
//
//   ring_checker            runs of 5 records
//   ring_checker --full     runs of 6 records
//
// How a step works. A state keeps each end as it was when its operation began, and what the operation has loaded since.
// To go one step further the operation runs again from its beginning: accesses that happened are answered from the
// record and store nothing, the next one is real, and all later ones are suppressed with their results thrown away.
//
// Checked in every state: records arrive once, in order, whole, and stay in place until released; the writer stores
// only in lines that the reader released (I5) and that `touched` covers; I1. And from every state a run can still
// end with all records received: no livelock.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <new>
#include <type_traits>
#include <vector>

#include "fingerprints.h"
#include "taut/ring/ring.h"

namespace taut::model {
namespace {

using namespace taut::ring;

inline constexpr u32 kLinesMax = 8;
inline constexpr u32 kAccessesMax = 8;
inline constexpr u32 kHeldMax = 2;
inline constexpr u32 kJunk = 900;  // the sequence of a claim that is dropped, or of the part that a shrink gave up

constexpr u64 content(u32 sequence, u32 line, u32 lines) { return u64{sequence} * 16 + line * 4 + lines; }
constexpr u64 head_of(u32 sequence, u32 lines) {
  return Head::make(lines * kStep, Kind::request, 0, static_cast<u16>(sequence)).word;
}

struct Memory {
  u64 head[kLinesMax];
  u64 line[kLinesMax];
  u64 released;
  u64 touched;
};

// What the policies below talk to. One at a time: the checker has one thread.
class Machine {
 public:
  Memory memory;
  u32 lines;
  u64* log;            // what this operation loaded so far
  u32 done;            // accesses of it that happened before this step
  u32 seen;            // accesses met while it runs again
  u64 writer_pos;      // the writer's position when its operation began
  bool writer_checks;  // whether stores belong to lines from writer_pos on
  const char* wrong;

  void begin(u64* operation_log, u32 accesses_done) {
    log = operation_log;
    done = accesses_done;
    seen = 0;
    writer_checks = false;
  }
  [[nodiscard]] bool suppressed() const { return seen > done + 1; }
  void require(bool good, const char* what) {
    if (!good && !suppressed() && wrong == nullptr) wrong = what;
  }
  // Runs `load` or answers from the record. A suppressed load is 0, which ends every operation.
  template <class Load>
  u64 load(Load load) {
    const u32 access = seen++;
    if (access < done) return log[access];
    return access == done ? log[access] = load() : 0;
  }
  template <class Store>
  void store(Store store) {
    if (seen++ == done) store();
  }
  void store_line(u32 index) {
    if (!writer_checks) return;
    const u64 offset = writer_pos / kStep % lines;
    const u64 position = writer_pos + (index + lines - offset) % lines * kStep;
    require(position + kStep - memory.released <= lines * kStep, "a store in a line that is not released");
    require(static_cast<std::int64_t>(memory.touched - position - kStep) >= 0, "a store ahead of `touched`");
  }
};
Machine machine;

struct WriterMemory {
  void store_head(u32 at, u64 word, Order) noexcept {
    machine.store([&] {
      machine.store_line(at / kStep);
      machine.memory.head[at / kStep] = word;
    });
  }
  u64 load_released(Order) const noexcept {
    return machine.load([] { return machine.memory.released; });
  }
  // Not a step of its own: nobody here reads it, store_line() checks it.
  void store_touched(u64 position, Order) noexcept {
    const bool now = machine.seen == machine.done + 1 || machine.seen + machine.done == 0;
    if (now) machine.memory.touched = position;
  }
  void fence(Order) noexcept {}
};

struct ReaderMemory {
  u64 load_head(u32 at, Order) const noexcept {
    return machine.load([&] { return machine.memory.head[at / kStep]; });
  }
  void store_released(u64 position, Order) noexcept {
    machine.store([&] { machine.memory.released = position; });
  }
};

enum Choice : u32 {
  send_one,
  send_two,
  shrink,
  drop_one,
  drop_two,
  begin_batch,
  end_batch,  // the writer's
  poll,
  give_back,  // the reader's
  kChoices
};
constexpr const char* kChoiceNames[] = {"send 1 line", "send 2 lines", "claim 2, send 1",
                                        "drop 1 line", "drop 2 lines", "begin batch",
                                        "end batch",   "poll",         "release"};

struct WriterEnd {
  Writer<WriterMemory> ring;
  u32 sent = 0;
  u32 batching = 0;

  void run(Choice choice) {
    machine.writer_pos = ring.position();
    machine.writer_checks = choice != end_batch;
    switch (choice) {
      case begin_batch:
        ring.begin_batch();
        batching = 1;
        return;
      case end_batch:
        ring.end_batch();
        batching = 0;
        return;
      case send_one:
        return put(1, 1);
      case send_two:
        return put(2, 2);
      case shrink:
        return put(2, 1);
      case drop_one:
        return put(1, 0);
      default:
        return put(2, 0);
    }
  }
  void put(u32 claimed, u32 lines) {
    const Claim claim = ring.claim(claimed * kStep);
    if (!claim) return machine.require(claim.refusal == Refusal::full, "a claim that is refused for no good reason");
    if (claim.at + claim.room > machine.lines * kStep) return machine.require(false, "I3: a claim across the end");
    for (u32 i = claimed; i-- != 0;) {
      const bool kept = i < lines;
      machine.store([&] {
        const u32 index = claim.at / kStep + i;
        machine.store_line(index);
        machine.memory.line[index] = content(kept ? sent : kJunk, i, lines);
        // Payload in a word that is a head in another lap, made to look like a record of another number.
        if (i != 0) machine.memory.head[index] = head_of(kJunk + (kept ? sent : 50), 1);
      });
    }
    if (lines == 0) return;
    ring.send(claim, {head_of(sent, lines)});
    ++sent;
  }
};

struct Held {
  u32 at;
  u32 lines;
  u64 end;
};

struct ReaderEnd {
  Reader<ReaderMemory> ring;
  u32 received = 0;
  u32 held_count = 0;
  Held held[kHeldMax] = {};

  void run(Choice choice) {
    if (choice == poll) {
      const Record record = ring.next();
      machine.require(!ring.violated(), "a violation that nobody committed");
      if (!record) return ring.idle();
      machine.require(record.head.detail() == received, "a record that is not the next");
      const Held now{ring.at(record), up(record.head.bytes()) / kStep, record.end};
      check(now, received);
      held[held_count++] = now;
      ++received;
    } else {
      const Held oldest = held[0];
      check(oldest, received - held_count);
      static_assert(kHeldMax == 2);
      --held_count;
      held[0] = held[1];
      held[1] = {};
      ring.release(oldest.end);
    }
  }
  static void check(const Held& record, u32 sequence) {
    for (u32 i = 0; i != record.lines; ++i) {
      const u64 found = machine.load([&] { return machine.memory.line[record.at / kStep + i]; });
      machine.require(found == content(sequence, i, record.lines), "bytes that are not the record's");
    }
  }
};

// The ends are kept as bytes and run in place, so that equal states are equal byte by byte, padding included.
template <class End>
struct Running {
  alignas(End) unsigned char bytes[sizeof(End)];  // the end as the operation under way found it
  u32 choice;                                     // of that operation
  u32 done;                                       // its accesses so far; 0: none under way
  u64 log[kAccessesMax];

  [[nodiscard]] End& end() { return *std::launder(reinterpret_cast<End*>(bytes)); }
  [[nodiscard]] const End& end() const { return *std::launder(reinterpret_cast<const End*>(bytes)); }
};

struct State {
  Memory memory;
  Running<WriterEnd> writer;
  Running<ReaderEnd> reader;
};
static_assert(std::is_trivially_copyable_v<WriterEnd> && std::is_trivially_copyable_v<ReaderEnd>);
static_assert(std::has_unique_object_representations_v<State>);

class Search {
 public:
  Search(u32 lines, u32 records, u64 first) : lines_(lines), records_(records) {
    machine = {};
    machine.lines = lines;
    const Shape shape{.ring_bytes = lines * kStep, .first = first};
    State state{};
    u64 no_log[kAccessesMax] = {};
    machine.begin(no_log, 0);
    ::new (state.writer.bytes) WriterEnd{Writer<WriterMemory>({}, shape)};
    machine.begin(no_log, 0);
    ::new (state.reader.bytes) ReaderEnd{Reader<ReaderMemory>({}, shape)};
    state.memory = machine.memory;
    reach(state, 0, kChoices);
  }

  bool run() {
    for (u32 index = 0; !open_.empty() && machine.wrong == nullptr; ++index) {
      const State state = open_.front();
      open_.pop_front();
      expand(state, index);
    }
    if (machine.wrong != nullptr) return report(machine.wrong, from_.size() - 1);
    std::vector<u32> order;
    const std::size_t stuck = can_end(order);
    return stuck == found_.size() || report("no run ends from here: a livelock", stuck);
  }
  [[nodiscard]] std::size_t states() const { return found_.size(); }
  [[nodiscard]] std::size_t steps() const { return edges_.size(); }

 private:
  void expand(const State& state, u32 index) {
    if (state.writer.done != 0) {
      step<&State::writer>(state, index, static_cast<Choice>(state.writer.choice));
    } else {
      const WriterEnd& end = state.writer.end();
      for (const Choice choice : {send_one, send_two, shrink, drop_one, drop_two, begin_batch, end_batch}) {
        const bool two_lines = choice == send_two || choice == shrink || choice == drop_two;
        const bool open = choice == end_batch ? end.batching != 0 : end.sent != records_;
        if (!open || (two_lines && lines_ < 8) || (choice == begin_batch && end.batching != 0)) continue;
        step<&State::writer>(state, index, choice);
      }
    }
    if (state.reader.done != 0) {
      step<&State::reader>(state, index, static_cast<Choice>(state.reader.choice));
    } else {
      const ReaderEnd& end = state.reader.end();
      if (end.held_count != kHeldMax && end.received != records_) step<&State::reader>(state, index, poll);
      if (end.held_count != 0) step<&State::reader>(state, index, give_back);
    }
  }

  template <auto side>
  void step(const State& state, u32 index, Choice choice) {
    if (machine.wrong != nullptr) return;
    State next = state;
    auto& running = next.*side;
    machine.memory = next.memory;
    machine.begin(running.log, running.done);
    running.end().run(choice);
    next.memory = machine.memory;
    if (machine.seen > running.done + 1) {
      std::memcpy(running.bytes, (state.*side).bytes, sizeof running.bytes);
      running.choice = choice;
      ++running.done;
    } else {
      running.choice = 0;
      running.done = 0;
      std::memset(running.log, 0, sizeof running.log);
      check_positions(next);
    }
    reach(next, index, choice);
  }

  void check_positions(const State& state) {
    const u64 pos = state.writer.end().ring.position();
    const u64 rpos = state.reader.end().ring.position();
    const u64 published = state.memory.released;
    // The writer's position moves when its operation is over; its record and pad may be received before that.
    const u64 moving = state.writer.done == 0 ? 0 : 4 * kStep;
    machine.require(rpos - published <= lines_ * kStep, "I1 does not hold: published is ahead of rpos");
    machine.require(pos + moving - rpos <= lines_ * kStep + moving, "I1 does not hold: rpos is ahead of pos");
    machine.require(static_cast<std::int64_t>(pos - published) <= (lines_ - 1) * std::int64_t{kStep},
                    "I1 does not hold: no line is free");
  }

  void reach(const State& state, u32 from, Choice choice) {
    const auto [index, is_new] = found_.add(fingerprint(&state, sizeof state));
    if (is_new) {
      open_.push_back(state);
      from_.push_back(from);
      how_.push_back(static_cast<u8>(choice));
      const bool over = state.writer.end().sent == records_ && state.writer.end().batching == 0 &&
                        state.writer.done == 0 && state.reader.end().received == records_ &&
                        state.reader.end().held_count == 0;
      if (over) ends_.push_back(index);
    }
    if (choice != kChoices) edges_.push_back({from, index});
  }

  // Backwards from the ends; answers the first state from which none is reached, or the number of states.
  std::size_t can_end(std::vector<u32>& order) const {
    std::vector<u32> first(found_.size() + 1, 0), sources(edges_.size());
    for (const Edge& edge : edges_) ++first[edge.to + 1];
    for (std::size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
    std::vector<u32> next(first.begin(), first.end() - 1);
    for (const Edge& edge : edges_) sources[next[edge.to]++] = edge.from;
    std::vector<bool> good(found_.size(), false);
    order = ends_;
    for (const u32 index : order) good[index] = true;
    for (std::size_t i = 0; i != order.size(); ++i) {
      for (u32 s = first[order[i]]; s != first[order[i] + 1]; ++s) {
        if (good[sources[s]]) continue;
        good[sources[s]] = true;
        order.push_back(sources[s]);
      }
    }
    for (std::size_t i = 0; i != good.size(); ++i) {
      if (!good[i]) return i;
    }
    return good.size();
  }

  bool report(const char* what, std::size_t index) const {
    std::printf("WRONG: %s\nThe way there, one access a line:\n", what);
    std::vector<u8> way;
    for (; index != 0; index = from_[index]) way.push_back(how_[index]);
    for (std::size_t i = way.size(); i-- != 0;) std::printf("  %s\n", kChoiceNames[way[i]]);
    return false;
  }

  struct Edge {
    u32 from, to;
  };
  u32 lines_;
  u32 records_;
  Fingerprints found_;
  std::deque<State> open_;
  std::vector<u32> from_;  // by state: the one that it was first reached from
  std::vector<u8> how_;
  std::vector<Edge> edges_;
  std::vector<u32> ends_;
};

}  // namespace
}  // namespace taut::model

int main(int argc, char** argv) {
  using namespace taut::model;
  const u32 records_max = argc > 1 && std::strcmp(argv[1], "--full") == 0 ? 6 : 5;
  std::size_t states = 0, steps = 0;
  for (const u32 lines : {4u, 8u}) {
    for (u32 offset = 0; offset != lines; ++offset) {
      // Below 2^64, so that the positions wrap inside the run.
      const u64 first = 0 - u64{lines - offset} * kStep;
      const auto begin = std::chrono::steady_clock::now();
      Search search(lines, records_max, first);
      const bool good = search.run();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      std::printf("ring of %u lines, start at line %u, %u records: %9zu states %9zu steps %6.1f s  %s\n", lines, offset,
                  records_max, search.states(), search.steps(), seconds, good ? "ok" : "FAILED");
      std::fflush(stdout);
      if (!good) return 1;
      states += search.states();
      steps += search.steps();
    }
  }
  std::printf("%zu states and %zu steps in all\n", states, steps);
  return 0;
}
