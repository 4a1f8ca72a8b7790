// The orders of calls_over_loopback as bytes: an untyped client and an untyped service.
//   raw_calls_over_loopback CALLS
#include <cstdlib>
#include <cstring>

#include "on_loopback.h"
#include "taut/raw.h"

namespace {

constexpr std::uint16_t kPlace = 1;

// As large as theirs on the wire.
struct Order {
  std::uint64_t id;
  std::byte rest[48];
};
struct Ack {
  std::uint64_t id, desk_id;
  std::byte rest[24];
};

struct Desk final : taut::raw::Service {
  Desk() : Service("desk.Orders", {{.name = "Place", .id = kPlace, .reply_bound = sizeof(Ack)}}) {}
  void call(std::uint16_t, taut::raw::Bytes request, taut::raw::Reply reply) override {
    Order order;
    std::memcpy(&order, request.data(), sizeof order);
    const Ack ack{order.id, order.id + 1, {}};
    reply.answer(std::as_bytes(std::span(&ack, 1)));
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int calls = argc > 1 ? std::atoi(argv[1]) : 1000;
  running_path::OnLoopback rig;
  Desk desk;
  if (!rig.serve(desk)) return 1;
  taut::raw::Client orders{*rig.link, "desk.Orders"};
  int done = 0;
  for (int i = 0; i < calls; ++i) {
    const Order order{static_cast<std::uint64_t>(i), {}};
    orders.call(kPlace, std::as_bytes(std::span(&order, 1))).then([&](const taut::rpc::RawAnswer& answer) {
      done += answer.status.ok() && answer.payload.size() == sizeof(Ack) ? 1 : 1000000;
    });
    while (done <= i) rig.client.poll();
  }
  return done == calls ? 0 : 1;
}
