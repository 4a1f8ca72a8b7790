// One end of one link: two lanes in both directions (link_end.cpp), the calls it made (link_calls.cpp), the requests it
// has to answer (link_serves.cpp, reply.cpp), their streams (link_streams.cpp) and their cancelling (link_cancel.cpp),
// and messages that no record holds (link_pieces.cpp, link_blocks.cpp).
// This is the running path; it neither allocates, except for messages in pieces, nor logs, nor makes a system call
// except to ring a sleeper's bell.
//
// Threads  the dispatcher's. Replies may come home from others: reply_home.cpp.
// Owns     the wire, and through it the memory of the lanes.
// Trust    everything that comes out of a ring is input of the peer. A peer that breaks the rules breaks its link:
//          broken() says so, and the dispatcher closes it.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "admission.h"
#include "blocks.h"
#include "blocks_beside.h"
#include "open_requests.h"
#include "pending_table.h"
#include "pieces.h"
#include "request_contexts.h"
#include "send_window.h"
#include "served_methods.h"
#include "taut/ring/lane.h"
#include "taut/ring/ring.h"
#include "taut/rpc/served_call.h"
#include "taut/rpc/transport.h"
#include "turn.h"

namespace taut::rpc {

class LinkState;

// The words of the ring, for the sources of the running path.
using ring::Head;
using ring::Kind;
using ring::Lane;
using ring::Record;
using ring::u16;
using ring::u32;
using ring::u64;
using ring::u8;

// Looks at the heads between two looks at everything else: most records are then found by the load that brings them and
// not by a turn later. More looks gain nothing: they take the line away from the peer that is about to write it.
inline constexpr int kLooks = 4;

class LinkEnd {
 public:
  // Records up to this size are copied before anything is read from them, for every peer.
  static constexpr ring::u32 kCopyMax = 256;

  enum class Side : ring::u8 { client, server };
  // `served` is null on an end that only calls: on a client's that offers nothing.
  LinkEnd(std::shared_ptr<Turn> turn, std::unique_ptr<Wire> wire, Side side,
          std::shared_ptr<const ServedMethods> served);
  ~LinkEnd() {
    if (due_) turn_->no_longer_due(*this);
  }

  // Handles at most `budget` records; returns how many.
  int poll(int budget) noexcept;
  // Shows what was sent inside the turn, and wakes the peer if it sleeps.
  void end_turn() noexcept;
  // A call was sent: the peer is woken now or at the end of the turn.
  void sent() noexcept;
  void ring_if_asleep() noexcept;
  // Shows it within a turn, before something else happens that peers may notice.
  void show() noexcept;
  // Returns at once when there is a record, else after `looks` looks.
  void watch(int looks) const noexcept {
    while (looks-- > 0 && !lanes_[0].in.waiting() && !lanes_[1].in.waiting()) {
    }
  }
  // Is there anything to read? For a dispatcher about to sleep, behind the fence of announce_sleep().
  [[nodiscard]] bool waiting() const noexcept;
  // The same without what a wait has kept for the next poll().
  [[nodiscard]] bool unread() const noexcept { return lanes_[0].in.waiting() || lanes_[1].in.waiting(); }
  [[nodiscard]] bool urgent_waiting() const noexcept { return lanes_[1].in.waiting(); }
  // Does something wait for room in a ring: pieces, items, credit, cancels? Nobody rings when there is some.
  [[nodiscard]] bool waits_for_room() const noexcept {
    return sending_pieces() || !attended_.empty() || !cancels_owed_.empty();
  }
  // Needs turns of its own, whatever arrives: records are kept, or something waits for room.
  [[nodiscard]] bool unfinished() const noexcept { return unfinished_; }

  // --- calls of this side
  [[nodiscard]] CallRoom claim_request(ring::Lane lane, ring::u32 payload_bytes) noexcept;
  // Fills the rings that this end writes with records that the peer steps over.
  void fill_rings() noexcept;
  // Is `payload` the room of the claim that is open in this lane?
  [[nodiscard]] bool claimed(ring::Lane lane, const std::byte* payload) noexcept {
    return lane_of(lane).claimed == payload;
  }
  // What the server said last of how long calls wait, while it sheds load.
  [[nodiscard]] Ticks wait_of_shed(ring::Lane lane) noexcept { return lane_of(lane).window.wait(); }
  void drop_request(ring::Lane lane) noexcept { drop_claim(lane_of(lane)); }
  // Is a call being written? An answer may be claimed for ever, and is not asked about.
  [[nodiscard]] bool claim_open() const noexcept { return call_claimed(lanes_[0]) || call_claimed(lanes_[1]); }
  [[nodiscard]] bool claim_open(ring::Lane lane) noexcept { return call_claimed(lane_of(lane)); }
  // Sends what was claimed; `stamp + timeout` is when the call ends without an answer. Null: no row is free.
  // `credit` is that of the request's header.
  PendingTable::Row* send_request(ring::Lane lane, ring::u16 method, ring::u32 payload_bytes, ring::u32 budget,
                                  Ticks timeout, ring::u16 credit = 0) noexcept;
  // The same with trace or metadata (link_contexts.cpp). Null: `refused` says why, and the claim is gone.
  PendingTable::Row* send_request_beside(ring::Lane lane, ring::u16 method, ring::u32 payload_bytes, ring::u32 budget,
                                         Ticks timeout, ring::u16 credit, const Beside& beside, Why& refused) noexcept;
  [[nodiscard]] CallRoom claim_oneway(ring::Lane lane, ring::u32 payload_bytes) noexcept;
  void send_oneway(ring::Lane lane, ring::u16 method, ring::u32 payload_bytes) noexcept;
  // The same with trace or metadata. `none`: it was sent.
  [[nodiscard]] Why send_oneway_beside(ring::Lane lane, ring::u16 method, ring::u32 payload_bytes,
                                       const Beside& beside) noexcept;
  // Reads on until the call has its answer, keeping what else arrives for the next poll(). A ring that never ends is
  // left once a lap, so that the caller can look at its deadline.
  enum class Found : std::uint8_t { nothing, something, answer };
  [[nodiscard]] Found look_for(std::uint64_t call, Status& status, AnswerBuffer& buffer) noexcept;
  // Ends the call here and now; its answer, should it come, is counted as late.
  [[nodiscard]] Status give_up(std::uint64_t call, Code code, Why why, std::string_view text) noexcept;
  // Ends the calls of a link that goes while its end stays, with `cancelled`; now, or where no callback may run in the
  // next turn.
  void end_calls_of(const LinkState& link) noexcept;
  // Ends every call whose deadline has passed; returns the next deadline.
  Ticks expire(Ticks now) noexcept;

  // A request with this index runs no handler, and is answered as one that did (link_warm_up.cpp).
  static constexpr ring::u16 kPing = 0xfffd;

  // --- streams (link_streams.cpp)
  // Both sides: what a call that was sent, or taken, streams with.
  std::shared_ptr<StreamState> open_stream(PendingTable::Row& row, const StreamOptions& options) noexcept;
  std::shared_ptr<StreamState> serve_stream(OpenRequest& request, const StreamOptions& options) noexcept;
  [[nodiscard]] std::byte* claim_item(StreamState& stream, ring::u32 payload_bytes, Sent& why) noexcept;
  Sent send_item(StreamState& stream, ring::u32 payload_bytes) noexcept;
  void drop_item(StreamState& stream) noexcept;
  Sent close_stream(StreamState& stream) noexcept;
  // What was taken goes back to the sender as credit, when it is due.
  void give_credit(StreamState& stream) noexcept;
  void refuse_item(StreamState& stream, std::string_view text) noexcept;
  // Looked at in every turn until it has what it waits for.
  void attend(StreamState& stream) noexcept;
  // A stream, or something else that lives as long as a request.
  StreamState& state_of(OpenRequest& request) noexcept;

  // --- cancelling (link_cancel.cpp)
  // Ends the call here and tells the server. Its callback runs in the next turn, or not at all. False: it has ended.
  bool cancel(std::uint64_t call, bool run_callback) noexcept;

  // --- draining (link_drain.cpp)
  enum class Drain : std::uint8_t {
    no,
    begun,  // this side takes no new request, and has not told the peer yet
    told,
    heard,  // the peer takes none: nothing more is sent to it
  };
  [[nodiscard]] Drain drain_state() const noexcept { return drain_; }
  // From here on requests are answered `draining`. Tells the client; called again until there was room for that.
  void drain() noexcept;
  // Everything that was taken is answered: no call of this side is for an answer's sake any more.
  void make_no_more_calls() noexcept;
  // Has a call of this side not ended?
  [[nodiscard]] bool awaits_answers() const noexcept {
    return lanes_[0].calls_open + lanes_[1].calls_open != lanes_[0].calls_abandoned + lanes_[1].calls_abandoned;
  }
  // The server said that it will not run this call.
  [[nodiscard]] bool leaves_out(std::uint64_t call) noexcept {
    const PendingTable::Row* const row = last_is_named_ ? pending_.find(call) : nullptr;
    return row != nullptr && left_out(*row);
  }
  static constexpr const char* kLeftOut = "the server drains, and said that it will not run this call";
  // The goodbye of a server that drains says why.
  void goodbye_may_be_of_a_drain() noexcept {
    if (ended != nullptr && ended->why == Why::peer_closed && drain_ == Drain::heard) ended->why = Why::draining;
  }

  // --- what stands beside a call (link_contexts.cpp)
  // From here on these are asked before a handler runs.
  void intercept(std::shared_ptr<const ServerChain> chain);
  [[nodiscard]] const Peer& peer() const noexcept { return peer_; }
  // Null: nothing came with the request, and nobody stood before it.
  [[nodiscard]] const RequestContext* context_of(const OpenRequest& request) const noexcept;

  // --- the end of the link
  // Hands out what the peer had still sent, then ends every call with the verdict that its marks allow.
  void bury() noexcept;
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  [[nodiscard]] const std::string& violation() const noexcept { return violation_; }
  // Requests whose Reply is still held by somebody: the end must outlive them.
  [[nodiscard]] bool held_by_replies() const noexcept {
    return lanes_[0].admission.open() + lanes_[1].admission.open() != 0;
  }

  [[nodiscard]] Side side() const noexcept { return side_; }
  [[nodiscard]] Wire& wire() noexcept { return *wire_; }
  [[nodiscard]] Turn& turn() noexcept { return *turn_; }
  [[nodiscard]] Counters& counters() noexcept { return counters_; }

  // Where the next record of a lane will appear, as long as nobody reads this end's rings.
  [[nodiscard]] ring::HeadWord next_head(ring::Lane lane) noexcept {
    const auto& in = lane_of(lane).in;
    return ring::HeadWord(in.memory().bytes(in.next_at()));
  }
  // Without a call that has not ended here.
  [[nodiscard]] bool without_calls() const noexcept { return (lanes_[0].calls_open | lanes_[1].calls_open) == 0; }

  // For the dispatcher: how long nothing came, its place among the links that are polled seldom, and the list of ends
  // that sent something in this turn.
  std::uint32_t idle_polls = 0;
  static constexpr std::uint32_t kHot = ~0u;
  std::uint32_t cold_index = kHot;
  [[nodiscard]] bool cold() const noexcept { return cold_index != kHot; }
  LinkEnd* next_due = nullptr;
  std::uint64_t endpoint = 0;
  std::shared_ptr<LinkEnded> ended;  // set when the transport reported the end, until bury()
  std::vector<LinkState*> callers;   // the links by which a server calls this client; none behind the end

 private:
  friend class RawReply;
  friend class ServedCall;
  friend void give_owed_answers(Turn&) noexcept;
  friend void leave_to_replies(Turn&, std::vector<std::unique_ptr<LinkEnd>>) noexcept;

  // A record that a wait read past. It is released in ring order, by the next poll, which has something to do for it.
  enum class Then : std::uint8_t {
    handle,
    return_grant,  // its answer was taken
    nothing,
    run_callback,  // of the call whose answer arrived in pieces: `message`
  };
  struct Kept {
    ring::Record record;
    Then then;
    std::uint64_t call = 0;  // as the wait read it, once and for all; 0: nobody has looked yet
    Buffer message = {};
    std::uint32_t message_bytes = 0;
  };
  // Where the open claim of a lane is written.
  enum class ClaimRoom : std::uint8_t { staged, in_ring, in_buffer, in_arena, of_answer };
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
  static bool call_claimed(const LaneEnd& lane) noexcept {
    return lane.claimed != nullptr && lane.claim_room != ClaimRoom::of_answer;
  }

  // In the order in which they are looked at.
  static constexpr ring::Lane kLanes[] = {ring::Lane::urgent, ring::Lane::normal};
  static constexpr std::size_t index(ring::Lane lane) noexcept { return static_cast<std::size_t>(lane); }
  LaneEnd& lane_of(ring::Lane lane) noexcept { return lane == ring::Lane::normal ? lanes_[0] : lanes_[1]; }
  // Handles a record that next() found: copies it out of the ring if it is small, gives its room back, and hands it on.
  void handle(LaneEnd& lane, ring::Record record) noexcept;
  void handle_in_place(LaneEnd& lane, ring::Record record) noexcept;
  void take(LaneEnd& lane, ring::Record record, const std::byte* header, const std::byte* bytes) noexcept;
  void serve(LaneEnd& lane, ring::Record record, const std::byte* header, std::span<const std::byte> payload) noexcept;
  OpenRequest* open_request(LaneEnd& lane, const ring::RequestHeader& header) noexcept;
  void answer_ping(LaneEnd& lane, const ring::RequestHeader& header) noexcept;
  void run_request(LaneEnd& lane, OpenRequest& request, ring::u32 method_index, std::span<const std::byte> payload,
                   std::uint64_t end) noexcept;
  void start_handler(LaneEnd& lane, OpenRequest& request, const ServedMethods::Method& method,
                     std::span<const std::byte> payload, std::uint64_t end) noexcept;
  void call_began(LaneEnd& lane, PendingTable::Row& row, Ticks stamp, Ticks timeout) noexcept;
  [[nodiscard]] bool let_in(Limits& limits, OpenRequest& request, ring::u32 method_index) noexcept;
  void refuse_for_now(OpenRequest& request, Why why, Ticks wait, std::string_view text) noexcept;
  void count_closed(Limits& limits, OpenRequest& request) noexcept;
  [[nodiscard]] Why no_grant(LaneEnd& lane) noexcept;
  [[nodiscard]] Status read_refusal(LaneEnd& lane, ring::Head head, std::span<const std::byte> payload) noexcept;
  void finish(LaneEnd& lane, ring::Head head, const std::byte* header, std::span<const std::byte> payload) noexcept;
  int poll_records(LaneEnd& first_lane, ring::Record record, int budget) noexcept;
  int refuse_poll(LaneEnd& lane, ring::Record record) noexcept;
  [[nodiscard]] bool any_kept() const noexcept { return !lanes_[0].kept.empty() || !lanes_[1].kept.empty(); }
  void note_unfinished() noexcept { unfinished_ = any_kept() || waits_for_room(); }
  void keep(LaneEnd& lane, Kept kept) noexcept;
  int poll_kept() noexcept;
  int do_kept(LaneEnd& lane, Kept& kept) noexcept;
  void run_kept_callback(LaneEnd& lane, Kept& kept) noexcept;
  [[nodiscard]] std::uint64_t copy_answer(LaneEnd& lane, ring::Record record, AnswerBuffer& buffer) noexcept;
  // False: it was a piece, and there are more.
  bool take_answer(LaneEnd& lane, ring::Record record, std::uint64_t call, Status& status,
                   AnswerBuffer& buffer) noexcept;
  void late_answer(LaneEnd& lane) noexcept;
  void abandon(PendingTable::Row& row) noexcept;
  [[nodiscard]] bool pass_by(LaneEnd& lane, ring::Record record, std::uint64_t answered,
                             const std::byte* header) noexcept;
  [[nodiscard]] bool pass_by_other(LaneEnd& lane, ring::Record record) noexcept;
  void give_back(LaneEnd& lane, ring::Record record) noexcept;
  void run_callback(PendingTable::Row& row, const RawAnswer& answer) noexcept;
  [[nodiscard]] Status read_status(ring::Head head, std::span<const std::byte> payload) const noexcept;
  [[nodiscard]] Ran verdict(const PendingTable::Row& row, bool stopped) const noexcept;
  [[nodiscard]] Ran verdict_of_end(const PendingTable::Row& row) const noexcept;
  const std::byte* take_in(LaneEnd& lane, ring::Record record, std::byte* copy) noexcept;
  void heard_drain(ring::Head head, const std::byte* header) noexcept;
  // The server drains and said that it will not run the call.
  [[nodiscard]] bool left_out(const PendingTable::Row& row) const noexcept {
    return last_is_named_ && (row.sending || static_cast<std::int64_t>(row.end - last_to_run_[index(row.lane)]) > 0);
  }
  void end_left_out() noexcept;
  [[nodiscard]] Why halted() const noexcept { return drain_ == Drain::no ? Why::halted : Why::draining; }
  // Does this side take no new requests?
  [[nodiscard]] bool drains() const noexcept { return drain_ == Drain::begun || drain_ == Drain::told; }
  // Does the record belong to a call that the peer made, and not to one of this side?
  static constexpr bool of_peers_call(ring::Head head) noexcept {
    switch (head.kind()) {
      case ring::Kind::request:
      case ring::Kind::oneway:
      case ring::Kind::end:
      case ring::Kind::cancel:
        return true;
      case ring::Kind::item:
      case ring::Kind::credit:
        return (head.flags() & ring::flag::your_id) == 0;
      default:
        return false;
    }
  }
  [[nodiscard]] bool for_next_poll(const LaneEnd& lane, ring::Head head) const noexcept;
  void read_what_arrived(LaneEnd& lane) noexcept;
  void broke_promise() noexcept;
  void broke(const char* format, std::uint64_t a = 0, std::uint64_t b = 0) noexcept;

  // --- one-way messages
  void serve_oneway(LaneEnd& lane, ring::Record record, const std::byte* header,
                    std::span<const std::byte> payload) noexcept;

  void start_oneway(LaneEnd& lane, const ServedMethods::Method& method, std::span<const std::byte> payload,
                    std::uint64_t end) noexcept;

  // --- streams
  [[nodiscard]] StreamState* find_stream(ring::Head head, const std::byte* header) noexcept;
  void take_item(LaneEnd& lane, ring::Head head, const std::byte* header, std::span<const std::byte> payload) noexcept;
  void take_other(LaneEnd& lane, ring::Record record, const std::byte* header) noexcept;
  void take_end(ring::Head head, const std::byte* header) noexcept;
  void take_credit(ring::Head head, const std::byte* header) noexcept;
  void hand_over(StreamState& stream, std::span<const std::byte> payload) noexcept;
  void misused(StreamState& stream, const char* how) noexcept;
  void threw(StreamState& stream) noexcept;
  void end_call_of(StreamState& stream, const Status& status) noexcept;
  void end_stream(std::shared_ptr<StreamState> stream) noexcept;
  [[nodiscard]] bool send_end(const StreamState& stream) noexcept;
  bool attend_to(StreamState& stream, int& done) noexcept;
  [[nodiscard]] bool may_be_ready(StreamState& stream) noexcept;
  template <class... Args>
  void run_user(const StoredFunction<Args...>& function, Args... arguments) noexcept;
  int poll_streams() noexcept;
  void close_row(PendingTable::Row& row) noexcept {
    if (row.stream != nullptr) [[unlikely]]
      end_stream(std::move(row.stream));
    pending_.close(row);
  }

  // --- cancelling
  void tell_cancelled(ring::Lane lane, std::uint64_t call) noexcept;
  void send_owed_cancels() noexcept;
  void take_cancel(LaneEnd& lane, const std::byte* header) noexcept;
  void nobody_waits(OpenRequest& request, OpenRequest::Void why) noexcept;

  // --- what stands beside a call (link_contexts.cpp)
  [[nodiscard]] RequestContexts& contexts();
  void serve_beside(LaneEnd& lane, ring::Record record, ring::RequestHeader header, const std::byte* header_bytes,
                    std::span<const std::byte> payload) noexcept;
  [[nodiscard]] bool attach_arriving(OpenRequest& request) noexcept;
  void run_with_context(LaneEnd& lane, OpenRequest& request, const ServedMethods::Method& method,
                        std::span<const std::byte> payload, std::uint64_t end) noexcept;
  void serve_oneway_beside(LaneEnd& lane, ring::Record record, const std::byte* header,
                           std::span<const std::byte> payload) noexcept;
  void run_oneway_with_context(LaneEnd& lane, const std::byte* header, const ServedMethods::Method& method,
                               std::span<const std::byte> payload, std::uint64_t end) noexcept;
  // Ok when the interceptors let it in.
  [[nodiscard]] Status let_in(OpenRequest& request, RequestContext& context) noexcept;
  // Of an answer that was never sent. No status has this detail: its code is 255.
  static constexpr ring::u16 kLost = 0xffff;
  void context_over(OpenRequest& request, ring::u16 detail) noexcept;
  void tell_ended(OpenRequest& request, RequestContext& context, ring::u16 detail) noexcept;
  void note_refusal(OpenRequest& request, const Status& status) noexcept;
  [[nodiscard]] Why make_room_beside(LaneEnd& lane, ring::u32 payload_bytes, const OutgoingBlocks& blocks) noexcept;

  // --- messages in pieces (link_pieces.cpp)
  [[nodiscard]] bool sending_pieces() const noexcept {
    return !lanes_[0].leaving.empty() || !lanes_[1].leaving.empty();
  }
  [[nodiscard]] bool claim_buffer(LaneEnd& lane, ring::u32 payload_bytes) noexcept;
  [[nodiscard]] CallRoom claim_large_request(LaneEnd& lane, ring::u32 payload_bytes) noexcept;
  void send_large_request(LaneEnd& lane, PendingTable::Row& row, ring::u16 method, ring::u32 payload_bytes,
                          ring::u64 budget_and_credit, Ticks stamp, const OutgoingBlocks* blocks = nullptr) noexcept;
  std::byte* claim_large_answer(OpenRequest& request, ring::u32 payload_bytes) noexcept;
  void send_large_answer(OpenRequest& request, ring::u32 payload_bytes) noexcept;
  void drop_claim(LaneEnd& lane) noexcept;
  int poll_unfinished(int budget) noexcept;
  int send_pieces() noexcept;
  void wake_for_pieces() noexcept;
  bool send_next(LaneEnd& lane) noexcept;
  bool send_piece(LaneEnd& lane, Leaving& message) noexcept;
  bool send_cancel(LaneEnd& lane, std::uint64_t call) noexcept;
  void forget_leaving(LaneEnd& lane, std::size_t i) noexcept;
  void stop_sending(PendingTable::Row& row) noexcept;
  void forget_arriving(Arriving& arriving) noexcept;
  void serve_piece(LaneEnd& lane, ring::Record record, const ring::RequestHeader& header, const std::byte* header_bytes,
                   const std::byte* bytes) noexcept;
  void cancel_arriving(LaneEnd& lane) noexcept;
  enum class Took : std::uint8_t { part, whole, late, broken };
  [[nodiscard]] Took take_piece(LaneEnd& lane, ring::Head head, const std::byte* header,
                                const std::byte* bytes) noexcept;
  void finish_piece(LaneEnd& lane, ring::Head head, const std::byte* header, const std::byte* bytes) noexcept;
  bool take_answer_piece(LaneEnd& lane, ring::Record record, Status& status, AnswerBuffer& buffer) noexcept;
  void pass_by_piece(LaneEnd& lane, ring::Record record, const std::byte* header) noexcept;
  void release_in_order(LaneEnd& lane, ring::Record record) noexcept;
  void drop_large() noexcept;

  // --- messages in the arena (link_blocks.cpp)
  [[nodiscard]] bool claim_block(LaneEnd& lane, ring::u32 payload_bytes, ring::u32 reserve) noexcept;
  void hand_over_block(LaneEnd& lane, ring::u32 payload_bytes, ring::u32 blocks_before = 0) noexcept;
  void send_request_block(LaneEnd& lane, ring::u16 method, ring::u32 payload_bytes, std::uint64_t call, Ticks stamp,
                          ring::u64 budget_and_credit) noexcept;
  void send_answer_block(LaneEnd& lane, ring::u32 payload_bytes, std::uint64_t call) noexcept;
  struct PeerBlock {
    ring::ArenaBlock block;
    std::span<const std::byte> bytes;
  };
  [[nodiscard]] std::optional<PeerBlock> find_block(ring::Head head, const std::byte* header) noexcept;
  [[nodiscard]] Buffer copy_block(std::span<const std::byte> bytes) noexcept;
  void serve_block(LaneEnd& lane, ring::Record record, const ring::RequestHeader& header,
                   const std::byte* header_bytes) noexcept;
  void finish_block(LaneEnd& lane, ring::Head head, const std::byte* header) noexcept;
  void pass_by_block(LaneEnd& lane, ring::Record record, const std::byte* header) noexcept;
  void take_answer_block(LaneEnd& lane, ring::Record record, Status& status, AnswerBuffer& buffer) noexcept;
  [[nodiscard]] Status too_big_to_copy() const noexcept;

  // --- answers (reply.cpp)
  std::byte* claim_answer(OpenRequest& request, ring::u32 payload_bytes) noexcept;
  void send_answer(OpenRequest& request, ring::u32 payload_bytes, ring::u16 detail) noexcept;
  void refuse(OpenRequest& request, Code code, Ran ran, Why why, std::string_view text) noexcept;
  // `detail` of its answer; kLost: there will be none.
  void close_request(OpenRequest& request, ring::u16 detail) noexcept;

  std::shared_ptr<Turn> turn_keep_;
  Turn* turn_;
  std::unique_ptr<Wire> wire_;
  Counters& counters_;
  std::shared_ptr<const ServedMethods> served_keep_;
  const ServedMethods* served_;
  const ring::SharedWord* peer_board_;
  const ring::SharedWord* halt_word_;        // of calls
  const ring::SharedWord* serve_halt_word_;  // of requests: another one on a link that drains
  const Side side_;
  bool may_sleep_ = false;
  bool copies_all_ = false;
  bool due_ = false;
  bool batching_ = false;
  bool unfinished_ = false;  // records are kept, or something waits for room in a ring
  bool closed_ = false;
  bool broken_ = false;
  bool claim_reported_ = false;
  Drain drain_ = Drain::no;
  int expected_ = 0;  // records of this turn, from the last one that found any; several: what they send is committed
                      // together
  bool last_is_named_ = false;
  std::uint64_t last_to_run_[ring::kLaneCount] = {};  // behind it nothing runs once this side or the server drains
  LaneEnd lanes_[ring::kLaneCount];
  PendingTable pending_;
  OpenRequests requests_;
  std::vector<std::shared_ptr<StreamState>> attended_;  // streams that wait for room, or have something to tell
  std::vector<std::uint64_t> cancels_owed_;             // the rings had no room for them
  bool oneway_ran_ = false;
  std::unique_ptr<RequestContexts> contexts_;  // null: no request needed one
  Peer peer_;
  AlignedBytes large_copy_;
  std::unique_ptr<OwnBlocks> own_blocks_;    // null: no arena of ours
  std::unique_ptr<PeerBlocks> peer_blocks_;  // null: none of the peer's
  std::string violation_;
};

// Until the caller's deadline, and how long the request lay in the ring: as a Reply says it.
Nanoseconds left_of(const OpenRequest& request) noexcept;
Nanoseconds queued_of(const OpenRequest& request) noexcept;

// An answer to be given in the next turn.
void owe(Turn& turn, Turn::Owed answer) noexcept;
// Gives what is owed, on the dispatcher's thread.
void give_owed_answers(Turn& turn) noexcept;
// The dispatcher goes (Turn::gone is set here): the last Reply that is still held deletes its end.
void leave_to_replies(Turn& turn, std::vector<std::unique_ptr<LinkEnd>> ends) noexcept;

}  // namespace taut::rpc
