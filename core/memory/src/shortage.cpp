#include "shortage.h"

#include <sys/resource.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace taut::memory {
namespace {

std::uint64_t soft_limit(__rlimit_resource resource) noexcept {
  rlimit limit{};
  return getrlimit(resource, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

// A number from a file of the kernel that holds nothing else; 0 when there is none ("max", no such file).
std::uint64_t number_in(const char* path) noexcept {
  std::uint64_t number = 0;
  if (std::FILE* file = std::fopen(path, "re")) {
    if (std::fscanf(file, "%" SCNu64, &number) != 1) number = 0;
    std::fclose(file);
  }
  return number;
}

// The limit of this process's memory cgroup, of version 2 ("0::/path") or 1 ("4:memory:/path"); 0: none was found.
std::uint64_t cgroup_limit() noexcept {
  std::FILE* file = std::fopen("/proc/self/cgroup", "re");
  if (file == nullptr) return 0;
  std::uint64_t found = 0;
  char line[512];
  while (found == 0 && std::fgets(line, sizeof line, file) != nullptr) {
    line[std::strcspn(line, "\n")] = '\0';
    char path[640];
    if (std::strncmp(line, "0::", 3) == 0) {
      std::snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", line + 3);
    } else if (const char* memory = std::strstr(line, ":memory:")) {
      std::snprintf(path, sizeof path, "/sys/fs/cgroup/memory%s/memory.limit_in_bytes", memory + 8);
    } else {
      continue;
    }
    found = number_in(path);
  }
  std::fclose(file);
  constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;  // version 1 writes a huge number for "none"
  return found < kNoLimit ? found : 0;
}

std::uint64_t available_memory() noexcept {
  std::uint64_t kib = 0;
  if (std::FILE* file = std::fopen("/proc/meminfo", "re")) {
    char line[128];
    while (std::fgets(line, sizeof line, file) != nullptr && std::sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1) {
    }
    std::fclose(file);
  }
  return kib * 1024;
}

}  // namespace

bool over_file_size_limit(std::size_t bytes) noexcept {
  const std::uint64_t limit = soft_limit(RLIMIT_FSIZE);
  return limit != RLIM_INFINITY && bytes > limit;
}

Error memory_error(int os_errno, std::string_view operation, std::string_view name, std::size_t bytes) noexcept {
  char limit[160];
  if (os_errno == EFBIG) {
    std::snprintf(limit, sizeof limit, "RLIMIT_FSIZE is %" PRIu64 " bytes", soft_limit(RLIMIT_FSIZE));
  } else if (const std::uint64_t space = soft_limit(RLIMIT_AS); space != RLIM_INFINITY) {
    std::snprintf(limit, sizeof limit, "RLIMIT_AS is %" PRIu64 " bytes", space);
  } else if (const std::uint64_t group = cgroup_limit(); group != 0) {
    std::snprintf(limit, sizeof limit, "the limit of this memory cgroup is %" PRIu64 " bytes", group);
  } else {
    std::snprintf(limit, sizeof limit, "%" PRIu64 " bytes of memory are available, and vm.max_map_count is %" PRIu64,
                  available_memory(), number_in("/proc/sys/vm/max_map_count"));
  }
  return make_error(Code::resource_exhausted, os_errno, "raise the limit, or ask for smaller rings (?ring=)",
                    "%.*s %zu bytes for '%.*s' failed; %s", static_cast<int>(operation.size()), operation.data(), bytes,
                    static_cast<int>(name.size()), name.data(), limit);
}

}  // namespace taut::memory
