// Who may be at the other end of a link: processes of this process's own user, and those whom `allow` names. The kernel
// says who a peer is; nothing that the peer sends does.
//
// A user namespace shows all users that it does not know as one uid (65534, mostly). That uid names nobody, so nobody
// is let in by it: neither by allow=uid:65534, nor where the process itself has no uid that its namespace knows.
//
// Threads  values.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "message_socket.h"
#include "taut/rpc/transport.h"

namespace taut::shm {

// The uid that stands for all users that this user namespace does not know; none: it knows them all.
std::optional<std::uint32_t> nameless_uid();

class Users {
 public:
  explicit Users(const rpc::AllowedUsers& allowed) : uids_(allowed.uids) {}
  // Also whoever belongs to the group `gid`. Refused when this user namespace does not know it.
  static Result<Users> of_group(const rpc::AllowedUsers& allowed, std::uint32_t gid);

  // permission_denied, with both uids, unless `sender` may be at the other end of `socket`.
  [[nodiscard]] Result<void> check(const Sender& sender, int socket, std::string_view whose) const;

 private:
  std::vector<std::uint32_t> uids_;
  std::optional<std::uint32_t> gid_;
  std::optional<std::uint32_t> nameless_ = nameless_uid();
};

}  // namespace taut::shm
