// The calls that this end made and that have not ended. A row's index is part of its call's id, so an answer finds its
// row without a search; the serial number before it is never used twice on a link.
//
// Threads  the dispatcher's. Memory  allocated when the link is made.
#pragma once

#include <bit>
#include <memory>

#include "stream_state.h"
#include "taut/base/clock.h"
#include "taut/ring/lane.h"
#include "taut/rpc/call.h"

namespace taut::rpc {

class LinkState;

class PendingTable {
 public:
  struct alignas(128) Row {
    std::uint64_t call = 0;  // 0: free
    Ticks deadline = 0;
    std::uint64_t end = 0;  // position behind the request's record: with the server's mark it says whether it ran
    ring::Lane lane = ring::Lane::normal;
    bool sending = false;  // pieces of the request have still to leave: `end` is not known
    std::uint32_t next_free = 0;
    const LinkState* owner = nullptr;  // several links of a server may share an end
    Callback callback;
    std::shared_ptr<StreamState> stream;  // null: the call does not stream
  };
  static_assert(sizeof(Row) == 128);

  // `first_serial` keeps the ids of a dispatcher's ends apart: who holds one of an end that went names no call of its
  // successor.
  PendingTable(std::uint32_t calls_max, std::uint64_t first_serial)
      : capacity_(std::bit_ceil(calls_max + 1)),
        bits_(std::countr_zero(capacity_)),
        serial_(first_serial),
        rows_(new Row[capacity_]) {
    for (std::uint32_t i = 0; i < capacity_; ++i) rows_[i].next_free = i + 1;
  }

  // A free row with its new id, or null. The last row that was freed comes first: it is still in the cache.
  Row* open() noexcept {
    if (free_ == capacity_) return nullptr;
    Row& row = rows_[free_];
    row.call = ++serial_ << bits_ | free_;
    free_ = row.next_free;
    return &row;
  }
  // The row of a call that has not ended, or null.
  Row* find(std::uint64_t call) noexcept {
    Row& row = rows_[call & (capacity_ - 1)];
    return row.call == call && call != 0 ? &row : nullptr;
  }
  void close(Row& row) noexcept {
    row.call = 0;
    row.next_free = free_;
    free_ = static_cast<std::uint32_t>(&row - rows_.get());
  }

  template <class F>
  void for_each_open(F&& f) {
    for (std::uint32_t i = 0; i < capacity_; ++i) {
      if (rows_[i].call != 0) f(rows_[i]);
    }
  }

 private:
  std::uint32_t capacity_;
  int bits_;
  std::uint32_t free_ = 0;
  std::uint64_t serial_;
  std::unique_ptr<Row[]> rows_;
};

}  // namespace taut::rpc
