#include "shm_acceptor.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "agreement.h"
#include "server_handshake.h"

namespace taut::shm {
namespace {

using memory::Descriptor;
using SteadyClock = std::chrono::steady_clock;

// Connections accepted per turn; the rest waits for the next one.
constexpr int kAcceptsPerTurn = 16;
// In a storm of connections others wait in the socket's queue until a handshake is over; but nobody keeps them waiting
// for longer than this by being slow.
constexpr auto kPatienceWithTheOldest = std::chrono::milliseconds(100);
// How long nothing is accepted when there is no descriptor even to refuse.
constexpr auto kShortagePause = std::chrono::milliseconds(100);
constexpr unsigned kLogLinesPerSecond = 10;

Descriptor open_reserve() noexcept { return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

Result<std::unique_ptr<rpc::Acceptor>> ShmAcceptor::listen(const rpc::Url& url, rpc::ListenContext context,
                                                           const TransportOptions& options) {
  auto limits = rpc::read_options(url, context.limits);
  if (!limits) return limits.error();
  context.limits = *limits;
  if (auto checked = check_service_name(url.rest); !checked) return checked.error();
  auto directory = ServiceDirectory::open(options.directory, true);
  if (!directory) return directory.error();
  const rpc::AllowedUsers& allow = context.limits.allow;
  if (auto reachable = directory->check_reachable(allow); !reachable) return reachable.error();
  const ServiceName::Options how{.scm_pidfd = options.scm_pidfd, .for_others = allow.any()};
  auto users = Users::of(allow, directory->group());
  if (!users) return users.error();

  auto control_page = memory::ControlPage::create("taut:" + url.rest + ":control");
  if (!control_page) return control_page.error();
  auto description = make_description(url.rest, context.methods, context.services);
  if (!description) return description.error();
  Descriptor reserve = open_reserve();
  if (!reserve) return memory::descriptor_error(errno, "opening a reserve descriptor", "a listener", 5);
  ServiceParts parts{std::move(context),
                     options,
                     url.rest,
                     url.name(),
                     *std::move(users),
                     std::make_shared<memory::ControlPage>(*std::move(control_page)),
                     *std::move(description),
                     std::make_shared<std::atomic<std::uint32_t>>(0)};
  auto spares = std::make_unique<SpareSegments>(parts.context.control, url.rest, ring_sizes(parts.context.limits),
                                                parts.context.limits.arena_bytes, options.spare_segments);
  if (auto filled = spares->fill(); !filled) return filled.error();
  // The name comes last: whoever finds it can connect.
  auto name = ServiceName::take(*std::move(directory), url.rest, how);
  if (!name) return name.error();
  std::unique_ptr<ShmAcceptor> acceptor(
      new ShmAcceptor(*std::move(name), std::move(parts), std::move(spares), std::move(reserve)));
  auto& control = acceptor->parts_.context.control;
  if (auto added = control.add(acceptor->name_.socket(), EPOLLIN, *acceptor); !added) return added.error();
  return std::unique_ptr<rpc::Acceptor>(std::move(acceptor));
}

ShmAcceptor::ShmAcceptor(ServiceName name, ServiceParts parts, std::unique_ptr<SpareSegments> spares,
                         Descriptor reserve)
    : parts_(std::move(parts)), name_(std::move(name)), spares_(std::move(spares)), reserve_(std::move(reserve)) {}

ShmAcceptor::~ShmAcceptor() {
  while (!handshakes_.empty()) finished(*handshakes_.back());
  parts_.context.control.forget(*this);
  parts_.context.control.remove(name_.socket());
  // A child of fork() that only ends has no say in its parent's name.
  if (parts_.context.control.forked()) name_.forget();
}

void ShmAcceptor::on_ready(int, std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (!has_room_for_a_handshake()) return;
    Descriptor socket(accept4(name_.socket(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      begin_handshake(std::move(socket));
    } else if (memory::is_descriptor_shortage(errno)) {
      if (!refuse_for_want_of_descriptors()) return;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return;  // EAGAIN
    }
  }
}

bool ShmAcceptor::has_room_for_a_handshake() {
  if (handshakes_.size() < parts_.options.half_open_max) return true;
  ServerHandshake& oldest = *handshakes_.front();
  const auto patience_ends = oldest.begun_at() + kPatienceWithTheOldest;
  if (SteadyClock::now() < patience_ends) {
    pause_until(patience_ends);
    return false;
  }
  oldest.refuse(make_error(Code::unavailable, 0, {}, "%s has %u handshakes open and dropped this one, the oldest",
                           parts_.url.c_str(), parts_.options.half_open_max));
  finished(oldest);
  return true;
}

// A socket that stays ready and is not served would keep the poll spinning.
void ShmAcceptor::pause_until(SteadyClock::time_point when) {
  if (!paused_) parts_.context.control.remove(name_.socket());
  paused_ = true;
  parts_.context.control.call_at(when, *this);
}

void ShmAcceptor::on_time() {
  if (!reserve_) reserve_ = open_reserve();
  paused_ = false;
  if (auto added = parts_.context.control.add(name_.socket(), EPOLLIN, *this); !added) {
    parts_.context.inbox.log(Severity::error,
                             parts_.url + " accepts no more links: " + std::string(added.error().what()));
  }
}

void ShmAcceptor::begin_handshake(Descriptor socket) {
  auto handshake = std::make_unique<ServerHandshake>(*this, std::move(socket));
  if (auto begun = handshake->begin(); !begun) return handshake->refuse(begun.error());
  handshakes_.push_back(handshake.get());
  parts_.context.control.adopt(std::move(handshake));
}

bool ShmAcceptor::refuse_for_want_of_descriptors() {
  const Error error =
      memory::descriptor_error(errno, "accepting a link of " + parts_.url, "a link", kDescriptorsPerLink);
  reserve_.reset();
  Descriptor socket(accept4(name_.socket(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket) send_message(socket.get(), make_refusal(error));
  const bool refused = static_cast<bool>(socket);
  socket.reset();
  reserve_ = open_reserve();
  log_refusal(error);
  if (refused && reserve_) return true;
  pause_until(SteadyClock::now() + kShortagePause);
  return false;
}

void ShmAcceptor::finished(ServerHandshake& handshake) noexcept {
  handshake.end();
  std::erase(handshakes_, &handshake);
  if (paused_ && reserve_) parts_.context.control.call_at(SteadyClock::now(), *this);
  parts_.context.control.dismiss(handshake);
}

void ShmAcceptor::log_refusal(const Error& error) {
  const auto now = SteadyClock::now();
  if (now - log_window_ >= std::chrono::seconds(1)) {
    log_window_ = now;
    log_lines_ = 0;
  }
  if (log_lines_++ >= kLogLinesPerSecond) return;
  parts_.context.inbox.log(Severity::warning, parts_.url + " refused a link: " + std::string(error.what()));
}

}  // namespace taut::shm
