// The accounting load: calls of all kinds over one link, each with an id of its own and a checksum over its request,
// each ending exactly once, each outcome held against the journal of the server that it may have run on.
//
//   Load load(link, journal, random);
//   load.step();                          // fills the window, now and then waits for a call, polls
//   while (load.open() != 0) link.poll();
//   EXPECT_TRUE(load.books_balance()) << load;
//
// The verdicts hold for servers that are dead or quiet when their calls fail: `ran: no` must not stand in the journal,
// `ran: yes` must, an answer must. `maybe` says nothing; maybes() counts them by lane.
//
// Threads  the link's.
// Memory   allocates in its constructor, and for what went wrong.
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "../seed.h"
#include "checksum.h"
#include "journal.h"
#include "taut/taut.h"

namespace taut::testing {

struct LoadOptions {
  std::size_t window = 48;            // calls that are kept under way
  std::uint64_t cancel_one_in = 8;    // urgent lane
  std::uint64_t snapshot_one_in = 8;  // vectors, up to 1 KiB
  std::uint64_t wait_one_in = 24;     // calls that are waited for
};

class Load {
 public:
  using Options = LoadOptions;

  // Ids begin at `first_id` and go up by one: several loads on one journal begin far apart.
  Load(Link& link, const Journal& journal, Random& random, Options options = {}, std::uint64_t first_id = 1)
      : link_(link),
        client_(link),
        journal_(journal),
        random_(random),
        options_(options),
        next_id_(first_id),
        rows_(options.window) {
    for (std::size_t i = 0; i < rows_.size(); ++i) free_.push_back(i);
  }
  Load(const Load&) = delete;

  void step() {
    fill();
    link_.poll();
  }
  // Sends until the window is full; refused calls take their place in it until their callback has run.
  void fill() {
    while (!free_.empty()) {
      if (options_.wait_one_in != 0 && random_.one_in(options_.wait_one_in)) wait_for_one();
      send_one();
    }
  }
  void send_one() {
    const std::size_t at = free_.back();
    free_.pop_back();
    const Kind kind = any_kind();
    const std::uint64_t id = begin(at, kind);
    const auto ended = [this, at, id](const auto& answer) { end(at, id, answer); };
    switch (kind) {
      case Kind::place:
        client_.Place(order(id, rows_[at])).then(ended);
        break;
      case Kind::cancel:
        client_.Cancel(cancel(id, rows_[at])).then(ended);
        break;
      case Kind::snapshot:
        client_.Snapshot(book(id, rows_[at])).then(ended);
        break;
    }
  }
  void wait_for_one() {
    if (free_.empty()) return;
    const std::size_t at = free_.back();
    free_.pop_back();
    const Kind kind = any_kind();
    const std::uint64_t id = begin(at, kind);
    switch (kind) {
      case Kind::place:
        end(at, id, client_.Place(order(id, rows_[at]), taut::wait));
        break;
      case Kind::cancel:
        end(at, id, client_.Cancel(cancel(id, rows_[at]), taut::wait));
        break;
      case Kind::snapshot:
        end(at, id, client_.Snapshot(book(id, rows_[at]), taut::wait));
        break;
    }
  }

  // Calls that have not ended.
  [[nodiscard]] std::size_t open() const noexcept { return rows_.size() - free_.size(); }

  [[nodiscard]] std::uint64_t made() const noexcept { return made_; }
  [[nodiscard]] std::uint64_t ok() const noexcept { return ok_; }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }  // before anything was sent
  [[nodiscard]] std::uint64_t ran(Ran verdict) const noexcept { return ran_[static_cast<std::size_t>(verdict)]; }
  [[nodiscard]] std::uint64_t ended_with(Code code, Why why) const {
    const auto found = ends_.find({code, why});
    return found == ends_.end() ? 0 : found->second;
  }
  // Calls of one lane that ended `maybe` since the last forget_maybes(): at most one for each death.
  [[nodiscard]] unsigned maybes(bool urgent) const noexcept { return maybes_[urgent]; }
  void forget_maybes() noexcept { maybes_ = {}; }

  // Every call that was made has ended once or is open, and nothing was found wrong.
  [[nodiscard]] bool books_balance() const noexcept {
    return wrong_count_ == 0 && made_ == ok_ + refused_ + ran_[0] + ran_[1] + ran_[2] + open();
  }
  friend std::ostream& operator<<(std::ostream& out, const Load& load) {
    out << load.made_ << " made: " << load.ok_ << " ok, " << load.refused_
        << " refused before sending; unanswered: ran no " << load.ran_[0] << ", maybe " << load.ran_[1] << ", yes "
        << load.ran_[2] << "; open " << load.open() << "; wrong " << load.wrong_count_;
    for (const auto& [how, count] : load.ends_)
      out << "\n  " << to_text(how.first) << ", " << to_text(how.second) << ": " << count;
    for (const std::string& line : load.wrong_) out << "\n  WRONG " << line;
    return out;
  }

 private:
  enum class Kind : std::uint8_t { place, cancel, snapshot };
  struct Row {
    std::uint64_t id = 0;   // 0: free
    std::uint64_t sum = 0;  // over the request's fields
    Kind kind = Kind::place;
    std::uint32_t count = 0;  // the order's quantity, the book's bids
  };

  Kind any_kind() {
    if (options_.cancel_one_in != 0 && random_.one_in(options_.cancel_one_in)) return Kind::cancel;
    if (options_.snapshot_one_in != 0 && random_.one_in(options_.snapshot_one_in)) return Kind::snapshot;
    return Kind::place;
  }
  std::uint64_t begin(std::size_t at, Kind kind) {
    ++made_;
    rows_[at] = {next_id_++, 0, kind, 0};
    return rows_[at].id;
  }

  desk::OrderInit order(std::uint64_t id, Row& row) {
    desk::OrderInit order{.id = id,
                          .price = static_cast<std::int32_t>(random_.word()),
                          .quantity = static_cast<std::uint32_t>(random_.word()),
                          .side = random_.one_in(2) ? desk::Side::buy : desk::Side::sell};
    std::array<std::uint8_t, 8> symbol;
    std::array<std::uint8_t, 4> client;
    const std::uint64_t bits = random_.word();
    std::memcpy(symbol.data(), &bits, symbol.size());
    std::memcpy(client.data(), &id, client.size());
    order.party = desk::Party(flatbuffers::span<const std::uint8_t, 8>(symbol.data(), 8),
                              flatbuffers::span<const std::uint8_t, 4>(client.data(), 4));
    Checksum sum;
    sum.add(id)
        .add(static_cast<std::uint32_t>(order.price))
        .add(order.quantity)
        .add(static_cast<std::uint64_t>(order.side));
    for (const std::uint8_t c : symbol) sum.add(c);
    for (const std::uint8_t c : client) sum.add(c);
    row.sum = sum.value();
    row.count = order.quantity;
    return order;
  }
  static desk::CancelInit cancel(std::uint64_t id, Row& row) {
    row.sum = Checksum().add(id).value();
    return {.id = id};
  }
  desk::BookInit book(std::uint64_t id, Row& row) {
    Checksum sum;
    sum.add(id);
    for (auto* side : {&bids_, &asks_}) {
      side->clear();
      for (std::uint64_t n = random_.below(65); n > 0; --n) {
        side->emplace_back(static_cast<std::int32_t>(random_.word()), static_cast<std::uint32_t>(random_.word()));
      }
      sum.add(side->size());
      for (const desk::Level& level : *side) sum.add(static_cast<std::uint32_t>(level.price())).add(level.quantity());
    }
    note_.assign(random_.below(65), static_cast<char>('a' + random_.below(26)));
    row.sum = sum.add(std::string_view(note_)).value();
    row.count = static_cast<std::uint32_t>(bids_.size());
    return {.seq = id, .bids = bids_, .asks = asks_, .note = note_};
  }

  static bool checked(const desk::Ack& ack, const Row& row) {
    return ack.id() == row.id && ack.desk_id() == row.sum && ack.open() == row.count;
  }
  static bool checked(const desk::BookAck& ack, const Row& row) {
    const std::uint64_t sum =
        static_cast<std::uint32_t>(ack.best_bid()) | std::uint64_t{static_cast<std::uint32_t>(ack.best_ask())} << 32;
    return ack.seq() == row.id && ack.levels() == row.count && sum == row.sum;
  }

  template <class T>
  void end(std::size_t at, std::uint64_t id, const Answer<T>& answer) {
    Row& row = rows_[at];
    if (row.id != id) return wrong(id, "ended twice", answer.status());
    if (answer) {
      ++ok_;
      if (!checked(*answer, row)) wrong(id, "was answered with something else", answer.status());
      if (!journal_.entered(id)) wrong(id, "was answered, but did not run", answer.status());
    } else {
      judge(row, answer.status());
    }
    row.id = 0;
    free_.push_back(at);
  }

  static bool was_sent(Why why) noexcept {
    return why != Why::not_connected && why != Why::calls_in_flight && why != Why::ring_full && why != Why::halted &&
           why != Why::draining;
  }
  void judge(const Row& row, const Status& status) {
    ++ends_[{status.code(), status.why()}];
    const bool ran = journal_.entered(row.id);
    if (!was_sent(status.why())) {
      ++refused_;
      if (status.ran() != Ran::no) wrong(row.id, "was not sent, and may have run", status);
    } else {
      ++ran_[static_cast<std::size_t>(status.ran())];
      if (status.ran() == Ran::maybe) ++maybes_[row.kind == Kind::cancel];
      if (status.ran() == Ran::yes && !ran) wrong(row.id, "is reported as run, and did not", status);
    }
    if (status.ran() == Ran::no && ran) wrong(row.id, "is reported as not run, and did", status);
    if (status.text().empty()) wrong(row.id, "ended without a sentence", status);
  }
  void wrong(std::uint64_t id, const char* what, const Status& status) {
    ++wrong_count_;
    if (wrong_.size() >= 20) return;
    std::ostringstream line;
    line << "call " << id << " " << what << ": " << status;
    wrong_.push_back(line.str());
  }

  Link& link_;
  desk::Orders::Client client_;
  const Journal& journal_;
  Random& random_;
  Options options_;
  std::uint64_t next_id_;
  std::vector<Row> rows_;
  std::vector<std::size_t> free_;
  std::vector<desk::Level> bids_, asks_;
  std::string note_;
  std::uint64_t made_ = 0, ok_ = 0, refused_ = 0, wrong_count_ = 0;
  std::array<std::uint64_t, kRanCount> ran_{};
  std::array<unsigned, 2> maybes_{};
  std::map<std::pair<Code, Why>, std::uint64_t> ends_;
  std::vector<std::string> wrong_;
};

}  // namespace taut::testing
