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
#include <utility>
#include <vector>

#include "message_socket.h"
#include "taut/rpc/transport.h"

namespace taut::shm {

// The uid that stands for all users that this user namespace does not know; none: it knows them all. Refused when there
// is no descriptor to find out with.
Result<std::optional<std::uint32_t>> nameless_uid();

class Users {
 public:
  // `gid` is what allow=group stands for. Refused when this user namespace does not know it.
  static Result<Users> of(const rpc::AllowedUsers& allowed, std::uint32_t gid = 0);

  // permission_denied, with both uids, unless `sender` may be at the other end of `socket`.
  [[nodiscard]] Result<void> check(const Sender& sender, int socket, std::string_view whose) const;

 private:
  Users(std::vector<std::uint32_t> uids, std::optional<std::uint32_t> gid, std::optional<std::uint32_t> nameless)
      : uids_(std::move(uids)), gid_(gid), nameless_(nameless) {}
  std::vector<std::uint32_t> uids_;
  std::optional<std::uint32_t> gid_;
  std::optional<std::uint32_t> nameless_;
};

}  // namespace taut::shm
