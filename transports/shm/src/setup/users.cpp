#include "users.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>

#include "taut/memory/descriptor.h"
#include "taut/shm/transport.h"

namespace taut::shm {
namespace {

constexpr std::uint32_t kOverflowId = 65534;  // what kernels use unless they are told otherwise

// The id that stands for others, unless this namespace knows every id there is. `map` is /proc/self/uid_map or gid_map.
Result<std::optional<std::uint32_t>> nameless(const char* map, const char* overflow) {
  std::ifstream lines(map);
  if (!lines && memory::is_descriptor_shortage(errno)) {
    return memory::descriptor_error(errno, "opening " + std::string(map), "a link", kDescriptorsWhileConnecting);
  }
  std::uint64_t inside = 0, outside = 0, count = 0, known = 0;
  while (lines >> inside >> outside >> count) known += count;
  if (known >= std::uint64_t{0xffff'ffff}) return std::optional<std::uint32_t>{};
  std::uint32_t id = 0;
  std::ifstream file(overflow);
  return std::optional<std::uint32_t>{file >> id ? id : kOverflowId};
}

// The groups of whoever connected `socket`, besides the one that it sends with its packets.
std::vector<gid_t> groups_of_peer(int socket) {
  std::vector<gid_t> groups(64);
  auto bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) != 0) {
    groups.resize(bytes / sizeof(gid_t));  // ERANGE: now it is known how many there are
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) != 0) return {};
  }
  groups.resize(bytes / sizeof(gid_t));
  return groups;
}

bool is_member(const Sender& sender, int socket, gid_t gid) {
  if (sender.gid == gid) return true;
  // The kernel keeps them for the process that connected, which may have handed the socket on to another user's.
  ucred connected{};
  socklen_t bytes = sizeof connected;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &connected, &bytes) != 0 || connected.uid != sender.uid) return false;
  const std::vector<gid_t> groups = groups_of_peer(socket);
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

}  // namespace

Result<std::optional<std::uint32_t>> nameless_uid() {
  return nameless("/proc/self/uid_map", "/proc/sys/kernel/overflowuid");
}

Result<Users> Users::of(const rpc::AllowedUsers& allowed, std::uint32_t gid) {
  const auto nameless_user = nameless_uid();
  if (!nameless_user) return nameless_user.error();
  if (!allowed.group) return Users(allowed.uids, std::nullopt, *nameless_user);
  const auto nameless_group = nameless("/proc/self/gid_map", "/proc/sys/kernel/overflowgid");
  if (!nameless_group) return nameless_group.error();
  if (gid == *nameless_group) {
    return make_error(Code::permission_denied, 0, "map its group into this user namespace, or write allow=uid:NNN",
                      "the directory of services belongs to gid %u, which stands for every group that this user "
                      "namespace does not know",
                      gid);
  }
  return Users(allowed.uids, gid, *nameless_user);
}

Result<void> Users::check(const Sender& sender, int socket, std::string_view whose) const {
  const int whose_bytes = static_cast<int>(whose.size());
  const std::uint32_t own = geteuid();
  const bool named = sender.uid == own || std::find(uids_.begin(), uids_.end(), sender.uid) != uids_.end();
  if (named && sender.uid == nameless_) {
    return make_error(Code::permission_denied, 0, "map both users into this user namespace",
                      "%.*s runs as uid %u and this process as uid %u; the former stands for every user that this user "
                      "namespace does not know",
                      whose_bytes, whose.data(), sender.uid, own);
  }
  if (named || (gid_ && is_member(sender, socket, *gid_))) return {};
  const std::string hint =
      "run both as the same user, or let the one in who runs the other side: ?allow=uid:" + std::to_string(sender.uid);
  return make_error(Code::permission_denied, 0, hint,
                    "%.*s runs as uid %u and this process as uid %u, which does not "
                    "allow the former",
                    whose_bytes, whose.data(), sender.uid, own);
}

}  // namespace taut::shm
