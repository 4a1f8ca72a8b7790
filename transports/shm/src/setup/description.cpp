#include "description.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "taut/memory/directory.h"
#include "taut/memory/kernel.h"
#include "taut/memory/segment.h"

namespace taut::shm {
namespace {

constexpr std::uint64_t kMagic = 0x6373'6420'7475'6174;  // "taut dsc", read as little-endian
constexpr std::uint64_t kBytesMax = 64 << 20;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

struct Header {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t services;
  std::uint64_t table_bytes;
  std::uint64_t bytes;
};
static_assert(sizeof(Header) == 32);

void append(std::vector<std::byte>& to, const void* from, std::size_t bytes) {
  const auto* begin = static_cast<const std::byte*>(from);
  to.insert(to.end(), begin, begin + bytes);
}

bool write_all(int fd, std::span<const std::byte> bytes) noexcept {
  off_t at = 0;
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

bool read_all(int fd, std::uint64_t at, std::span<std::byte> into) noexcept {
  while (!into.empty()) {
    const ssize_t got = pread(fd, into.data(), into.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

}  // namespace

Result<DescriptionFile> make_description(const std::string& service, const rpc::MethodTable& methods,
                                         std::span<const rpc::ServiceDescription* const> services) {
  const std::vector<std::byte> table = methods.serialize();
  std::vector<std::byte> content(sizeof(Header));
  std::uint64_t schema_bytes = 0;
  for (const rpc::ServiceEntry& entry : methods.services()) {
    const auto described =
        std::find_if(services.begin(), services.end(), [&](const auto* d) { return d->name == entry.name; });
    const std::uint64_t bytes = described != services.end() ? (*described)->schema.size() : 0;
    append(content, &bytes, sizeof bytes);
    schema_bytes += bytes;
  }
  append(content, table.data(), table.size());
  for (const rpc::ServiceEntry& entry : methods.services()) {
    const auto described =
        std::find_if(services.begin(), services.end(), [&](const auto* d) { return d->name == entry.name; });
    if (described != services.end()) append(content, (*described)->schema.data(), (*described)->schema.size());
  }
  if (content.size() > kBytesMax) {
    return make_error(Code::invalid_argument, 0, {}, "the schemas of shm://%s have %llu bytes; %llu at most",
                      service.c_str(), static_cast<unsigned long long>(schema_bytes),
                      static_cast<unsigned long long>(kBytesMax));
  }
  const Header header{kMagic, memory::kLayoutVersion, static_cast<std::uint32_t>(methods.services().size()),
                      table.size(), content.size()};
  std::memcpy(content.data(), &header, sizeof header);

  const std::size_t file_bytes =
      (content.size() + memory::kSegmentStep - 1) / memory::kSegmentStep * memory::kSegmentStep;
  const std::string name = "taut:" + service + ":description";
  auto fd = memory::create_memory_file(name, file_bytes);
  if (!fd) return fd.error();
  if (!write_all(fd->get(), content)) return make_error(Code::internal, errno, {}, "writing '%s'", name.c_str());
  if (auto sealed = memory::add_seals(fd->get(), kSeals | F_SEAL_SEAL, name); !sealed) return sealed.error();
  return DescriptionFile{*std::move(fd), file_bytes};
}

Result<ReadDescription> read_description(const memory::Descriptor& fd, std::uint64_t bytes, Schemas schemas,
                                         std::string_view whose) {
  const std::string name(whose);
  const auto bad = [&](const char* why) {
    return make_error(Code::failed_precondition, 0, {}, "%s %s", name.c_str(), why);
  };
  struct stat status {};
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) || seals < 0 || (seals & kSeals) != kSeals) {
    return bad("is not a sealed memory file");
  }
  Header header{};
  if (static_cast<std::uint64_t>(status.st_size) != bytes || bytes > kBytesMax ||
      !read_all(fd.get(), 0, std::as_writable_bytes(std::span(&header, 1)))) {
    return bad("has another size than was agreed");
  }
  if (header.magic != kMagic) return bad("does not begin with its magic");
  if (header.layout != memory::kLayoutVersion) {
    return make_error(Code::failed_precondition, 0, "build both sides with the same version of taut",
                      "%s has layout version %u; this side knows %u", name.c_str(), header.layout,
                      memory::kLayoutVersion);
  }
  const std::uint64_t list_bytes = std::uint64_t{header.services} * sizeof(std::uint64_t);
  if (header.bytes > bytes || header.services > rpc::MethodTable::kServicesMax ||
      sizeof header + list_bytes > header.bytes || header.table_bytes > header.bytes - sizeof header - list_bytes) {
    return bad("says that it is larger than its file");
  }
  if (header.table_bytes > rpc::MethodTable::kBytesMax) return bad("has a larger method table than there can be");
  std::vector<std::uint64_t> sizes(header.services);
  std::vector<std::byte> table(header.table_bytes);
  std::uint64_t at = sizeof header;
  if (!read_all(fd.get(), at, std::as_writable_bytes(std::span(sizes)))) return bad("cannot be read");
  at += list_bytes;
  if (!read_all(fd.get(), at, table)) return bad("cannot be read");
  at += table.size();
  auto methods = rpc::MethodTable::parse(table);
  if (!methods) return methods.error();
  if (methods->services().size() != header.services) return bad("counts its services in two ways");

  ReadDescription read;
  read.methods = *std::move(methods);
  if (schemas == Schemas::skip) return read;
  for (const std::uint64_t size : sizes) {
    if (size > header.bytes - at) return bad("says that its schemas are larger than its file");
    std::vector<std::byte> schema(size);
    if (!read_all(fd.get(), at, schema)) return bad("cannot be read");
    at += size;
    read.schemas.push_back(std::move(schema));
  }
  return read;
}

}  // namespace taut::shm
