// The requests that this end has taken and not answered. A Reply is a pointer to its row, so it moves through handlers
// as one word and finds everything that answering needs.
//
// Threads  the dispatcher's; what a Reply reads on another thread does not change while it is held.
// Memory   allocated when the link is made, as many rows as calls are granted.
#pragma once

#include <memory>

#include "taut/base/clock.h"
#include "taut/ring/lane.h"

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

struct alignas(64) OpenRequest {
  LinkEnd* end = nullptr;
  std::uint64_t call = 0;
  Ticks sent = 0;     // the caller's stamp
  Ticks started = 0;  // when it was taken from the ring
  std::uint32_t budget = 0;
  std::uint32_t bound = 0;    // bytes of ring reserved for the answer, a multiple of 64
  std::uint32_t claimed = 0;  // payload bytes of its claim
  ring::Lane lane = ring::Lane::normal;
  AnswerRoom room = AnswerRoom::none;
  bool ran = false;  // the handler was started
  OpenRequest* next_free = nullptr;
};
static_assert(sizeof(OpenRequest) == 64);

class OpenRequests {
 public:
  OpenRequests(LinkEnd* end, std::uint32_t capacity) : rows_(new OpenRequest[capacity]) {
    for (std::uint32_t i = capacity; i-- != 0;) {
      rows_[i].end = end;
      close(rows_[i]);
    }
  }
  // The last row that was freed: it is still in the cache. Admission has counted, so there is one.
  [[nodiscard]] OpenRequest& open() noexcept {
    OpenRequest& row = *free_;
    free_ = row.next_free;
    return row;
  }
  void close(OpenRequest& row) noexcept {
    row.next_free = free_;
    free_ = &row;
  }

 private:
  std::unique_ptr<OpenRequest[]> rows_;
  OpenRequest* free_ = nullptr;
};

}  // namespace taut::rpc
