// What an end of a link has of each of its lanes.
//
// Threads  the dispatcher's.
// Memory   allocated when the link is made, but for messages in pieces.
#pragma once

#include <vector>

#include "admission.h"
#include "pieces.h"
#include "send_window.h"
#include "taut/ring/lane.h"
#include "taut/ring/ring.h"

namespace taut::rpc {

// Records up to this size are copied before anything is read from them, for every peer.
inline constexpr ring::u32 kCopyMax = 256;

// A record that a wait read past. It is released in ring order, by the next poll, which has something to do for it.
struct Kept {
  enum class Then : std::uint8_t {
    handle,
    return_grant,  // its answer was taken
    nothing,
    run_callback,  // of the call whose answer arrived in pieces: `message`
  };
  ring::Record record;
  Then then;
  std::uint64_t call = 0;  // as the wait read it, once and for all; 0: nobody has looked yet
  Buffer message = {};
  std::uint32_t message_bytes = 0;
};
// Where the open claim of a lane is written.
enum class ClaimRoom : std::uint8_t { staged, in_ring, in_buffer, in_arena, of_answer };
// One lane of one end: both of its rings, what is open in it, and what waits in it.
struct LaneEnd {
  LaneEnd(ring::Lane lane, const ring::LaneMemory& memory, ring::Shape out_shape, ring::Shape in_shape,
          ring::u32 granted_in, ring::u32 granted_out);
  const ring::Lane name;
  ring::Writer<ring::NativeWriterMemory> out;
  ring::Reader<ring::NativeReaderMemory> in;
  ring::Taken* taken;
  const ring::Taken* peer_taken;
  Admission admission;
  ring::u32 calls_open = 0;  // grants in use: they come back when the answer is released
  ring::u32 calls_max;       // how many may be: what was granted, or the window
  SendWindow window;
  ring::u32 calls_abandoned = 0;  // of calls_open: ended here, but their answers have not come
  std::byte* claimed = nullptr;   // the payload of the open claim; null: none is open
  ClaimRoom claim_room = ClaimRoom::in_ring;
  ring::Claim claim;
  // Claims room for a record, a field at a time: a copy of the whole would wait for the stores of its fields.
  bool claim_record(ring::u32 bytes, ring::u32 reserve) noexcept {
    const ring::Claim made = out.claim(bytes, reserve);
    claim.at = made.at;
    claim.room = made.room;
    claim.pad = made.pad;
    claim.refusal = made.refusal;
    return made.refusal == ring::Refusal::none;
  }
  // Where the claimed record is written: small ones beside the ring, when nobody waits for this batch to be shown.
  std::byte* begin_record() noexcept {
    const bool stages = claim.room <= kCopyMax && !out.unseen();
    claim_room = stages ? ClaimRoom::staged : ClaimRoom::in_ring;
    return stages ? staged : out.memory().bytes(claim.at);
  }
  // Small messages are written here and copied into the ring when they are complete: Writer::send_copy().
  alignas(ring::kStep) std::byte staged[kCopyMax] = {};
  std::vector<Kept> kept;
  ring::u32 claimed_bytes = 0;         // of a claimed answer: what it may have
  std::byte* claimed_block = nullptr;  // of a claim in_arena
  // --- messages in pieces
  Buffer claimed_buffer;  // of a claim in_buffer
  std::vector<Leaving> leaving;
  std::uint64_t leaving_bytes = 0;  // of all that are in `leaving`
  // Of each kind one message at a time. A wait puts an answer together while pieces of a request are kept.
  Arriving arriving;
  Arriving arriving_answer;
};

}  // namespace taut::rpc
