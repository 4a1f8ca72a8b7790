#include "taut/memory/fork_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace taut::memory {
namespace {
std::size_t page_bytes() noexcept { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
}  // namespace

Result<ForkGuard> ForkGuard::create() {
  void* page = mmap(nullptr, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return make_error(Code::resource_exhausted, errno, {}, "mapping the page that notices fork()");
  if (madvise(page, page_bytes(), MADV_WIPEONFORK) != 0) {
    const int refused = errno;
    munmap(page, page_bytes());
    return make_error(Code::failed_precondition, refused, "Linux 4.14 or newer is needed", "madvise(MADV_WIPEONFORK)");
  }
  ForkGuard guard(static_cast<std::uint64_t*>(page));
  guard.take_over();
  return guard;
}

ForkGuard::~ForkGuard() {
  if (word_ != nullptr) munmap(word_, page_bytes());
}

}  // namespace taut::memory
