#include <cstring>

#include "demo_parts.h"
#include "taut/taut.h"

namespace taut::tool {
namespace {

class DemoDesk final : public desk::Orders::Service {
 public:
  explicit DemoDesk(Dispatcher& loop) noexcept : loop_(loop) {}

  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    std::uint64_t symbol;
    std::uint32_t client;
    std::memcpy(&symbol, order.party()->symbol()->data(), sizeof symbol);
    std::memcpy(&client, order.party()->client()->data(), sizeof client);
    const Expected ack = expected_ack(order.id(), order.price(), order.quantity(), order.side(), symbol, client);
    reply.send({.id = order.id(), .desk_id = ack.desk_id, .open = ack.open});
  }
  // Ends a round of calls: with the id 0 the whole demo, with another the floor comes next.
  void Cancel(const desk::Cancel& cancel, Reply<desk::Ack> reply) override {
    over = cancel.id() == 0;
    reply.send({.id = cancel.id()});
    loop_.stop();
  }

  bool over = false;

 private:
  Dispatcher& loop_;
};

}  // namespace

int demo_server(DemoShared& shared, int cpu) {
  pin_to(cpu);
  Dispatcher loop;
  DemoDesk desk(loop);
  auto listener = loop.serve(kDemoUrl, desk);
  if (!listener) return report(listener.error());
  // sync(demo-ready): the client connects afterwards, so that its first try finds the name.
  shared.server_ready.store(true, std::memory_order_release);
  std::uint64_t i = 0;
  while (true) {
    loop.run();  // until the client ends its round
    if (desk.over) break;
    for (int k = 0; k < kBatch; ++k) {
      await_line(shared.ping, ++i, shared.yields);
      // sync(demo-floor)
      shared.pong.value.store(i, std::memory_order_release);
    }
  }
  loop.poll();
  return 0;
}

}  // namespace taut::tool
