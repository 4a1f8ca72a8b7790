// A file descriptor that somebody owns: closed when its owner goes.
//
// Threads  a value; moved, never shared.
#pragma once

#include <string_view>
#include <utility>

#include "taut/base/result.h"

namespace taut::memory {

class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { reset(); }

  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

// Whether a system call failed for want of a descriptor.
[[nodiscard]] bool is_descriptor_shortage(int os_errno) noexcept;

// The Error of a system call that may have failed for want of a descriptor: then it names the limit and how many
// descriptors `purpose` needs. `what` is the operation and its object.
Error descriptor_error(int os_errno, std::string_view what, std::string_view purpose, int needed) noexcept;

}  // namespace taut::memory
