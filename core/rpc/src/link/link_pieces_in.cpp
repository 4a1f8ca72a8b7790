// Messages that no record holds, in pieces (pieces.h): what becomes of those that arrive.
#include <cstring>

#include "link_end.h"
#include "taut/memory/copy.h"

namespace taut::rpc {
namespace {

// A reply's mask, from a private copy of its first line.
u16 extensions_of(const std::byte* header) noexcept {
  u16 mask;
  std::memcpy(&mask, header + sizeof(ring::ReplyHeader), sizeof mask);
  return mask;
}

}  // namespace

void LinkEnd::forget_arriving(Arriving& arriving) noexcept {
  turn_->buffers.keep(std::move(arriving.buffer));
  arriving = {};
}

// A request's piece, from serve(). `bytes` are what follows its header.
[[gnu::cold, gnu::noinline]] void LinkEnd::serve_piece(LaneEnd& lane, Record record, const ring::RequestHeader& header,
                                                       const std::byte* header_bytes, const std::byte* bytes) noexcept {
  const auto piece = read_piece(record.head, header_bytes, header.extensions, wire_->agreement().message_in_max);
  if (!piece || (record.head.flags() & ~(ring::flag::taken_wanted | ring::flag::more_pieces)) != 0) {
    return broke("a request with flags %lu and extensions %lu, which were not agreed", record.head.flags(),
                 header.extensions);
  }
  Arriving& arriving = lane.arriving;
  counters_.pieces_received.add();
  if (piece->offset == 0) {
    if (arriving.call != 0) return broke("a message in pieces before the one before it was whole");
    OpenRequest* const request = open_request(lane, header);
    if (request == nullptr || !attach_arriving(*request)) return;
    Buffer buffer = turn_->buffers.take(piece->total, counters_);
    if (buffer.bytes == nullptr) {
      return refuse(*request, Code::resource_exhausted, Ran::no, Why::too_big, "no memory for the message");
    }
    arriving = {piece->call, piece->total, 0, std::move(buffer), request, record.head.detail()};
  } else if (arriving.call == 0) {
    return;  // of a request that was refused when it began
  }
  if (arriving.call != piece->call) return broke("pieces of two messages mixed");
  switch (arriving.take(*piece, bytes + sizeof(ring::PieceBlock))) {
    case Arriving::Took::part:
      return;
    case Arriving::Took::broken:
      return broke("a piece at %lu where the one at %lu was due", piece->offset, arriving.filled);
    case Arriving::Took::whole: {
      Arriving whole = std::exchange(arriving, {});  // the handler may answer, call, and let others arrive
      whole.request->started = turn_->now;
      run_request(lane, *whole.request, whole.method, {whole.buffer.bytes.get(), whole.total}, record.end);
      turn_->buffers.keep(std::move(whole.buffer));
    }
  }
}

// The caller gave the request up that arrives in this lane.
[[gnu::cold, gnu::noinline]] void LinkEnd::cancel_arriving(LaneEnd& lane) noexcept {
  OpenRequest& request = *lane.arriving.request;
  forget_arriving(lane.arriving);
  refuse(request, Code::cancelled, Ran::no, Why::cancelled, "the caller gave it up while it was arriving");
}

// A piece of an answer. `header` is a private copy of its first line; `bytes` are the peer's, behind it.
[[gnu::cold, gnu::noinline]] LinkEnd::Took LinkEnd::take_piece(LaneEnd& lane, Head head, const std::byte* header,
                                                               const std::byte* bytes) noexcept {
  constexpr u8 kFlags = ring::flag::your_id | ring::flag::extensions;
  const u16 extensions = extensions_of(header);
  const auto piece = read_piece(head, header, extensions, wire_->agreement().message_in_max);
  if (!piece || (head.flags() & ~ring::flag::more_pieces) != kFlags || head.detail() != 0 || lane.calls_open == 0) {
    broke("an answer with flags %lu and extensions %lu, which were not agreed", head.flags(), extensions);
    return Took::broken;
  }
  counters_.pieces_received.add();
  Arriving& arriving = lane.arriving_answer;
  if (piece->offset == 0 && arriving.call != 0) {
    if (pending_.find(arriving.call) != nullptr) {
      broke("a message in pieces before the one before it was whole");
      return Took::broken;
    }
    forget_arriving(arriving);  // nobody waits for it any more
  }
  if (pending_.find(piece->call) == nullptr) {
    if (arriving.call == piece->call) forget_arriving(arriving);
    return piece->last() ? Took::late : Took::part;
  }
  if (piece->offset == 0) {
    arriving = {piece->call, piece->total, 0, turn_->buffers.take(piece->total, counters_)};
    if (arriving.buffer.bytes == nullptr) {
      broke("no memory for an answer of %lu bytes", piece->total);
      return Took::broken;
    }
  }
  const Arriving::Took took = arriving.call == piece->call ? arriving.take(*piece, bytes) : Arriving::Took::broken;
  if (took == Arriving::Took::broken) broke("a piece at %lu that does not follow the one before it", piece->offset);
  return took == Arriving::Took::whole ? Took::whole : took == Arriving::Took::part ? Took::part : Took::broken;
}

// From finish(): the call has a callback. `bytes` are what follows the reply's header.
[[gnu::cold, gnu::noinline]] void LinkEnd::finish_piece(LaneEnd& lane, Head head, const std::byte* header,
                                                        const std::byte* bytes) noexcept {
  if (extensions_of(header) == ring::extension::arena) return finish_block(lane, head, header);
  const std::byte* const part = bytes + (ring::kPieceHeader - sizeof(ring::ReplyHeader));
  const Took took = take_piece(lane, head, header, part);
  if (took == Took::part || took == Took::broken) return;
  --lane.calls_open;
  if (took == Took::late) return late_answer(lane);
  Arriving whole = std::exchange(lane.arriving_answer, {});
  counters_.answers_received.add();
  run_callback(*pending_.find(whole.call), {Status{}, {whole.buffer.bytes.get(), whole.total}});
  turn_->buffers.keep(std::move(whole.buffer));
}

// From a wait. `buffer` holds the first line of the record; the answer ends up there when it is whole.
[[gnu::cold, gnu::noinline]] bool LinkEnd::take_answer_piece(LaneEnd& lane, Record record, Status& status,
                                                             AnswerBuffer& buffer) noexcept {
  if (extensions_of(buffer.record()) == ring::extension::arena) {
    take_answer_block(lane, record, status, buffer);
    return true;
  }
  switch (take_piece(lane, record.head, buffer.record(), lane.in.bytes(record) + ring::kPieceHeader)) {
    case Took::whole: {
      Arriving whole = std::exchange(lane.arriving_answer, {});
      buffer.adopt(std::move(whole.buffer.bytes), whole.total);
      close_row(*pending_.find(whole.call));
      counters_.answers_received.add();
      give_back(lane, record);
      return true;
    }
    case Took::broken:
      return true;
    default:
      release_in_order(lane, record);
      return false;
  }
}

// A wait for another call found it. The last piece stays in the ring for the next poll, which runs the callback.
[[gnu::cold, gnu::noinline]] void LinkEnd::pass_by_piece(LaneEnd& lane, Record record,
                                                         const std::byte* header) noexcept {
  if (extensions_of(header) == ring::extension::arena) return pass_by_block(lane, record, header);
  switch (take_piece(lane, record.head, header, lane.in.bytes(record) + ring::kPieceHeader)) {
    case Took::broken:
      return;
    case Took::part:
      return release_in_order(lane, record);
    case Took::late:
      late_answer(lane);
      return give_back(lane, record);
    case Took::whole:
      break;
  }
  Arriving whole = std::exchange(lane.arriving_answer, {});
  PendingTable::Row& row = *pending_.find(whole.call);
  if (row.callback) {
    return keep(lane, {record, Then::run_callback, whole.call, std::move(whole.buffer), whole.total});
  }
  close_row(row);
  counters_.answers_received.add();
  turn_->buffers.keep(std::move(whole.buffer));
  give_back(lane, record);
}

void LinkEnd::run_kept_callback(LaneEnd& lane, Kept& kept) noexcept {
  PendingTable::Row* const row = pending_.find(kept.call);
  if (row == nullptr) {
    late_answer(lane);  // it ended after its answer had arrived
  } else {
    counters_.answers_received.add();
    run_callback(*row, {Status{}, {kept.message.bytes.get(), kept.message_bytes}});
  }
  turn_->buffers.keep(std::move(kept.message));
}

// Done with a record that ends no call.
void LinkEnd::release_in_order(LaneEnd& lane, Record record) noexcept {
  if (lane.kept.empty()) {
    lane.in.release(record.end);
  } else {
    keep(lane, {record, Then::nothing});
  }
}

// The link is over.
void LinkEnd::drop_large() noexcept {
  for (LaneEnd& lane : lanes_) {
    drop_claim(lane);
    while (!lane.leaving.empty()) {
      if (OpenRequest* request = lane.leaving.front().request) {
        close_request(*request, kLost);
        counters_.answers_lost.add();
      }
      forget_leaving(lane, 0);
    }
    if (lane.arriving.request != nullptr) close_request(*lane.arriving.request, kLost);
    forget_arriving(lane.arriving);
    forget_arriving(lane.arriving_answer);
  }
}

}  // namespace taut::rpc
