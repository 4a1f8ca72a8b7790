#include "taut/shm/message.h"

#include <algorithm>
#include <cstring>

#include "taut/memory/directory.h"

namespace taut::shm {
namespace {

template <class Message>
constexpr bool kIsMessage = std::is_standard_layout_v<Message>&& std::is_trivially_copyable_v<Message>;
static_assert(kIsMessage<Hello> && kIsMessage<Welcome> && kIsMessage<Confirm> && kIsMessage<Refusal>);

constexpr auto kLayout = static_cast<uint16_t>(memory::kLayoutVersion);

// Text of the other side, for people: nothing that a terminal would act on.
std::string printable(const char* text, std::size_t bytes) {
  std::string clean(text, bytes);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < ' ' || c == '\x7f'; }, '?');
  return clean;
}

}  // namespace

std::string_view to_text(MessageType type) noexcept {
  switch (type) {
    case MessageType::hello:
      return "hello";
    case MessageType::welcome:
      return "welcome";
    case MessageType::confirm:
      return "confirm";
    case MessageType::ready:
      return "ready";
    case MessageType::refusal:
      return "refusal";
    case MessageType::describe:
      return "describe";
    case MessageType::description:
      return "description";
    case MessageType::goodbye:
      return "goodbye";
    case MessageType::inspect:
      return "inspect";
    case MessageType::inspected:
      return "inspected";
  }
  return "unknown message";
}

template <class Message>
Message make_message() noexcept {
  Message message;
  std::memset(static_cast<void*>(&message), 0, sizeof message);
  message.head = {kMessageMagic, Message::kType, kLayout, sizeof message};
  return message;
}

Result<MessageHead> read_head(std::span<const std::byte> packet, std::string_view whose) {
  const int whose_bytes = static_cast<int>(whose.size());
  MessageHead head;
  if (packet.size() < sizeof head) {
    return make_error(Code::invalid_argument, 0, {}, "%.*s sent %zu bytes, which are no message", whose_bytes,
                      whose.data(), packet.size());
  }
  std::memcpy(&head, packet.data(), sizeof head);
  if (head.magic != kMessageMagic) {
    return make_error(Code::invalid_argument, 0, "does another program use this socket?",
                      "%.*s sent %zu bytes that begin with %016llx: not the magic of a message", whose_bytes,
                      whose.data(), packet.size(), static_cast<unsigned long long>(head.magic));
  }
  if (head.bytes != packet.size()) {
    return make_error(Code::invalid_argument, 0, {}, "%.*s sent a message of %zu bytes that says it has %u",
                      whose_bytes, whose.data(), packet.size(), head.bytes);
  }
  return head;
}

template <class Message>
Result<Message> read_message(std::span<const std::byte> packet, std::string_view whose) {
  const auto head = read_head(packet, whose);
  if (!head) return head.error();
  const int whose_bytes = static_cast<int>(whose.size());
  if (head->layout != kLayout && Message::kType != MessageType::refusal) {
    return make_error(Code::failed_precondition, 0, "build both sides with the same version of taut",
                      "%.*s speaks layout version %u; this side speaks %u", whose_bytes, whose.data(), head->layout,
                      kLayout);
  }
  if (head->type != Message::kType || packet.size() != sizeof(Message)) {
    return make_error(Code::invalid_argument, 0, {}, "%.*s sent '%s' (%u) of %zu bytes; expected was '%s' of %zu",
                      whose_bytes, whose.data(), to_text(head->type).data(), static_cast<unsigned>(head->type),
                      packet.size(), to_text(Message::kType).data(), sizeof(Message));
  }
  Message message;
  std::memcpy(static_cast<void*>(&message), packet.data(), sizeof message);
  return message;
}

Refusal make_refusal(const Error& error) noexcept {
  auto refusal = make_message<Refusal>();
  refusal.code = error.code();
  refusal.what_bytes = static_cast<uint16_t>(std::min(error.what().size(), sizeof refusal.what));
  refusal.hint_bytes = static_cast<uint16_t>(std::min(error.hint().size(), sizeof refusal.hint));
  std::copy_n(error.what().begin(), refusal.what_bytes, refusal.what);
  std::copy_n(error.hint().begin(), refusal.hint_bytes, refusal.hint);
  return refusal;
}

Error to_error(const Refusal& refusal, std::string_view from) {
  const bool known = refusal.code != Code::ok && static_cast<unsigned>(refusal.code) < kCodeCount;
  const std::string what = printable(refusal.what, std::min<std::size_t>(refusal.what_bytes, sizeof refusal.what));
  const std::string hint = printable(refusal.hint, std::min<std::size_t>(refusal.hint_bytes, sizeof refusal.hint));
  return make_error(known ? refusal.code : Code::unknown, 0, hint, "%.*s: %s", static_cast<int>(from.size()),
                    from.data(), what.c_str());
}

template Hello make_message<Hello>() noexcept;
template Welcome make_message<Welcome>() noexcept;
template Confirm make_message<Confirm>() noexcept;
template Ready make_message<Ready>() noexcept;
template Goodbye make_message<Goodbye>() noexcept;
template Describe make_message<Describe>() noexcept;
template Description make_message<Description>() noexcept;
template Inspect make_message<Inspect>() noexcept;
template Inspected make_message<Inspected>() noexcept;
template Result<Hello> read_message<Hello>(std::span<const std::byte>, std::string_view);
template Result<Welcome> read_message<Welcome>(std::span<const std::byte>, std::string_view);
template Result<Confirm> read_message<Confirm>(std::span<const std::byte>, std::string_view);
template Result<Ready> read_message<Ready>(std::span<const std::byte>, std::string_view);
template Result<Refusal> read_message<Refusal>(std::span<const std::byte>, std::string_view);
template Result<Describe> read_message<Describe>(std::span<const std::byte>, std::string_view);
template Result<Description> read_message<Description>(std::span<const std::byte>, std::string_view);
template Result<Goodbye> read_message<Goodbye>(std::span<const std::byte>, std::string_view);
template Result<Inspect> read_message<Inspect>(std::span<const std::byte>, std::string_view);
template Result<Inspected> read_message<Inspected>(std::span<const std::byte>, std::string_view);

}  // namespace taut::shm
