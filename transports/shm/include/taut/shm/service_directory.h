// The directory in which the services of this host have their sockets: $TAUT_DIR, else $XDG_RUNTIME_DIR/taut, else
// taut-UID under the temporary directory. Who may write to it may take a service's name away, so only its owner may;
// and the owner is this user, or one whom this side trusts (allow=uid:N).
//
//   NAME.sock   the service's socket
//   NAME.lock   held while a server takes or leaves the name
//   .NAME.new   a socket that is about to be renamed to NAME.sock
//
// Threads  a value.
// Memory   one descriptor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "taut/base/result.h"
#include "taut/memory/descriptor.h"
#include "taut/rpc/transport.h"

namespace taut::shm {

class ServiceDirectory {
 public:
  // `path` empty: by the rule above. With `create`, a default directory that is missing is made; one that a user named
  // must exist. `trusted` are users whose directory will do as well as one's own.
  static Result<ServiceDirectory> open(const std::string& path, bool create,
                                       const std::vector<std::uint32_t>& trusted = {});

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // For names in it; cannot be read from.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // Refused: a directory whose mode keeps out whom `allow` lets in.
  [[nodiscard]] Result<void> check_reachable(const rpc::AllowedUsers& allow) const;
  [[nodiscard]] std::uint32_t group() const noexcept { return group_; }
  // Names of services that have a socket here, sorted; whether a server lives behind each is another question.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  ServiceDirectory(std::string path, memory::Descriptor fd, std::uint32_t group, std::uint32_t mode) noexcept;
  std::string path_;
  memory::Descriptor fd_;
  std::uint32_t group_;
  std::uint32_t mode_;
};

// A service's name: letters, digits, '_', '-', '.', at most 64, not beginning with '.'.
Result<void> check_service_name(std::string_view name);

}  // namespace taut::shm
