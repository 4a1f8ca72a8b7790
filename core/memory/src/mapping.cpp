#include "taut/memory/mapping.h"

#include <unistd.h>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <utility>

#include "shortage.h"
#include "taut/memory/kernel.h"

namespace taut::memory {
namespace {

namespace bip = boost::interprocess;

// The little that mapped_region asks of what it maps.
struct MemoryFile {
  int fd;
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const noexcept {
    return bip::ipcdetail::mapping_handle_from_file_handle(fd);
  }
};

// Before Linux 5.14 madvise() cannot populate: touch each page. The blocks exist, so no touch can fail.
void touch_pages(std::byte* data, std::size_t bytes, Access access) noexcept {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (std::size_t at = 0; at < bytes; at += page) {
    auto* word = reinterpret_cast<volatile unsigned char*>(data + at);
    const unsigned char value = *word;
    if (access == Access::read_write) *word = value;
  }
}

}  // namespace

struct Mapping::Region {
  bip::mapped_region mapped;
};

Mapping::Mapping() noexcept = default;
Mapping::Mapping(Mapping&& other) noexcept { *this = std::move(other); }

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  region_ = std::move(other.region_);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  in_child_ = other.in_child_;
  process_ = other.process_;
  return *this;
}

Mapping::~Mapping() { unmap(); }

void Mapping::unmap() noexcept {
  // In a child the range is not ours: leak the few bytes of bookkeeping rather than unmap what may be another's.
  if (region_ && in_child_ == InChild::unmapped && getpid() != process_) (void)region_.release();
  region_.reset();
}

Result<Mapping> Mapping::of(int fd, std::size_t bytes, Access access, InChild in_child, std::string_view name) {
  const bool writes = access == Access::read_write;
  Mapping mapping;
  try {
    mapping.region_ = std::make_unique<Region>(
        Region{bip::mapped_region(MemoryFile{fd}, writes ? bip::read_write : bip::read_only, 0, bytes)});
  } catch (const bip::interprocess_exception& refused) {
    return memory_error(refused.get_native_error(), "mapping", name, bytes);
  } catch (const std::bad_alloc&) {
    return memory_error(ENOMEM, "mapping", name, bytes);
  }
  mapping.data_ = static_cast<std::byte*>(mapping.region_->mapped.get_address());
  mapping.bytes_ = bytes;
  mapping.in_child_ = in_child;
  mapping.process_ = getpid();

  if (madvise(mapping.data_, bytes, writes ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) != 0) {
    if (errno != EINVAL) return memory_error(errno, "touching", name, bytes);
    touch_pages(mapping.data_, bytes, access);
  }
  // A child that writes a ring of its parent would break it, and a dump of the rings is large and tells too much.
  if (in_child == InChild::unmapped && madvise(mapping.data_, bytes, MADV_DONTFORK) != 0) {
    return make_error(Code::internal, errno, {}, "madvise(MADV_DONTFORK) for '%.*s'", static_cast<int>(name.size()),
                      name.data());
  }
  if (madvise(mapping.data_, bytes, MADV_DONTDUMP) != 0) {
    return make_error(Code::internal, errno, {}, "madvise(MADV_DONTDUMP) for '%.*s'", static_cast<int>(name.size()),
                      name.data());
  }
  return mapping;
}

}  // namespace taut::memory
