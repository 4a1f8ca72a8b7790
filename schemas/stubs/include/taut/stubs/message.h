// Message<T>: a message that owns its bytes. taut::keep(request) makes one of the `const T&` of a handler or callback,
// whose bytes are gone when that returns.
//
//   void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override { route(taut::keep(order), ...); }
//
// keep() copies by the schema, table by table, and needs nothing but the table: not where its message begins, no state
// of the thread, and no help from the running path, so a handler that keeps nothing pays nothing. It works for
// requests, replies and nested tables alike. Fields that this program's schema does not know are left behind.
//
// Threads  a value.
// Memory   up to 240 bytes inside, more on the heap.
#pragma once

#include <utility>

#include "taut/rpc/call.h"
#include "taut/stubs/schema.h"

namespace taut {

template <class T>
class Message;
template <class T>
[[nodiscard]] Message<T> keep(const T& table);

template <class T>
class Message {
 public:
  Message() noexcept = default;
  // Builds a message to look at: for tests, and for what is sent again and again.
  explicit Message(const typename Schema<T>::Init& init) {
    if (const std::uint32_t bytes = stubs::size<T>(init); bytes != 0) {
      stubs::write_measured<T>(buffer_.resize(bytes), init);
    }
  }
  Message(Message&& other) noexcept = default;
  Message& operator=(Message&& other) noexcept = default;

  // False when default constructed, moved from, or built of something larger than its caps.
  [[nodiscard]] explicit operator bool() const noexcept { return !buffer_.bytes().empty(); }
  [[nodiscard]] const T& operator*() const noexcept { return *stubs::root<T>(buffer_.bytes()); }
  [[nodiscard]] const T* operator->() const noexcept { return &**this; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return buffer_.bytes(); }

 private:
  friend Message keep<T>(const T& table);
  rpc::AnswerBuffer buffer_;
};

template <class T>
Message<T> keep(const T& table) {
  const auto* at = reinterpret_cast<const std::byte*>(&table);
  const stubs::TableShape& shape = Schema<T>::shape();
  Message<T> message;
  stubs::copy(at, shape, message.buffer_.resize(stubs::copied_bytes(at, shape)));
  return message;
}

}  // namespace taut
