#include "taut/shm/service_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "users.h"

namespace taut::shm {
namespace {

constexpr std::size_t kNameMax = 64;

struct Place {
  std::string path;
  std::string said_by;  // for sentences: who named it
  bool given = false;   // by a user: never made here
};

const char* environment(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

// A runtime directory that is another user's (as under sudo) is not ours to use.
bool is_own_directory(const char* path) noexcept {
  struct stat status {};
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

Place place_of(const std::string& path) {
  if (!path.empty()) return {path, "the directory of services", true};
  if (const char* given = environment("TAUT_DIR")) return {given, "TAUT_DIR", true};
  if (const char* runtime = environment("XDG_RUNTIME_DIR"); runtime != nullptr && is_own_directory(runtime)) {
    return {std::string(runtime) + "/taut", "the default for TAUT_DIR", false};
  }
  const char* temporary = environment("TMPDIR");
  return {std::string(temporary != nullptr ? temporary : "/tmp") + "/taut-" + std::to_string(geteuid()),
          "the default for TAUT_DIR", false};
}

Error cannot_open(const Place& place, int os_errno) {
  const char* who = place.said_by.c_str();
  const char* path = place.path.c_str();
  switch (os_errno) {
    case ENOENT:
      return place.given ? make_error(Code::not_found, 0, "make it with mode 0700, or name another in TAUT_DIR",
                                      "%s, %s, does not exist", who, path)
                         : make_error(Code::not_found, 0, "start a server, or set TAUT_DIR as its environment does",
                                      "no service was started here yet: %s, %s, does not exist", path, who);
    case ELOOP:
    case ENOTDIR:
      return make_error(Code::failed_precondition, os_errno, "name the directory itself in TAUT_DIR",
                        "%s, %s, is a symbolic link or no directory", who, path);
    case ENAMETOOLONG:
      return make_error(Code::invalid_argument, os_errno, "name a shorter one in TAUT_DIR",
                        "%s has a path of %zu bytes", who, place.path.size());
    case EACCES:
      return make_error(Code::permission_denied, os_errno,
                        "name a directory that this user may search, with all above it, in TAUT_DIR", "%s, %s", who,
                        path);
    default:
      if (memory::is_descriptor_shortage(os_errno)) return memory::descriptor_error(os_errno, place.path, "a link", 7);
      return make_error(Code::internal, os_errno, {}, "%s, %s", who, path);
  }
}

Result<void> check_owner_and_mode(const Place& place, const struct stat& status,
                                  const std::vector<std::uint32_t>& trusted) {
  const char* who = place.said_by.c_str();
  const char* path = place.path.c_str();
  if (status.st_uid != geteuid() && std::find(trusted.begin(), trusted.end(), status.st_uid) == trusted.end()) {
    const std::string hint =
        "name a directory of your own in TAUT_DIR, or trust the servers of that user: ?allow=uid:" +
        std::to_string(status.st_uid);
    return make_error(Code::permission_denied, 0, hint, "%s, %s, belongs to uid %u, and this process runs as uid %u",
                      who, path, status.st_uid, geteuid());
  }
  const auto nameless = nameless_uid();
  if (!nameless) return nameless.error();
  if (status.st_uid == *nameless) {
    return make_error(Code::permission_denied, 0, "map its owner into this user namespace",
                      "%s, %s, belongs to uid %u, which stands for every user that this user namespace does not know",
                      who, path, status.st_uid);
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return make_error(Code::permission_denied, 0, "take the right to write from others: chmod 0700",
                      "%s, %s, has mode %04o: others could stand in for a service", who, path, status.st_mode & 07777);
  }
  return {};
}

}  // namespace

ServiceDirectory::ServiceDirectory(std::string path, memory::Descriptor fd, std::uint32_t group,
                                   std::uint32_t mode) noexcept
    : path_(std::move(path)), fd_(std::move(fd)), group_(group), mode_(mode) {}

Result<ServiceDirectory> ServiceDirectory::open(const std::string& path, bool create,
                                                const std::vector<std::uint32_t>& trusted) {
  Place place = place_of(path);
  // A server that goes into the background changes its directory.
  std::error_code ignored;
  if (auto absolute = std::filesystem::absolute(place.path, ignored); !absolute.empty()) place.path = absolute.string();
  while (place.path.size() > 1 && place.path.back() == '/') place.path.pop_back();  // O_NOFOLLOW looks behind a slash
  if (create && !place.given && mkdir(place.path.c_str(), 0700) != 0 && errno != EEXIST) {
    return make_error(Code::permission_denied, errno, "name a directory in TAUT_DIR", "making %s", place.path.c_str());
  }
  // O_PATH: another user's directory may let us search it and not list it.
  memory::Descriptor fd(::open(place.path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0) return cannot_open(place, errno);
  if (auto checked = check_owner_and_mode(place, status, trusted); !checked) return checked.error();
  return ServiceDirectory(std::move(place.path), std::move(fd), status.st_gid, status.st_mode);
}

Result<void> ServiceDirectory::check_reachable(const rpc::AllowedUsers& allow) const {
  const unsigned needed = allow.group ? S_IXGRP : S_IXGRP | S_IXOTH;
  if (!allow.any() || (mode_ & needed) != 0) return {};
  return make_error(Code::failed_precondition, 0,
                    allow.group ? "chgrp it to the group and chmod 0750" : "chmod 0711, or 0750 with their group",
                    "other users are allowed, and the mode %04o of %s keeps them out", mode_ & 07777, path_.c_str());
}

std::vector<std::string> ServiceDirectory::names() const {
  constexpr std::string_view kEnding = ".sock";
  std::vector<std::string> found;
  const int copy = openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* directory = copy >= 0 ? fdopendir(copy) : nullptr;
  if (directory == nullptr) {
    if (copy >= 0) ::close(copy);
    return found;
  }
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name.front() != '.' && name.size() > kEnding.size() && name.ends_with(kEnding)) {
      found.emplace_back(name.substr(0, name.size() - kEnding.size()));
    }
  }
  closedir(directory);
  std::sort(found.begin(), found.end());
  return found;
}

Result<void> check_service_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  if (!name.empty() && name.size() <= kNameMax && name.front() != '.' &&
      std::all_of(name.begin(), name.end(), allowed)) {
    return {};
  }
  return make_error(Code::invalid_argument, 0, "use letters, digits, '_', '-' and '.', at most 64, not a '.' first",
                    "'%.*s' cannot name a service", static_cast<int>(std::min<std::size_t>(name.size(), 128)),
                    name.data());
}

}  // namespace taut::shm
