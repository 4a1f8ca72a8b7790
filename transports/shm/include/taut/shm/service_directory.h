// The directory in which the services of this host have their sockets: $TAUT_DIR, else $XDG_RUNTIME_DIR/taut, else
// taut-UID under the temporary directory. Who may write to it may stand in for a service, so it must be ours alone.
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

namespace taut::shm {

class ServiceDirectory {
 public:
  // `path` empty: by the rule above. With `create`, a default directory that is missing is made; one that a user named
  // must exist.
  static Result<ServiceDirectory> open(const std::string& path, bool create);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // Names of services that have a socket here, sorted; whether a server lives behind each is another question.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  ServiceDirectory(std::string path, memory::Descriptor fd) noexcept;
  std::string path_;
  memory::Descriptor fd_;
};

// A service's name: letters, digits, '_', '-', '.', at most 64, not beginning with '.'.
Result<void> check_service_name(std::string_view name);

}  // namespace taut::shm
