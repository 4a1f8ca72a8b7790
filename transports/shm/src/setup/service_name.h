// Holding the name of a service in its directory: a listening socket that others find under NAME.sock.
//
// A server takes the name under a file lock: it asks who holds it now, binds another name and renames that over it. So
// the name of a dead server is taken over without a moment in which there is none, of two that start at once one
// wins, and the other learns the pid of the winner. The lock is held for that only: a lock would outlive its holder
// in a child of fork(), and prove nothing about it.
//
// Threads  a value.
#pragma once

#include <string>
#include <string_view>

#include "taut/base/result.h"
#include "taut/memory/descriptor.h"
#include "taut/shm/service_directory.h"

namespace taut::shm {

class ServiceName {
 public:
  // Refused with the pid of the holder when a server that lives holds the name. The directory decides who can reach the
  // socket; with `for_others`, whoever can may also connect, and hears what the handshake thinks of him.
  struct Options {
    bool scm_pidfd;
    bool for_others;
  };
  static Result<ServiceName> take(ServiceDirectory directory, const std::string& name, Options options);
  ServiceName(ServiceName&&) noexcept = default;
  ServiceName& operator=(ServiceName&&) = delete;
  ~ServiceName();

  [[nodiscard]] int socket() const noexcept { return socket_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  // Closes the socket, and removes the name from the directory if it is still ours.
  void give_back() noexcept;
  // Closes the socket only: in a child of fork(), which has no say in it.
  void forget() noexcept { socket_.reset(); }

 private:
  // Tells our socket's file from a later one that has its number.
  struct FileId {
    unsigned long long device = 0, inode = 0;
    long long changed_s = 0, changed_ns = 0;
    bool operator==(const FileId&) const = default;
  };
  static FileId id_of(int directory, const std::string& file) noexcept;
  ServiceName(ServiceDirectory directory, std::string name, memory::Descriptor socket, FileId file) noexcept;

  ServiceDirectory directory_;
  std::string name_;
  memory::Descriptor socket_;
  FileId file_;
};

// Where a service's socket is. Refused: a path that does not fit a socket's address.
Result<std::string> socket_path(const ServiceDirectory& directory, std::string_view name);

// A connection that is being made, or the errno and what it means for `name`.
Result<memory::Descriptor> connect_to_service(const ServiceDirectory& directory, const std::string& name,
                                              bool scm_pidfd);

}  // namespace taut::shm
