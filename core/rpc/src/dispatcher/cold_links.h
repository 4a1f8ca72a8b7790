// The links that have been silent for long: a few of them are looked at every turn. All that a look needs stands here
// side by side, so a thousand idle links cost an active one neither their own lines nor its place in the cache.
//
// Threads  the dispatcher's.
// Memory   reserved when a link is made.
//
// I1  No record of a cold link was read past: its next record appears where it was looked for when the link grew cold.
//     So whoever reads its rings (a poll, a wait) makes it hot first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "../link/link_end.h"

namespace taut::rpc {

class ColdLinks {
 public:
  // For so many links in all, so that add() does not allocate.
  void reserve(std::size_t links_count) { links_.reserve(links_count); }
  [[nodiscard]] bool empty() const noexcept { return links_.empty(); }

  void add(LinkEnd& end) noexcept {
    end.cold_index = static_cast<std::uint32_t>(links_.size());
    links_.push_back({end.next_head(ring::Lane::normal), end.next_head(ring::Lane::urgent), &end});
  }
  // Nothing when it is hot.
  void remove(LinkEnd& end) noexcept {
    if (!end.cold()) return;
    Entry& hole = links_[end.cold_index];
    hole = links_.back();
    hole.end->cold_index = end.cold_index;
    end.cold_index = LinkEnd::kHot;
    links_.pop_back();
  }

  // Looks at the next few. The first that has a record, or null.
  [[nodiscard]] LinkEnd* look() noexcept {
    for (std::size_t i = 0; i < kLooksPerTurn && i < links_.size(); ++i) {
      if (++next_ >= links_.size()) next_ = 0;
      if (links_[next_].has_record()) return links_[next_].end;
    }
    // The next turn's, so that it does not wait for them.
    for (std::size_t at = next_ + 1; at <= next_ + kLooksPerTurn && at < links_.size(); ++at) {
      links_[at].normal.prefetch();
      links_[at].urgent.prefetch();
    }
    return nullptr;
  }
  // Does any have a record? For a dispatcher about to sleep, behind the fence of announce_sleep().
  [[nodiscard]] bool any_waiting() const noexcept {
    return std::any_of(links_.begin(), links_.end(), [](const Entry& entry) { return entry.has_record(); });
  }

 private:
  // 1,024 idle links are looked at in 256 turns, which is a few microseconds. More a turn would be felt by the active
  // ones (bench/links), and fewer by a link's first call after a silence.
  static constexpr std::size_t kLooksPerTurn = 4;

  struct Entry {
    ring::HeadWord normal, urgent;
    LinkEnd* end;
    [[nodiscard]] bool has_record() const noexcept { return normal.is_set() || urgent.is_set(); }
  };

  std::vector<Entry> links_;
  std::size_t next_ = 0;
};

}  // namespace taut::rpc
