// The transports of this tree, as the contract sees them.
#include <stdexcept>
#include <string>

#include "support/service_folder.h"
#include "taut/loopback/loopback.h"
#include "taut/shm/transport.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

// Both ends on one thread: the client's polls turn the server, and a bystander's do when the client must not.
class LoopbackWorld final : public World {
 public:
  LoopbackWorld() { network_.drive(server_.loop()); }
  void start_server() override {
    if (const auto served = server_.serve(); !served) throw std::runtime_error(std::string(served.error().what()));
    if (!bystanding_) bystanding_.emplace(*bystander_.connect(url()));
  }
  void lose_server() override {
    server_.stop_serving();
    network_.cut();
  }
  void dismiss_server() override {
    server_.stop_serving();
    network_.say_goodbye();
  }
  rpc::Dispatcher& client() override { return client_; }
  std::string url() const override { return "loopback://desk"; }
  void let_server_work(const std::function<bool()>& done) override {
    while (!done()) bystander_.poll();
    for (int i = 0; i < 4; ++i) bystander_.poll();  // its last answers are on their way
  }

 private:
  Transports transports() {
    Transports list;
    list.push_back(network_.transport());
    return list;
  }
  loopback::Network network_;
  ContractServer server_{*this, transports(), [this] { lose_server(); }};
  rpc::Dispatcher client_{transports(), {.log = silent()}}, bystander_{transports(), {.log = silent()}};
  std::optional<Link> bystanding_;
};

std::unique_ptr<World> make_shm_world() {
  auto folder = std::make_shared<ServiceFolder>();  // as long as the world may start a server
  return make_process_world("shm://desk", [folder] { return shm::make_transport(); });
}

}  // namespace
}  // namespace taut::testing

TAUT_TRANSPORT_CONTRACT(taut::testing::Kind{"loopback",
                                            []() -> std::unique_ptr<taut::testing::World> {
                                              return std::make_unique<taut::testing::LoopbackWorld>();
                                            }},
                        taut::testing::Kind{"shm", taut::testing::make_shm_world});
