#include "pipe_wire.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "fifo.h"

namespace pipe_transport {

namespace ring = taut::ring;
using taut::Ticks;
using taut::Why;

namespace {

constexpr std::size_t kReadBytesMin = 64 * 1024;

// Memory of a ring, which the running side expects on a line's boundary and empty.
struct RingBytes {
  explicit RingBytes(std::size_t count) : bytes(new (std::align_val_t{ring::kStep}) std::byte[count]()) {}
  struct Free {
    void operator()(std::byte* all) const noexcept { ::operator delete[](all, std::align_val_t{ring::kStep}); }
  };
  std::unique_ptr<std::byte[], Free> bytes;
};

std::size_t largest_frame(const std::array<ring::Shape, ring::kLaneCount>& shapes) {
  return sizeof(Frame) +
         std::max({shapes[0].record_bytes_max(), shapes[1].record_bytes_max(), ring::u32{sizeof(Marks)}});
}

}  // namespace

// One lane: the ring that this side writes and the pipe is fed from, and the ring that the pipe fills and this side
// reads. `own` and `peer` are the shared words of other transports; here the marks bring what the peer would store.
struct PipeWire::LaneEnds {
  LaneEnds(ring::Shape out_shape, ring::Shape in_shape)
      : out(out_shape.ring_bytes),
        in(in_shape.ring_bytes),
        memory{out.bytes.get(), in.bytes.get(), &own, &peer},
        leaving({out.bytes.get(), &left}, out_shape),
        arriving({in.bytes.get(), &peer.touched, &own.released}, in_shape) {}

  RingBytes out, in;
  ring::LaneWords own{}, peer{};
  ring::SharedWord left{};  // stands in for `released`: only the peer's marks give room back
  ring::LaneMemory memory;
  ring::Reader<ring::NativeReaderMemory> leaving;
  ring::Writer<ring::NativeWriterMemory> arriving;
};

void Outbox::put(const void* bytes, std::size_t count) noexcept {
  if (count != 0) std::memcpy(bytes_.data() + filled_, bytes, count);
  filled_ += count;
}

bool Outbox::flush(int fd) noexcept {
  const Moved moved = write_some(fd, std::span(bytes_).first(filled_));
  filled_ -= moved.bytes;
  std::memmove(bytes_.data(), bytes_.data() + moved.bytes, filled_);
  return moved.bytes != 0;
}

PipeWire::PipeWire(WireParts parts)
    : parts_(std::move(parts)),
      frame_bytes_max_(largest_frame(parts_.agreement.out)),
      outbox_(std::max(4 * frame_bytes_max_, parts_.first_bytes.size())),
      inbox_bytes_(std::max(kReadBytesMin, largest_frame(parts_.agreement.in))),
      process_(getpid()) {
  for (std::size_t i = 0; i < ring::kLaneCount; ++i) {
    lanes_.push_back(std::make_unique<LaneEnds>(parts_.agreement.out[i], parts_.agreement.in[i]));
  }
  outbox_.put(parts_.first_bytes.data(), parts_.first_bytes.size());
}

PipeWire::~PipeWire() { close(); }

const ring::LaneMemory& PipeWire::lane(ring::Lane lane) const noexcept {
  return lanes_[static_cast<std::size_t>(lane)]->memory;
}

int PipeWire::pump(Ticks now) noexcept {
  if (ended_) return 0;
  const int handled = take_in(now);
  if (!ended_) give_out();
  return handled;
}

// Marks and whole records, as long as there is room for one more. The urgent lane goes first.
void PipeWire::fill_outbox() noexcept {
  const Marks now = marks();
  if (std::memcmp(&now, &told_, sizeof now) != 0 && outbox_.room() >= frame_bytes_max_) {
    const Frame frame{sizeof now, FrameKind::marks, 0, 0};
    outbox_.put(&frame, sizeof frame);
    outbox_.put(&now, sizeof now);
    told_ = now;
  }
  for (const auto lane : {ring::Lane::urgent, ring::Lane::normal}) {
    LaneEnds& ends = *lanes_[static_cast<std::size_t>(lane)];
    while (outbox_.room() >= frame_bytes_max_) {
      const ring::Record record = ends.leaving.next();
      if (!record) break;
      const Frame frame{record.head.bytes(), FrameKind::record, static_cast<std::uint8_t>(lane), 0};
      outbox_.put(&frame, sizeof frame);
      // The head from where it was read, once: in the ring it belongs to the running side.
      outbox_.put(&record.head.word, sizeof record.head.word);
      outbox_.put(ends.leaving.bytes(record) + sizeof record.head.word, frame.bytes - sizeof record.head.word);
    }
  }
}

// When nobody reads any more the other pipe says so, behind everything that was sent before.
void PipeWire::give_out() noexcept {
  fill_outbox();
  if (!outbox_.empty()) outbox_.flush(parts_.out.get());
}

Marks PipeWire::marks() const noexcept {
  Marks marks{};
  for (std::size_t i = 0; i < ring::kLaneCount; ++i) {
    // Relaxed: they are stored by this thread, and carried by the pipe.
    marks.lanes[i].released = lanes_[i]->own.released.load(std::memory_order_relaxed);
    marks.lanes[i].taken = lanes_[i]->own.taken.position.load(std::memory_order_relaxed);
  }
  return marks;
}

int PipeWire::take_in(Ticks now) noexcept {
  const Moved moved = read_some(parts_.in.get(), std::span(inbox_bytes_).subspan(inbox_filled_));
  inbox_filled_ += moved.bytes;
  const int handled = handle_frames(now);
  // Its last marks may be missing: what it ran since is not known.
  if (moved.closed && !ended_) end(Why::peer_died, "closed its pipe without a goodbye", true);
  return handled;
}

int PipeWire::handle_frames(Ticks now) noexcept {
  int handled = 0;
  std::size_t at = 0;
  while (!ended_ && inbox_filled_ - at >= sizeof(Frame)) {
    Frame frame;
    std::memcpy(&frame, inbox_bytes_.data() + at, sizeof frame);
    if (!plausible(frame)) {
      end(Why::peer_violation, "sent a frame of impossible kind, lane or size");
      break;
    }
    if (inbox_filled_ - at < sizeof frame + frame.bytes) break;
    handle(frame, inbox_bytes_.data() + at + sizeof frame, now);
    at += sizeof frame + frame.bytes;
    ++handled;
  }
  std::memmove(inbox_bytes_.data(), inbox_bytes_.data() + at, inbox_filled_ - at);
  inbox_filled_ -= at;
  return handled;
}

bool PipeWire::plausible(const Frame& frame) const noexcept {
  if (frame.zero != 0) return false;
  switch (frame.kind) {
    case FrameKind::record:
      return frame.lane < ring::kLaneCount && frame.bytes >= ring::kHeaderMin &&
             frame.bytes <= parts_.agreement.in[frame.lane].record_bytes_max();
    case FrameKind::marks:
      return frame.lane == 0 && frame.bytes == sizeof(Marks);
    case FrameKind::goodbye:
      return frame.lane == 0 && frame.bytes == 0;
  }
  return false;
}

void PipeWire::handle(const Frame& frame, const std::byte* bytes, Ticks now) noexcept {
  switch (frame.kind) {
    case FrameKind::record:
      return deliver(*lanes_[frame.lane], {bytes, frame.bytes}, now);
    case FrameKind::marks: {
      Marks marks;
      std::memcpy(&marks, bytes, sizeof marks);
      // The running side checks them: an impossible one ends the link.
      for (std::size_t i = 0; i < ring::kLaneCount; ++i) {
        lanes_[i]->peer.released.store(marks.lanes[i].released, std::memory_order_release);
        lanes_[i]->peer.taken.position.store(marks.lanes[i].taken, std::memory_order_release);
      }
      return;
    }
    case FrameKind::goodbye:
      return end(Why::peer_closed, "said goodbye");
  }
}

void PipeWire::deliver(LaneEnds& lane, std::span<const std::byte> record, Ticks now) noexcept {
  ring::Head head;
  std::memcpy(&head.word, record.data(), sizeof head.word);
  if (head.bytes() != record.size() || head.kind() == ring::Kind::pad || head.kind() == ring::Kind::none) {
    return end(Why::peer_violation, "sent a record that contradicts its frame");
  }
  const ring::Claim claim = lane.arriving.claim(head.bytes());
  if (!claim) return end(Why::peer_violation, "sent more than was read: its ring holds less");
  std::byte* to = lane.arriving.memory().bytes(claim.at);
  std::memcpy(to + sizeof head.word, record.data() + sizeof head.word, record.size() - sizeof head.word);
  if (head.kind() == ring::Kind::request && record.size() >= sizeof(ring::RequestHeader)) {
    // The clocks of two machines differ, so a request begins its deadline anew where it arrives.
    std::memcpy(to + offsetof(ring::RequestHeader, sent), &now, sizeof now);
  }
  lane.arriving.send(claim, head);
}

void PipeWire::end(Why why, const char* how, bool runs_on) noexcept {
  ended_ = true;
  parts_.inbox.link_ended(parts_.endpoint, parts_.agreement.link_id,
                          {why, "process " + std::to_string(parts_.agreement.peer_pid) + " " + how, runs_on});
}

// Everything that was sent, then the last marks, then the goodbye: a peer that hears it knows which of its calls ran.
// A pipe that is full is not waited for; the peer then hears no goodbye and believes nothing.
void PipeWire::close() noexcept {
  if (!parts_.out) return;
  if (getpid() == process_) {  // in a child of fork() the link is its parent's
    do fill_outbox();
    while (!outbox_.empty() && outbox_.flush(parts_.out.get()));
    if (outbox_.empty()) {
      const Frame goodbye{0, FrameKind::goodbye, 0, 0};
      outbox_.put(&goodbye, sizeof goodbye);
      outbox_.flush(parts_.out.get());
    }
  }
  ended_ = true;
  parts_.in.reset();
  parts_.out.reset();
  parts_.place.reset();
}

}  // namespace pipe_transport
