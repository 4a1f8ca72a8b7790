// Start here. Everything that a program needs to serve and call, whatever the URL:
//
//   shm://name         shared memory on this host
//   loopback://name    one thread; for tests (<taut/loopback/loopback.h> adds faults)
//
// The only place that knows all transports. A service and its client come from a schema: taut_add_schema() in CMake
// makes "name.taut.h"; include both.
#pragma once

#include <memory>
#include <string_view>

#include "taut/base/result.h"
#include "taut/base/status.h"
#include "taut/rpc/dispatcher.h"
#include "taut/rpc/ticker.h"
#include "taut/rpc/transport.h"

namespace taut {

using rpc::Check;
using rpc::LinkOptions;

// One object, one thread, the caller's. See taut/rpc/dispatcher.h for what it does.
class Dispatcher : public rpc::Dispatcher {
 public:
  explicit Dispatcher(DispatcherOptions options = {});
  // With one more, of yours: Dispatcher loop({}, pipes::make_transport()). docs/transports.md says how one is made.
  Dispatcher(DispatcherOptions options, std::unique_ptr<rpc::Transport> more);
};

// A link with a dispatcher of its own, for programs that only call. Waits up to the URL's `connect_timeout` (1 s) for a
// server that is starting. Belongs to the thread that uses it first.
Result<Link> connect(std::string_view url, LinkOptions options = {});
// For a link that will call these services, as connect<greeter::Greeter>(url): refused when the schema of one does not
// fit the server's, in a sentence that names the method. Without them the refusal meets the first call.
template <class... Services>
requires(sizeof...(Services) != 0) Result<Link> connect(std::string_view url, LinkOptions options = {}) {
  return rpc::that_fits<Services...>(connect(url, options));
}
// With one more transport, of yours.
Result<Link> connect(std::string_view url, LinkOptions options, std::unique_ptr<rpc::Transport> more);

// Says on stderr what failed and what to do, and returns an exit code for main(): 1, or 3 not found, 4 timeout,
// 5 peer gone, 7 not permitted.
int report(const Error& error);
// Likewise for a call: 64 + the status code.
int report(const Status& status);

}  // namespace taut
