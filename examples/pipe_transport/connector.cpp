#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <random>

#include "fifo.h"
#include "handshake.h"
#include "pipe_wire.h"

namespace pipe_transport {

using taut::Code;
using taut::make_error;
using taut::Result;
using taut::memory::Descriptor;
namespace ring = taut::ring;
namespace rpc = taut::rpc;

namespace {

// What both rings hold at most, frames and all: a pipe of this size is never full.
std::size_t enough_for(const rpc::LinkOptions& options) {
  return 2 * (std::size_t{options.ring_bytes} + options.urgent_ring_bytes);
}

}  // namespace

Result<OwnPipes> OwnPipes::make(const std::string& door, std::uint32_t serial, std::size_t pipe_bytes) {
  const std::string name = door + "." + std::to_string(getpid()) + "." + std::to_string(serial);
  OwnPipes pipes;
  if (auto made = make_fifo(name + ".up"); !made) return made.error();
  pipes.up_path_ = name + ".up";
  if (auto made = make_fifo(name + ".down"); !made) return made.error();
  pipes.down_path_ = name + ".down";
  auto down = open_fifo(pipes.down_path_, O_RDONLY);
  if (!down) return down.error();
  pipes.down = *std::move(down);
  auto up = open_fifo(pipes.up_path_, O_RDWR);
  if (!up) return up.error();
  pipes.held_up = *std::move(up);
  // As far as the limits of this user allow: a smaller pipe is slower, and works.
  for (const int fd : {pipes.down.get(), pipes.held_up.get()}) (void)fcntl(fd, F_SETPIPE_SZ, pipe_bytes);
  return pipes;
}

OwnPipes::~OwnPipes() {
  if (!up_path_.empty()) unlink(up_path_.c_str());
  if (!down_path_.empty()) unlink(down_path_.c_str());
}

Result<Descriptor> OwnPipes::open_to_write() const { return open_fifo(up_path_, O_WRONLY); }

PipeConnector::PipeConnector(const rpc::Url& url, rpc::ConnectContext context, const Options& options)
    : path_(url.rest), context_(std::move(context)), options_(options) {}

void PipeConnector::attempt() {
  if (pipes_) return;
  if (auto begun = begin(); !begun) fail(begun.error());
}

Result<void> PipeConnector::begin() {
  auto door = open_fifo(path_, O_WRONLY);
  if (!door) return door.error();
  const std::uint32_t serial = std::random_device()();
  auto pipes =
      OwnPipes::make(path_, serial, options_.pipe_bytes != 0 ? options_.pipe_bytes : enough_for(context_.options));
  if (!pipes) return pipes.error();
  pipes_ = std::make_unique<OwnPipes>(*std::move(pipes));
  heard_.clear();
  const std::vector<std::byte> table = context_.serves() ? context_.methods->serialize() : std::vector<std::byte>{};
  if (table.size() > kClientTableBytesMax || write_some(pipes_->held_up.get(), table).bytes != table.size()) {
    return make_error(Code::resource_exhausted, 0, "let it serve fewer methods, or have larger pipes",
                      "what this client serves fills its pipe: a method table of %zu bytes", table.size());
  }
  const Hello hello{.magic = kMagic,
                    .version = kVersion,
                    .pid = static_cast<std::uint32_t>(getpid()),
                    .serial = serial,
                    .ring_bytes = {context_.options.ring_bytes, context_.options.urgent_ring_bytes},
                    .calls = context_.options.inflight,
                    .message_bytes_max = context_.options.message_bytes_max,
                    .table_bytes = static_cast<std::uint32_t>(table.size()),
                    .calls_granted = context_.serves() ? context_.options.inflight : 0};
  if (write_some(door->get(), std::as_bytes(std::span(&hello, 1))).bytes != sizeof hello) {
    return make_error(Code::unavailable, 0, "does its server poll?", "the door %s is full", path_.c_str());
  }
  if (auto added = context_.control.add(pipes_->down.get(), EPOLLIN, *this); !added) return added;
  context_.control.call_at(std::chrono::steady_clock::now() + context_.options.connect_timeout, *this);
  return {};
}

void PipeConnector::on_ready(int, std::uint32_t) {
  if (auto read = read_welcome(); !read) fail(read.error());
}

void PipeConnector::on_time() {
  fail(make_error(Code::deadline_exceeded, 0, "is it stopped, or does it not poll?",
                  "the server of pipe://%s did not answer within the connect timeout", path_.c_str()));
}

// Reads the Welcome and its table and not a byte more: what follows is the link's.
Result<void> PipeConnector::read_welcome() {
  while (true) {
    std::size_t wanted = sizeof(Welcome);
    Welcome welcome;
    if (heard_.size() >= wanted) {
      std::memcpy(&welcome, heard_.data(), sizeof welcome);
      if (auto checked = check(welcome); !checked) return checked;
      wanted += welcome.table_bytes;
      if (heard_.size() == wanted) return link_up(welcome);
    }
    const std::size_t had = heard_.size();
    heard_.resize(wanted);
    const Moved moved = read_some(pipes_->down.get(), std::span(heard_).subspan(had));
    heard_.resize(had + moved.bytes);
    if (moved.closed) {
      return make_error(Code::unavailable, 0, "its log says why", "the server of pipe://%s took no link",
                        path_.c_str());
    }
    if (moved.bytes == 0) return {};
  }
}

Result<void> PipeConnector::check(const Welcome& welcome) const {
  const auto& own = context_.options;
  bool good = welcome.magic == kMagic && welcome.version == kVersion && welcome.table_bytes <= kTableBytesMax &&
              welcome.calls != 0 && welcome.calls <= own.inflight && welcome.client_ring_bytes[0] <= own.ring_bytes &&
              welcome.client_ring_bytes[1] <= own.urgent_ring_bytes;
  for (const auto* rings : {welcome.client_ring_bytes, welcome.server_ring_bytes}) {
    for (std::size_t i = 0; i < ring::kLaneCount; ++i) {
      good = good && rings[i] >= ring::kRingBytesMin && rings[i] <= kServerRingBytesMax &&
             (rings[i] & (rings[i] - 1)) == 0;
    }
  }
  if (good) return {};
  return make_error(Code::invalid_argument, 0, "are both sides of one version?",
                    "the server of pipe://%s welcomes with what cannot be", path_.c_str());
}

Result<void> PipeConnector::link_up(const Welcome& welcome) {
  auto methods = rpc::MethodTable::parse(std::span(heard_).subspan(sizeof welcome));
  if (!methods) return methods.error();
  auto out = pipes_->open_to_write();
  if (!out) return out.error();
  rpc::Agreement agreement;
  for (std::size_t i = 0; i < ring::kLaneCount; ++i) {
    agreement.out[i] = {welcome.client_ring_bytes[i], 0};
    agreement.in[i] = {welcome.server_ring_bytes[i], 0};
  }
  agreement.calls_out_max = welcome.calls;
  agreement.calls_in_max = context_.serves() ? context_.options.inflight : 0;
  agreement.reply_bytes_max = welcome.reply_bytes_max;
  agreement.message_out_max = welcome.message_bytes_max;
  agreement.message_in_max = context_.options.message_bytes_max;
  agreement.clock = context_.clock.source();
  agreement.link_id = welcome.link;
  agreement.peer_pid = static_cast<int>(welcome.pid);
  agreement.peer_methods = *std::move(methods);
  context_.control.forget(*this);
  context_.control.remove(pipes_->down.get());
  Descriptor in = std::move(pipes_->down);
  pipes_.reset();  // no name leads to the link any more
  context_.inbox.link_up(
      context_.endpoint,
      std::make_unique<PipeWire>(WireParts{
          std::move(agreement), std::move(in), *std::move(out), context_.inbox, context_.endpoint, {}, nullptr}));
  return {};
}

void PipeConnector::stop() noexcept {
  if (!pipes_) return;
  context_.control.forget(*this);
  context_.control.remove(pipes_->down.get());
  pipes_.reset();
}

void PipeConnector::fail(const taut::Error& error) {
  stop();
  context_.inbox.connect_failed(context_.endpoint, error);
}

}  // namespace pipe_transport
