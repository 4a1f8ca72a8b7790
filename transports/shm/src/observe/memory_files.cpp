#include "memory_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <optional>

#include "taut/memory/kernel.h"

namespace taut::shm {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { closedir(directory); }
};
using OpenDirectory = std::unique_ptr<DIR, CloseDirectory>;

struct Name {
  FileKind kind;
  std::string_view service;
};

bool is_number(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Behind "taut:". Names of services hold no colon.
std::optional<Name> read_name(std::string_view text) noexcept {
  std::array<std::string_view, 4> parts;
  std::size_t count = 0;
  for (; count != parts.size() && !text.empty(); ++count) {
    const std::size_t colon = text.find(':');
    parts[count] = text.substr(0, colon);
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
  }
  if (!text.empty()) return std::nullopt;
  if (count == 3 && is_number(parts[1]) && parts[2] == "server") return Name{FileKind::server_segment, parts[0]};
  if (count == 3 && is_number(parts[1]) && parts[2] == "client") return Name{FileKind::client_segment, parts[0]};
  if (count == 4 && is_number(parts[1]) && parts[2] == "client" && parts[3] == "description")
    return Name{FileKind::client_description, parts[0]};
  if (count == 2 && parts[1] == "control") return Name{FileKind::control, parts[0]};
  if (count == 2 && parts[1] == "description") return Name{FileKind::description, parts[0]};
  if (count == 2 && parts[0] == "board" && is_number(parts[1])) return Name{FileKind::board, {}};
  return std::nullopt;
}

OpenDirectory descriptors_of(int pid) noexcept {
  return OpenDirectory(opendir(("/proc/" + std::to_string(pid) + "/fd").c_str()));
}

struct Link {  // what a descriptor's link in /proc says
  char target[PATH_MAX];
  std::string_view name;  // taut:orders:1:server
  std::optional<Name> read;
};

bool read_link(int directory, const char* entry, Link& link) noexcept {
  constexpr std::string_view kPrefix = "/memfd:", kOurs = "taut:", kSuffix = " (deleted)";
  const ssize_t bytes = readlinkat(directory, entry, link.target, sizeof link.target);
  std::string_view path(link.target, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  if (!path.starts_with(kPrefix) || !path.ends_with(kSuffix)) return false;
  path.remove_prefix(kPrefix.size());
  path.remove_suffix(kSuffix.size());
  link.name = path;
  link.read = path.starts_with(kOurs) ? read_name(path.substr(kOurs.size())) : std::nullopt;
  return link.read.has_value();
}

// Calls `found(number, name, what it says)` for each descriptor that is named like ours.
template <class Found>
void for_each_file(DIR* directory, Found&& found) {
  Link link;
  while (const dirent* entry = readdir(directory)) {
    if (read_link(dirfd(directory), entry->d_name, link)) found(entry->d_name, link.name, *link.read);
  }
}

// None: the descriptor is another's or gone by now.
std::optional<MemoryFile> open_file(DIR* directory, const char* number, std::string_view name, const Name& read) {
  // Not blocking: by now the number may mean anything.
  memory::Descriptor fd(openat(dirfd(directory), number, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0) return std::nullopt;
  return MemoryFile{read.kind,     std::string(read.service), std::string(name),
                    std::move(fd), std::atoi(number),         status.st_ino,
                    status.st_size};
}

}  // namespace

Result<std::vector<MemoryFile>> memory_files_of(int pid, std::string_view service) {
  const OpenDirectory directory = descriptors_of(pid);
  if (!directory) {
    if (errno == EACCES || errno == EPERM) {
      return make_error(Code::permission_denied, 0, "run the tool as that user, or as root",
                        "the files of process %d are not yours to see", pid);
    }
    if (errno == ENOENT || errno == ESRCH) return make_error(Code::not_found, 0, {}, "there is no process %d", pid);
    return make_error(Code::internal, errno, {}, "looking at the files of process %d", pid);
  }
  std::vector<MemoryFile> files;
  for_each_file(directory.get(), [&](const char* number, std::string_view name, const Name& read) {
    if (!service.empty() && !read.service.empty() && read.service != service) return;
    auto file = open_file(directory.get(), number, name, read);
    // Two descriptors of one file are one file.
    const auto same = [&](const MemoryFile& other) { return other.inode == file->inode; };
    if (file && std::none_of(files.begin(), files.end(), same)) files.push_back(*std::move(file));
  });
  return files;
}

std::vector<MemoryFile> own_memory_files(std::string_view service, std::uint32_t after, std::size_t most) {
  std::vector<MemoryFile> files;
  const OpenDirectory directory = descriptors_of(getpid());
  if (!directory) return files;
  // Numbers first: only those that are asked for are opened.
  std::vector<int> numbers;
  for_each_file(directory.get(), [&](const char* number, std::string_view, const Name& read) {
    const int value = std::atoi(number);
    const bool above = after == 0 || static_cast<std::uint32_t>(value) > after;
    if (above && (read.service.empty() || read.service == service)) numbers.push_back(value);
  });
  std::sort(numbers.begin(), numbers.end());
  if (numbers.size() > most) numbers.resize(most);
  Link link;
  for (const int value : numbers) {
    const std::string number = std::to_string(value);
    if (!read_link(dirfd(directory.get()), number.c_str(), link)) continue;
    if (auto file = open_file(directory.get(), number.c_str(), link.name, *link.read))
      files.push_back(*std::move(file));
  }
  return files;
}

std::optional<MemoryFile> memory_file(memory::Descriptor fd) {
  const OpenDirectory directory = descriptors_of(getpid());
  Link link;
  struct stat status {};
  const std::string number = std::to_string(fd.get());
  if (!directory || !read_link(dirfd(directory.get()), number.c_str(), link) || fstat(fd.get(), &status) != 0) {
    return std::nullopt;
  }
  return MemoryFile{
      link.read->kind, std::string(link.read->service), std::string(link.name), std::move(fd), -1, status.st_ino,
      status.st_size};
}

std::vector<FileKind> kinds_held(int pid, std::string_view service) {
  std::vector<FileKind> kinds;
  const OpenDirectory directory = descriptors_of(pid);
  if (!directory) return kinds;
  for_each_file(directory.get(), [&](const char*, std::string_view, const Name& read) {
    if (read.service == service && !read.service.empty()) kinds.push_back(read.kind);
  });
  return kinds;
}

std::optional<bool> holds(int pid, ino_t inode) {
  const OpenDirectory directory = descriptors_of(pid);
  if (!directory && (errno == EACCES || errno == EPERM)) return std::nullopt;
  if (!directory) return false;
  bool found = false;
  for_each_file(directory.get(), [&](const char* number, std::string_view, const Name&) {
    struct stat status {};
    found = found || (fstatat(dirfd(directory.get()), number, &status, 0) == 0 && status.st_ino == inode);
  });
  return found;
}

}  // namespace taut::shm
