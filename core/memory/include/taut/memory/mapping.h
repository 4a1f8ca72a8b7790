// A shared mapping of a memfd, as Boost.Interprocess makes it. Segments are made of these; use segment.h.
//
// Threads  a value.
// Memory   unmaps when destroyed, except in a child of fork() that never had the mapping: there the addresses may
//          belong to somebody else by now.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "taut/base/result.h"

namespace taut::memory {

// What a child of fork() finds.
enum class InChild : unsigned char {
  unmapped,  // nothing: use is an error there (fork_guard.h)
  kept,      // the same memory: a server may go on in the background after it began to listen
};

enum class Access : unsigned char { read_write, read_only };

class Mapping {
 public:
  // Maps all of `fd` and touches every page, so that no access can fail later. `name` is for error sentences.
  static Result<Mapping> of(int fd, std::size_t bytes, Access access, InChild in_child, std::string_view name);

  Mapping() noexcept;
  Mapping(Mapping&&) noexcept;
  Mapping& operator=(Mapping&&) noexcept;
  ~Mapping();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Region;
  void unmap() noexcept;

  std::unique_ptr<Region> region_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  InChild in_child_ = InChild::unmapped;
  int process_ = 0;  // that mapped it
};

}  // namespace taut::memory
