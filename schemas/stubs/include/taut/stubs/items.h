// A vector inside an init struct: a view of a container or of a braced list, read before the call returns.
//
//   orders.Snapshot({.seq = 1, .bids = {{100, 5}, {99, 7}}});   a braced list
//   orders.Snapshot({.seq = 1, .bids = levels});                std::vector, std::array, std::span
//   echo.Echo({.data = bytes});                                 [ubyte]: std::span<const std::byte>, std::string_view
//
// Default constructed it stands for an absent vector; made from an empty container, for an empty one.
//
// Memory   owns nothing. A braced list ends with the full expression, so an init struct that is kept in a variable
//          must view containers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>

namespace taut {

template <class T>
class Items;

namespace stubs {

template <class R>
concept Contiguous = std::ranges::contiguous_range<R> && std::ranges::sized_range<R>;

template <class R, class T>
concept RangeOf = Contiguous<R> && std::is_same_v<std::ranges::range_value_t<R>, T>;

// Raw bytes under another name. Arrays of char are left out: they end with a zero that nobody means.
template <class R, class T>
concept BytesFor = Contiguous<R> && std::is_integral_v<T> && sizeof(T) == 1 && !std::is_same_v<T, bool> &&
                   !std::is_array_v<std::remove_cvref_t<R>> && !std::is_same_v<std::ranges::range_value_t<R>, T> &&
                   (std::is_same_v<std::ranges::range_value_t<R>, std::byte> ||
                    std::is_same_v<std::ranges::range_value_t<R>, char>);

}  // namespace stubs

template <class T>
class Items {
 public:
  constexpr Items() noexcept = default;
  // Assigned in the body: g++ warns of a list kept by a member initialiser.
  constexpr Items(std::initializer_list<T> list) noexcept {
    data_ = list.begin();
    size_ = list.size();
    present_ = true;
  }
  template <class R>
  requires(stubs::RangeOf<R, T> && !std::is_same_v<std::remove_cvref_t<R>, Items>) constexpr Items(R&& range) noexcept {
    data_ = std::ranges::data(range);
    size_ = std::ranges::size(range);
    present_ = true;
  }
  template <stubs::BytesFor<T> R>
  Items(R&& range) noexcept {
    data_ = reinterpret_cast<const T*>(std::ranges::data(range));
    size_ = std::ranges::size(range);
    present_ = true;
  }

  [[nodiscard]] constexpr bool present() const noexcept { return present_; }
  [[nodiscard]] constexpr const T* data() const noexcept { return data_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr const T& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  const T* data_ = nullptr;
  std::size_t size_ = 0;
  bool present_ = false;
};

// Vectors of strings: from containers of std::string_view or of std::string.
template <>
class Items<std::string_view> {
 public:
  constexpr Items() noexcept = default;
  constexpr Items(std::initializer_list<std::string_view> list) noexcept {
    views_ = list.begin();
    size_ = list.size();
    present_ = true;
  }
  template <class R>
  requires(stubs::RangeOf<R, std::string_view> &&
           !std::is_same_v<std::remove_cvref_t<R>, Items>) constexpr Items(R&& range) noexcept {
    views_ = std::ranges::data(range);
    size_ = std::ranges::size(range);
    present_ = true;
  }
  template <stubs::RangeOf<std::string> R>
  constexpr Items(R&& range) noexcept {
    strings_ = std::ranges::data(range);
    size_ = std::ranges::size(range);
    present_ = true;
  }

  [[nodiscard]] constexpr bool present() const noexcept { return present_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr std::string_view operator[](std::size_t i) const noexcept {
    return strings_ != nullptr ? std::string_view(strings_[i]) : views_[i];
  }

 private:
  const std::string_view* views_ = nullptr;
  const std::string* strings_ = nullptr;
  std::size_t size_ = 0;
  bool present_ = false;
};

}  // namespace taut
