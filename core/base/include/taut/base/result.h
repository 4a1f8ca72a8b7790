// Set-up either works or says why: Result<T> holds a T or an Error. Calls end with a Status (status.h).
//
// Threads  values.
// Memory   an Error is of fixed size and copied freely; it never allocates.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <utility>
#include <variant>

#include "taut/base/assert.h"
#include "taut/base/status.h"

namespace taut {

// What failed, on which object, why, and what to do.
//   code       what kind of failure a program may want to tell apart
//   os_errno   of the system call that failed, or 0
//   what()     one sentence: the operation, the object and the reason
//   hint()     one sentence: what to do
class Error {
 public:
  Error(Code code, int os_errno, std::string_view what, std::string_view hint) noexcept;

  [[nodiscard]] Code code() const noexcept { return code_; }
  [[nodiscard]] int os_errno() const noexcept { return os_errno_; }
  [[nodiscard]] std::string_view what() const noexcept { return {what_, what_bytes_}; }
  [[nodiscard]] std::string_view hint() const noexcept { return {hint_, hint_bytes_}; }

 private:
  static constexpr std::size_t kWhatMax = 400;
  static constexpr std::size_t kHintMax = 240;
  Code code_;
  int os_errno_;
  std::uint16_t what_bytes_ = 0;
  std::uint16_t hint_bytes_ = 0;
  char what_[kWhatMax];
  char hint_[kHintMax];
};

std::ostream& operator<<(std::ostream&, const Error&);

// An Error whose sentence is printed like printf. `os_errno` != 0 adds its name and text to the sentence.
[[gnu::format(printf, 4, 5)]] Error make_error(Code code, int os_errno, std::string_view hint, const char* format,
                                               ...) noexcept;

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, error) {}

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  T& operator*() & noexcept { return value(); }
  const T& operator*() const& noexcept { return const_cast<Result*>(this)->value(); }
  T&& operator*() && noexcept { return std::move(value()); }
  T* operator->() noexcept { return &value(); }
  const T* operator->() const noexcept { return &const_cast<Result*>(this)->value(); }

  [[nodiscard]] const Error& error() const noexcept {
    TAUT_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  T& value() noexcept {
    TAUT_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : state_(std::in_place_index<1>, error) {}

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] const Error& error() const noexcept {
    TAUT_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<std::monostate, Error> state_;
};

}  // namespace taut
