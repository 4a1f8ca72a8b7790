// A value in memory that a test and its child processes share. Made before the children are.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace taut::testing {

template <class T>
class SharedValue {
 public:
  SharedValue() {
    void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    value_ = new (memory) T{};
  }
  ~SharedValue() { munmap(value_, sizeof(T)); }
  SharedValue(const SharedValue&) = delete;
  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return value_; }

 private:
  T* value_;
};

}  // namespace taut::testing
