#include "taut/shm/describe.h"

#include <poll.h>

#include <algorithm>

#include "ask.h"
#include "description.h"
#include "message_socket.h"
#include "service_name.h"
#include "users.h"

namespace taut::shm {
namespace {

bool wait_readable(int fd, Nanoseconds timeout) noexcept {
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  pollfd entry{fd, POLLIN, 0};
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(give_up - std::chrono::steady_clock::now());
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0) return false;
  }
}

}  // namespace

Result<Packet> ask(const std::string& service, std::span<const std::byte> question, Nanoseconds timeout,
                   const std::string& directory, const rpc::AllowedUsers& allow) {
  if (auto checked = check_service_name(service); !checked) return checked.error();
  const auto opened = ServiceDirectory::open(directory, false, allow.uids);
  if (!opened) return opened.error();
  const auto users = Users::of(allow);
  if (!users) return users.error();
  const auto socket = connect_to_service(*opened, service, true);
  if (!socket) return socket.error();
  const std::string server = "the server of shm://" + service;
  if (const int refused = send_packet(socket->get(), question, {}); refused != 0) {
    return make_error(Code::unavailable, refused, {}, "speaking to %s", server.c_str());
  }
  if (!wait_readable(socket->get(), timeout)) {
    return make_error(Code::deadline_exceeded, 0, "is it stopped, or does it not poll?",
                      "%s did not answer within %lld ms", server.c_str(),
                      static_cast<long long>(timeout.count() / 1'000'000));
  }
  Packet packet;
  if (receive(socket->get(), packet, server) != Received::packet) {
    return make_error(Code::unavailable, 0, {}, "%s closed the connection", server.c_str());
  }
  if (auto checked = check_packet(packet, server); !checked) return checked.error();
  if (auto allowed = users->check(*packet.sender, socket->get(), server); !allowed) return allowed.error();
  const auto head = read_head(packet.view(), server);
  if (!head) return head.error();
  if (head->type == MessageType::refusal) {
    const auto refusal = read_message<Refusal>(packet.view(), server);
    return refusal ? to_error(*refusal, "shm://" + service) : refusal.error();
  }
  return packet;
}

Result<ServiceInfo> describe(const std::string& service, Nanoseconds timeout, const std::string& directory,
                             const rpc::AllowedUsers& allow) {
  const auto question = make_message<Describe>();
  const auto answered = ask(service, std::as_bytes(std::span(&question, 1)), timeout, directory, allow);
  if (!answered) return answered.error();
  const Packet& packet = *answered;
  const std::string server = "the server of shm://" + service;
  const auto answer = read_message<Description>(packet.view(), server);
  if (!answer) return answer.error();
  if (auto checked = check_descriptor_count(packet, 1, server); !checked) return checked.error();
  auto description = read_description(packet.descriptors[0], answer->description_bytes, Schemas::read,
                                      "the description of shm://" + service);
  if (!description) return description.error();
  return ServiceInfo{"shm://" + service, packet.sender->pid, answer->links, std::move(description->methods),
                     std::move(description->schemas)};
}

}  // namespace taut::shm
