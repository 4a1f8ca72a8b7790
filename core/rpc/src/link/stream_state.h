// What one end of a link knows of one stream. The row of its call holds it while the call lives; handles (StreamEnd)
// hold it as long as they like, and find it over afterwards.
//
// Both ends count alike: an item counts one, and the bytes of ring that its record takes. Totals since the stream began
// are 64 bits wide and never go back.
//
//   sending     sent <= allowed, and `allowed` is what the peer's credit said last
//   receiving   taken <= came <= granted <= taken + window
//
// Threads  the dispatcher's; `turn` may be looked at anywhere. Memory  allocated when the stream is opened.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "item_queue.h"
#include "taut/ring/lane.h"
#include "taut/rpc/stream.h"

namespace taut::rpc {

class LinkEnd;
struct OpenRequest;
struct Turn;

struct StreamState : std::enable_shared_from_this<StreamState> {
  // Items and bytes of ring.
  struct Amount {
    std::uint64_t items = 0;
    std::uint64_t bytes = 0;
    void add(std::uint32_t record_bytes) noexcept {
      ++items;
      bytes += record_bytes;
    }
    friend bool operator==(const Amount&, const Amount&) = default;
  };

  std::atomic<int> handles{0};  // StreamEnds, which may go on any thread; relaxed: nothing else is read by it
  LinkEnd* end = nullptr;       // null: the call is over, or the link
  std::shared_ptr<Turn> turn;
  std::uint64_t call = 0;
  OpenRequest* request = nullptr;  // at the callee
  ring::Lane lane = ring::Lane::normal;
  bool caller = false;
  bool over = false;    // nothing is sent or taken any more
  bool listed = false;  // in LinkEnd::attended_

  // --- sending
  Amount sent;
  Amount allowed;
  std::uint64_t window_bytes_seen = 0;  // the most that the peer ever took; 0: it has not said yet
  bool closed_out = false;
  bool end_owed = false;  // closed, and the peer has not been told: there was no room
  std::byte* claimed = nullptr;
  std::uint32_t claimed_bytes = 0;
  Sent refused = Sent::ok;          // the last claim
  std::uint32_t refused_bytes = 0;  // of ring, that it wanted
  StoredFunction<> ready;

  // --- receiving
  Amount came;
  Amount taken;
  Amount granted;
  Amount regrant_at;  // when so much is taken, the peer hears of it
  std::uint32_t window_items = 0;
  std::uint32_t window_bytes = 0;
  bool closed_in = false;
  bool credit_owed = false;
  bool front_shown = false;  // next() has handed the front of the queue out
  StoredFunction<std::span<const std::byte>> each;
  std::unique_ptr<ItemQueue> queue;
  StoredFunction<> change;
  StoredFunction<bool> close;

  std::string refusal;  // at the callee: what is wrong with an item of the caller

  // Of any call, streaming or not: RawReply::on_cancel().
  StoredFunction<> cancel;

  // The next grant is due when half of the window was taken since the last one.
  void plan_grant() noexcept {
    regrant_at = {granted.items - window_items + (window_items + 1) / 2,
                  granted.bytes - window_bytes + (window_bytes + 1) / 2};
  }
  [[nodiscard]] bool grant_due() const noexcept {
    return taken.items >= regrant_at.items || taken.bytes >= regrant_at.bytes;
  }
  // Has next() something to give, or never will?
  [[nodiscard]] bool changed() const noexcept { return over || closed_in || (queue != nullptr && !queue->empty()); }
  [[nodiscard]] bool may_send(std::uint32_t record_bytes) const noexcept {
    return sent.items < allowed.items && allowed.bytes - sent.bytes >= record_bytes;
  }
};

}  // namespace taut::rpc
