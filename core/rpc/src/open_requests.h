// The requests of the peer that have not been answered, one row each. A Reply is nothing but a pointer to its row, so
// it is made, moved and dropped without touching memory.
//
// A call id's low bits are the row of the caller's table, so a record that names an open call finds it without a
// search. Of two open calls with the same low bits, which only a caller has that gave one of them up, the newer counts.
//
// Threads  the dispatcher's, except for `end`, which is constant.
// Memory   allocated when the link is made: as many rows as there are grants.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>

#include "stream_state.h"
#include "taut/base/clock.h"
#include "taut/ring/lane.h"
#include "taut/rpc/context.h"

namespace taut::rpc {

class LinkEnd;

// Where an answer that is claimed and not sent is written.
enum class AnswerRoom : std::uint8_t {
  none,    // nothing is claimed
  staged,  // written beside the ring; its room was promised at admission and is taken when it is sent
  in_ring,
  in_buffer,  // it will travel in pieces
  in_arena,
};

struct alignas(64) OpenRequest : Origin {
  // First, since it fills what Origin leaves of its last word.
  std::uint32_t bound = 0;  // bytes of ring reserved for the answer, a multiple of 64
  LinkEnd* end = nullptr;
  std::uint64_t call = 0;  // 0: free
  union {
    Ticks started = 0;  // when it was taken from the ring
    OpenRequest* next_free;
  };
  std::uint16_t method = 0;  // its index
  std::uint16_t credit = 0;  // as in the request's header: what the caller takes of a stream at first
  ring::Lane lane : 7 = ring::Lane::normal;
  bool counted : 1 = false;  // among the open calls of the listener's limits
  AnswerRoom room = AnswerRoom::none;
  bool ran = false;  // the handler was started
  // Nobody waits for the answer, or the caller misused its stream, or sent an item that is none, or the function that
  // takes the items threw: then it gets no other answer than that.
  enum class Void : std::uint8_t { no, cancelled, misused, bad_item, threw } nobody_waits = Void::no;
  [[nodiscard]] bool owes_refusal() const noexcept { return nobody_waits > Void::cancelled; }
  std::shared_ptr<StreamState> stream;  // of a call that streams, or that listens for its cancellation
};
static_assert(sizeof(OpenRequest) == 64);

class OpenRequests {
 public:
  OpenRequests(LinkEnd* end, std::uint32_t capacity)
      : capacity_(capacity),
        mask_(std::bit_ceil(std::uint64_t{capacity} + 1) - 1),
        rows_(new OpenRequest[capacity]),
        by_call_(capacity == 0 ? nullptr : new ByCall[mask_ + 1]) {
    for (std::uint32_t i = capacity; i-- != 0;) {
      rows_[i].end = end;
      close(rows_[i]);
    }
  }
  // The last row that was freed: it is still in the cache. Admission has counted, so there is one.
  [[nodiscard]] OpenRequest& open(std::uint64_t call) noexcept {
    OpenRequest& row = *free_;
    free_ = row.next_free;
    row.call = call;
    ByCall& by_call = by_call_[call & mask_];
    by_call.row = &row;
    row.nobody_waits = by_call.cancelled == call ? OpenRequest::Void::cancelled : OpenRequest::Void::no;
    return row;
  }
  void close(OpenRequest& row) noexcept {
    row.call = 0;
    row.next_free = free_;
    free_ = &row;
  }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t index_of(const OpenRequest& row) const noexcept {
    return static_cast<std::size_t>(&row - rows_.get());
  }
  // The open request with this id, or null.
  [[nodiscard]] OpenRequest* find(std::uint64_t call) noexcept {
    if (by_call_ == nullptr) return nullptr;
    OpenRequest* const row = by_call_[call & mask_].row;
    return row != nullptr && row->call == call && call != 0 ? row : nullptr;
  }
  // Its cancellation came first, or too late. Ids are not used twice, so one that is over takes nobody's place.
  void remember_cancelled(std::uint64_t call) noexcept {
    if (by_call_ != nullptr) by_call_[call & mask_].cancelled = call;
  }
  template <class F>
  void for_each_open(F&& f) {
    for (std::uint32_t i = 0; i != capacity_; ++i) {
      if (rows_[i].call != 0) f(rows_[i]);
    }
  }

 private:
  struct ByCall {
    OpenRequest* row = nullptr;
    std::uint64_t cancelled = 0;
  };
  std::uint32_t capacity_;
  std::uint64_t mask_;
  std::unique_ptr<OpenRequest[]> rows_;
  std::unique_ptr<ByCall[]> by_call_;
  OpenRequest* free_ = nullptr;
};

}  // namespace taut::rpc
