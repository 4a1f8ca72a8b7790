#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
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

constexpr std::size_t kHellosPerTurn = 16;

bool is_ring(std::uint32_t bytes) noexcept {
  return std::has_single_bit(bytes) && bytes >= ring::kRingBytesMin && bytes <= ring::kRingBytesMax;
}

// A client may have smaller rings than the server, not larger ones: the server's memory holds them too.
Welcome answer(const Hello& hello, const rpc::LinkOptions& limits) {
  const std::uint32_t own[] = {limits.ring_bytes, limits.urgent_ring_bytes};
  Welcome welcome{};
  welcome.magic = kMagic;
  welcome.version = kVersion;
  std::random_device random;
  welcome.link = std::uint64_t{random()} << 32 | random();
  for (std::size_t i = 0; i < ring::kLaneCount; ++i) {
    welcome.client_ring_bytes[i] = std::min(hello.ring_bytes[i], own[i]);
    welcome.server_ring_bytes[i] = own[i];
  }
  welcome.calls = std::min(hello.calls, limits.inflight);
  welcome.reply_bytes_max = limits.reply_bytes_max;
  welcome.message_bytes_max = limits.message_bytes_max;
  welcome.pid = static_cast<std::uint32_t>(getpid());
  return welcome;
}

// What the server may call. The client wrote its table into its pipe before it knocked.
Result<rpc::MethodTable> methods_of_client(const Hello& hello, int pipe) {
  if ((hello.table_bytes == 0) != (hello.calls_granted == 0) || hello.table_bytes > kClientTableBytesMax) {
    return make_error(Code::invalid_argument, 0, {}, "process %u grants %u calls of a method table of %u bytes",
                      hello.pid, hello.calls_granted, hello.table_bytes);
  }
  if (hello.table_bytes == 0) return rpc::MethodTable{};
  std::vector<std::byte> table(hello.table_bytes);
  if (read_some(pipe, table).bytes != table.size()) {
    return make_error(Code::invalid_argument, 0, {}, "process %u did not bring the method table of which it speaks",
                      hello.pid);
  }
  return rpc::MethodTable::parse(table);
}

template <class T>
void append(std::vector<std::byte>& to, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

Result<std::unique_ptr<rpc::Acceptor>> PipeAcceptor::listen(const rpc::Url& url, rpc::ListenContext context,
                                                            const Options& options) {
  auto limits = rpc::read_options(url, context.limits);
  if (!limits) return limits.error();
  context.limits = *limits;
  // A door that a dead server left behind is as good as a new one.
  if (auto made = make_fifo(url.rest); !made && made.error().code() != Code::already_exists) return made.error();
  // Open for both, so that it never ends; a client's attempt to write fails once nobody has it open.
  auto door = open_fifo(url.rest, O_RDWR);
  if (!door) return door.error();
  if (flock(door->get(), LOCK_EX | LOCK_NB) != 0) {
    return make_error(Code::already_exists, 0, "stop it, or choose another name", "another server reads %s",
                      url.rest.c_str());
  }
  std::unique_ptr<PipeAcceptor> acceptor(new PipeAcceptor(url, std::move(context), options, *std::move(door)));
  if (auto added = acceptor->context_.control.add(acceptor->door_.get(), EPOLLIN, *acceptor); !added) {
    return added.error();
  }
  return std::unique_ptr<rpc::Acceptor>(std::move(acceptor));
}

PipeAcceptor::PipeAcceptor(const rpc::Url& url, rpc::ListenContext context, const Options& options, Descriptor door)
    : path_(url.rest),
      url_(url.name()),
      context_(std::move(context)),
      options_(options),
      door_(std::move(door)),
      places_(std::make_shared<int>()) {}

PipeAcceptor::~PipeAcceptor() { context_.control.remove(door_.get()); }

void PipeAcceptor::on_ready(int, std::uint32_t) {
  Hello hellos[kHellosPerTurn];
  const Moved moved = read_some(door_.get(), std::as_writable_bytes(std::span(hellos)));
  const auto known = [](const Hello& hello) { return hello.magic == kMagic; };
  const auto heard = std::span(hellos).first(moved.bytes / sizeof(Hello));
  if (moved.bytes % sizeof(Hello) != 0 || !std::all_of(heard.begin(), heard.end(), known)) {
    // Where one begins cannot be told any more. Whoever knocked rightly knocks again.
    while (read_some(door_.get(), std::as_writable_bytes(std::span(hellos))).bytes != 0) {
    }
    return context_.inbox.log(taut::Severity::warning, url_ + ": somebody wrote to the door who is no client");
  }
  for (const Hello& hello : heard) {
    if (auto welcomed = welcome(hello); !welcomed) {
      context_.inbox.log(taut::Severity::warning, url_ + " refused a link: " + std::string(welcomed.error().what()));
    }
  }
}

// The link is up when this returns; the client learns of it from the first bytes in its pipe.
Result<void> PipeAcceptor::welcome(const Hello& hello) {
  const std::string pipes = path_ + "." + std::to_string(hello.pid) + "." + std::to_string(hello.serial);
  auto out = open_fifo(pipes + ".down", O_WRONLY);
  if (!out) return out.error();
  auto in = open_fifo(pipes + ".up", O_RDONLY);
  if (!in) return in.error();
  if (hello.version != kVersion || !is_ring(hello.ring_bytes[0]) || !is_ring(hello.ring_bytes[1]) || hello.calls == 0) {
    return make_error(Code::invalid_argument, 0, {}, "process %u asks for what cannot be", hello.pid);
  }
  if (static_cast<std::size_t>(places_.use_count()) > options_.links_max) {
    return make_error(Code::resource_exhausted, 0, {}, "it has %zu links already", options_.links_max);
  }

  auto methods = methods_of_client(hello, in->get());
  if (!methods) return methods.error();

  Welcome welcome = answer(hello, context_.limits);
  const std::vector<std::byte> table = context_.methods.serialize();
  welcome.table_bytes = static_cast<std::uint32_t>(table.size());
  rpc::Agreement agreement;
  for (std::size_t i = 0; i < ring::kLaneCount; ++i) {
    agreement.out[i] = {welcome.server_ring_bytes[i], 0};
    agreement.in[i] = {welcome.client_ring_bytes[i], 0};
  }
  agreement.calls_in_max = welcome.calls;
  // Rows for such calls are made by what this side wants, not by the peer's word.
  agreement.calls_out_max = std::min(hello.calls_granted, context_.limits.inflight);
  agreement.peer_methods = *std::move(methods);
  agreement.reply_bytes_max = welcome.reply_bytes_max;
  agreement.message_out_max = hello.message_bytes_max;
  agreement.message_in_max = welcome.message_bytes_max;
  agreement.clock = context_.clock.source();
  agreement.link_id = welcome.link;
  agreement.peer_pid = static_cast<int>(hello.pid);
  std::vector<std::byte> first_bytes;
  append(first_bytes, std::span<const Welcome>(&welcome, 1));
  append(first_bytes, std::span<const std::byte>(table));
  context_.inbox.link_up(context_.endpoint, std::make_unique<PipeWire>(WireParts{
                                                std::move(agreement), *std::move(in), *std::move(out), context_.inbox,
                                                context_.endpoint, std::move(first_bytes), places_}));
  return {};
}

}  // namespace pipe_transport
