// Bytes of messages in tests: exactly as large as they are, so that the address sanitizer sees a byte too much;
// 16-aligned as payloads are.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "taut/stubs/schema.h"

namespace taut::testing {

class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> from) : size_(from.size()) {
    // Behind a 16-aligned start, the end is where the sanitizer's red zone begins.
    bytes_.reset(static_cast<std::byte*>(::operator new (size_ == 0 ? 1 : size_, std::align_val_t{16})));
    if (size_ != 0) std::memcpy(bytes_.get(), from.data(), size_);
  }
  [[nodiscard]] std::span<std::byte> span() noexcept { return {bytes_.get(), size_}; }
  [[nodiscard]] std::span<const std::byte> view() const noexcept { return {bytes_.get(), size_}; }

 private:
  struct Delete {
    void operator()(std::byte* bytes) const noexcept { ::operator delete (bytes, std::align_val_t{16}); }
  };
  std::size_t size_;
  std::unique_ptr<std::byte, Delete> bytes_;
};

// Our message of `init`.
template <class T>
Bytes written(const typename Schema<T>::Init& init) {
  const std::uint32_t bytes = stubs::size<T>(init);
  // Whatever was there before must not show.
  Bytes result(std::vector<std::byte>(bytes, std::byte{0xcd}));
  stubs::write_measured<T>(result.span().data(), init);
  return result;
}

template <class T>
bool stock_verifies(std::span<const std::byte> message) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(message.data()), message.size());
  return verifier.VerifyBuffer<T>(nullptr);
}

// Does the message pass by comparison, without the slow path?
template <class T>
bool compares(std::span<const std::byte> message) {
  using S = Schema<T>;
  if constexpr (!S::kComparable) {
    return false;
  } else {
    const auto size = static_cast<std::uint32_t>(message.size());
    return size >= S::kBlock && S::template compare<stubs::Place::root>(message.data(), size, 0, S::kBlock) == size;
  }
}

template <class T>
std::string reason(std::span<const std::byte> message) {
  stubs::Sentence why;
  stubs::explain<T>(message, why);
  return std::string(why.text());
}

}  // namespace taut::testing
