// One end of a link through two pipes.
//
// Nothing limits the sender but the ring that it writes: room in it comes back when the other side says that it has
// read (Marks), so what is under way always fits into the ring at the other end, and no lane waits for the other one.
//
// Threads  the dispatcher's.
// Memory   allocates when it is made; pump() does not.
// Waits    never: what the pipe does not take stays in a buffer of fixed size, and behind it in the ring.
// Trust    frames are input: each is checked before a byte of it goes anywhere.
#pragma once

#include <sys/types.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol.h"
#include "taut/memory/descriptor.h"
#include "taut/ring/ring.h"
#include "taut/rpc/transport.h"

namespace pipe_transport {

// Bytes on their way into a pipe: room for so many and no more.
class Outbox {
 public:
  explicit Outbox(std::size_t capacity) : bytes_(capacity) {}
  [[nodiscard]] std::size_t room() const noexcept { return bytes_.size() - filled_; }
  [[nodiscard]] bool empty() const noexcept { return filled_ == 0; }
  // At most room().
  void put(const void* bytes, std::size_t count) noexcept;
  // Writes what the pipe takes. False: it took nothing, or nobody reads any more.
  bool flush(int fd) noexcept;

 private:
  std::vector<std::byte> bytes_;
  std::size_t filled_ = 0;
};

// What the handshake collected.
struct WireParts {
  taut::rpc::Agreement agreement;
  taut::memory::Descriptor in, out;
  taut::rpc::Inbox& inbox;
  std::uint64_t endpoint;
  std::vector<std::byte> first_bytes;  // to be sent before any frame
  std::shared_ptr<void> place;         // held as long as the link is
};

class PipeWire final : public taut::rpc::Wire {
 public:
  explicit PipeWire(WireParts parts);
  ~PipeWire() override;

  [[nodiscard]] const taut::rpc::Agreement& agreement() const noexcept override { return parts_.agreement; }
  [[nodiscard]] const taut::ring::LaneMemory& lane(taut::ring::Lane lane) const noexcept override;
  [[nodiscard]] taut::rpc::Counters& counters() noexcept override { return counters_; }
  [[nodiscard]] bool needs_pump() const noexcept override { return true; }
  int pump(taut::Ticks now) noexcept override;
  void close() noexcept override;

 private:
  struct LaneEnds;
  [[nodiscard]] Marks marks() const noexcept;
  void fill_outbox() noexcept;
  void give_out() noexcept;
  int take_in(taut::Ticks now) noexcept;
  int handle_frames(taut::Ticks now) noexcept;
  [[nodiscard]] bool plausible(const Frame& frame) const noexcept;
  void handle(const Frame& frame, const std::byte* bytes, taut::Ticks now) noexcept;
  void deliver(LaneEnds& lane, std::span<const std::byte> record, taut::Ticks now) noexcept;
  void end(taut::Why why, const char* how, bool runs_on = false) noexcept;

  WireParts parts_;
  std::vector<std::unique_ptr<LaneEnds>> lanes_;
  taut::rpc::Counters counters_{};
  std::size_t frame_bytes_max_;  // of a frame that this side sends
  Outbox outbox_;
  Marks told_{};
  std::vector<std::byte> inbox_bytes_;  // what was read, up to inbox_filled_, and is no whole frame yet
  std::size_t inbox_filled_ = 0;
  bool ended_ = false;
  pid_t process_;
};

}  // namespace pipe_transport
