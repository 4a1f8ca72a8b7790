#include "taut/memory/control_page.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>

#include "taut/base/cache_line.h"
#include "taut/memory/directory.h"
#include "taut/memory/kernel.h"

namespace taut::memory {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

DirectoryPlan control_plan(std::size_t& offset) {
  DirectoryPlan plan;
  offset = plan.add(RegionKind::control, 0, sizeof(ControlWords), kSharedWordStride);
  return plan;
}

// Size and seals, so that the page cannot go away under its readers. Holes do no harm in one page: they read as 0.
Result<std::size_t> check_control_page(int fd, const Mapping& mapping, std::string_view whose) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return make_error(Code::failed_precondition, 0, {}, "%.*s has the seals %s; needed are %s",
                      static_cast<int>(whose.size()), whose.data(), describe_seals(std::max(seals, 0)).c_str(),
                      describe_seals(kSeals).c_str());
  }
  auto directory = Directory::read({mapping.data(), mapping.bytes()}, whose);
  if (!directory) return directory.error();
  return directory->offset_of(RegionKind::control, 0, sizeof(ControlWords), kSharedWordStride);
}

Result<Mapping> map_control_page(int fd, Access access, std::string_view whose) {
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != static_cast<off_t>(kSegmentStep)) {
    return make_error(Code::failed_precondition, 0, {}, "%.*s is not a file of %zu bytes",
                      static_cast<int>(whose.size()), whose.data(), kSegmentStep);
  }
  return Mapping::of(fd, kSegmentStep, access, InChild::kept, whose);
}

}  // namespace

ControlPage::ControlPage(Descriptor fd, Mapping mapping, ControlWords* words) noexcept
    : fd_(std::move(fd)), mapping_(std::move(mapping)), words_(words) {}

Result<ControlPage> ControlPage::create(const std::string& name) {
  std::size_t offset = 0;
  const DirectoryPlan plan = control_plan(offset);
  auto fd = create_memory_file(name, plan.segment_bytes());  // of mode 0600
  if (!fd) return fd.error();
  auto mapping = Mapping::of(fd->get(), plan.segment_bytes(), Access::read_write, InChild::kept, name);
  if (!mapping) return mapping.error();
  plan.write(mapping->data(), 0);
  if (auto sealed = add_seals(fd->get(), kSeals, name); !sealed) return sealed.error();
  auto* words = new (mapping->data() + offset) ControlWords{};
  return ControlPage(*std::move(fd), *std::move(mapping), words);
}

Result<ControlPage> ControlPage::adopt(Descriptor fd) {
  constexpr std::string_view kWhose = "the control page";
  auto mapping = map_control_page(fd.get(), Access::read_write, kWhose);
  if (!mapping) return mapping.error();
  auto offset = check_control_page(fd.get(), *mapping, kWhose);
  if (!offset) return offset.error();
  auto* words = reinterpret_cast<ControlWords*>(mapping->data() + *offset);
  return ControlPage(std::move(fd), *std::move(mapping), words);
}

void ControlPage::halt(std::string_view why) const noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  words_->set_by_pid = static_cast<std::uint64_t>(getpid());
  words_->set_by_uid = geteuid();
  words_->set_at_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
  std::memset(words_->why, 0, sizeof words_->why);
  std::memcpy(words_->why, why.data(), std::min(why.size(), sizeof words_->why - 1));
  // sync(halt): whoever sees the halt word sees who stored it and why. Pairs with the acquire of those who print it.
  words_->halt.store(1, std::memory_order_release);
}

void ControlPage::resume() const noexcept { words_->halt.store(0, std::memory_order_release); }

Result<Descriptor> ControlPage::open_read_only() const {
  const std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd) return fd;
  if (is_descriptor_shortage(errno)) return descriptor_error(errno, "opening the control page", "a link", 4);
  return make_error(Code::failed_precondition, errno, "mount /proc", "opening the control page through %s",
                    path.c_str());
}

Result<PeerControlPage> PeerControlPage::open(Descriptor fd, std::string_view whose) {
  const int flags = fcntl(fd.get(), F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY) {
    return make_error(Code::failed_precondition, 0, {}, "%.*s was handed over with the right to write it",
                      static_cast<int>(whose.size()), whose.data());
  }
  auto mapping = map_control_page(fd.get(), Access::read_only, whose);
  if (!mapping) return mapping.error();
  auto offset = check_control_page(fd.get(), *mapping, whose);
  if (!offset) return offset.error();
  const auto* words = reinterpret_cast<const ControlWords*>(mapping->data() + *offset);
  return PeerControlPage(*std::move(mapping), words);
}

}  // namespace taut::memory
