#include "taut/memory/segment.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "shortage.h"
#include "taut/memory/kernel.h"

namespace taut::memory {
namespace {

constexpr int kOwnSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
// What a reader needs. A peer that seals more hurts only itself, so nothing else is asked.
constexpr int kNeededSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;

// Linux 6.3 knows MFD_NOEXEC_SEAL, which also ends a warning of kernels that want to hear of one or the other.
int memory_file(const char* name) noexcept {
  const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  return fd >= 0 || errno != EINVAL ? fd : memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

}  // namespace

std::string describe_seals(int seals) {
  static constexpr std::pair<int, const char*> kNames[] = {
      {F_SEAL_SHRINK, "SHRINK"}, {F_SEAL_GROW, "GROW"}, {F_SEAL_WRITE, "WRITE"}, {F_SEAL_FUTURE_WRITE, "FUTURE_WRITE"},
      {F_SEAL_EXEC, "EXEC"},     {F_SEAL_SEAL, "SEAL"}};
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if ((seals & bit) == 0) continue;
    if (!text.empty()) text += '|';
    text += name;
  }
  return text.empty() ? "none" : text;
}

Result<Descriptor> create_memory_file(const std::string& name, std::size_t bytes) {
  if (bytes == 0 || bytes % kSegmentStep != 0) {
    return make_error(Code::invalid_argument, 0, {}, "'%s' cannot have %zu bytes: sizes are multiples of %zu",
                      name.c_str(), bytes, kSegmentStep);
  }
  if (over_file_size_limit(bytes)) return memory_error(EFBIG, "reserving", name, bytes);
  Descriptor fd(memory_file(name.c_str()));
  if (!fd) return descriptor_error(errno, "memfd_create '" + name + "'", "a segment", 1);
  // 0777 by default: another user who gets hold of the descriptor could open it again.
  if (fchmod(fd.get(), 0600) != 0) {
    return make_error(Code::internal, errno, {}, "fchmod 0600 of '%s'", name.c_str());
  }
  int refused;
  do {
    refused = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
  } while (refused == EINTR);
  if (refused != 0) return memory_error(refused, "reserving", name, bytes);
  return fd;
}

Result<void> add_seals(int fd, int seals, std::string_view name) {
  if (fcntl(fd, F_ADD_SEALS, seals) == 0) return {};
  return make_error(Code::failed_precondition, errno, "Linux 5.1 or newer is needed", "sealing '%.*s' with %s",
                    static_cast<int>(name.size()), name.data(), describe_seals(seals).c_str());
}

Segment::Segment(std::string name, Descriptor fd, Mapping mapping) noexcept
    : name_(std::move(name)), fd_(std::move(fd)), mapping_(std::move(mapping)) {}

Result<Segment> Segment::create(const std::string& name, std::size_t bytes, InChild in_child) {
  auto fd = create_memory_file(name, bytes);
  if (!fd) return fd.error();
  auto mapping = Mapping::of(fd->get(), bytes, Access::read_write, in_child, name);
  if (!mapping) return mapping.error();
  // Behind the mapping: FUTURE_WRITE spares the writable mappings that exist.
  if (auto sealed = add_seals(fd->get(), kOwnSeals, name); !sealed) return sealed.error();  // keeps I1
  return Segment(name, *std::move(fd), *std::move(mapping));
}

PeerSegment::PeerSegment(Descriptor fd, Mapping mapping) noexcept : fd_(std::move(fd)), mapping_(std::move(mapping)) {}

Result<PeerSegment> open_peer(Descriptor fd, std::size_t bytes, std::string_view whose, InChild in_child) {
  const std::string name(whose);
  struct stat status {};
  struct statfs file_system {};
  if (fstat(fd.get(), &status) != 0 || fstatfs(fd.get(), &file_system) != 0) {
    return make_error(Code::internal, errno, {}, "%s cannot be looked at", name.c_str());
  }
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (!S_ISREG(status.st_mode) || file_system.f_type != TMPFS_MAGIC || seals < 0) {
    return make_error(Code::failed_precondition, 0, {}, "%s is not a memory file made by memfd_create", name.c_str());
  }
  if ((seals & kNeededSeals) != kNeededSeals) {
    return make_error(Code::failed_precondition, 0, {}, "%s has the seals %s; needed are %s", name.c_str(),
                      describe_seals(seals).c_str(), describe_seals(kNeededSeals).c_str());
  }
  // From here on neither size nor blocks can change.
  if (bytes == 0 || status.st_size < 0 || static_cast<std::size_t>(status.st_size) != bytes) {
    return make_error(Code::failed_precondition, 0, {}, "%s has %lld bytes; %zu were agreed", name.c_str(),
                      static_cast<long long>(status.st_size), bytes);
  }
  // Blocks behind the end can make up the count, so the first hole is looked for as well.
  const auto blocks = static_cast<unsigned long long>(status.st_blocks) * 512;
  const off_t hole = lseek(fd.get(), 0, SEEK_HOLE);
  if (blocks < bytes || hole != status.st_size) {
    return make_error(Code::failed_precondition, 0, {},
                      "%s is sparse: %llu of its %zu bytes exist, and the first hole is at %lld", name.c_str(), blocks,
                      bytes, static_cast<long long>(hole));
  }
  auto mapping = Mapping::of(fd.get(), bytes, Access::read_only, in_child, whose);
  if (!mapping) return mapping.error();
  return PeerSegment(std::move(fd), *std::move(mapping));  // I2
}

}  // namespace taut::memory
