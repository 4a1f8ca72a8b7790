#include "taut/memory/descriptor.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace taut::memory {

void Descriptor::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool is_descriptor_shortage(int os_errno) noexcept { return os_errno == EMFILE || os_errno == ENFILE; }

Error descriptor_error(int os_errno, std::string_view what, std::string_view purpose, int needed) noexcept {
  const int what_bytes = static_cast<int>(what.size());
  if (!is_descriptor_shortage(os_errno)) {
    return make_error(Code::internal, os_errno, {}, "%.*s", what_bytes, what.data());
  }
  if (os_errno == ENFILE) {
    return make_error(Code::resource_exhausted, os_errno, "raise fs.file-max of this machine", "%.*s", what_bytes,
                      what.data());
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return make_error(Code::resource_exhausted, os_errno, "raise RLIMIT_NOFILE (ulimit -n) or use fewer links",
                    "%.*s: %.*s needs %d descriptors and RLIMIT_NOFILE allows this process %llu", what_bytes,
                    what.data(), static_cast<int>(purpose.size()), purpose.data(), needed,
                    static_cast<unsigned long long>(limit.rlim_cur));
}

}  // namespace taut::memory
