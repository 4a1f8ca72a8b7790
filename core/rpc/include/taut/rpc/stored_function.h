// A function with up to kBytes of captured state, stored in place: what streams and timers call again and again.
// For the one call that ends a call see Callback in call.h.
//
// Threads  a value. Memory  never allocates.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace taut::rpc {

template <class... Args>
class StoredFunction {
 public:
  static constexpr std::size_t kBytes = 48;

  StoredFunction() noexcept = default;
  template <class F>
  void emplace(F&& f) noexcept {
    using Stored = std::decay_t<F>;
    static_assert(std::is_invocable_v<Stored&, Args...>);
    static_assert(sizeof(Stored) <= kBytes, "a callback may capture 48 bytes: capture a pointer to the rest");
    static_assert(alignof(Stored) <= 16);
    static_assert(std::is_nothrow_move_constructible_v<Stored>, "a callback must be movable without exceptions");
    clear();
    ::new (static_cast<void*>(state_)) Stored(std::forward<F>(f));
    run_ = [](std::byte* state, Args... args) { (*std::launder(reinterpret_cast<Stored*>(state)))(args...); };
    move_ = [](std::byte* from, std::byte* to) {
      auto& stored = *std::launder(reinterpret_cast<Stored*>(from));
      if (to != nullptr) ::new (static_cast<void*>(to)) Stored(std::move(stored));
      stored.~Stored();
    };
  }
  StoredFunction(StoredFunction&& other) noexcept { *this = std::move(other); }
  StoredFunction& operator=(StoredFunction&& other) noexcept {
    if (this == &other) return *this;
    clear();
    if (other.run_ != nullptr) other.move_(other.state_, state_);
    run_ = std::exchange(other.run_, nullptr);
    move_ = other.move_;
    return *this;
  }
  ~StoredFunction() { clear(); }

  [[nodiscard]] explicit operator bool() const noexcept { return run_ != nullptr; }
  void operator()(Args... args) const { run_(state_, args...); }
  void clear() noexcept {
    if (std::exchange(run_, nullptr) != nullptr) move_(state_, nullptr);
  }

 private:
  void (*run_)(std::byte* state, Args... args) = nullptr;
  void (*move_)(std::byte* from, std::byte* to) = nullptr;  // to null: only destroys
  alignas(16) mutable std::byte state_[kBytes];
};

}  // namespace taut::rpc
