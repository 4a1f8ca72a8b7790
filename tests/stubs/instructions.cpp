// Functions for callgrind to count, each called 1000 times: what it costs to write and to check a message.
#include <cstdio>

#include "greeter.taut.h"
#include "orders.taut.h"
#include "orders_next.taut.h"

#ifdef __clang__
#define COUNTED extern "C" [[gnu::noinline]]
#else
#define COUNTED extern "C" [[gnu::noipa]]  // else g++ counts under the name of a clone
#endif

COUNTED std::uint32_t write_order(std::byte* to, const desk::OrderInit& init) {
  return taut::stubs::write_measured<desk::Order>(to, init);
}
COUNTED bool check_order(std::span<const std::byte> message) { return taut::stubs::check<desk::Order>(message); }

COUNTED std::uint32_t write_ack(std::byte* to, const desk::AckInit& init) {
  return taut::stubs::write_measured<desk::Ack>(to, init);
}
COUNTED bool check_ack(std::span<const std::byte> message) { return taut::stubs::check<desk::Ack>(message); }

COUNTED std::uint32_t write_hello(std::byte* to, const greeter::HelloRequestInit& init) {
  const std::uint32_t bytes = taut::stubs::size<greeter::HelloRequest>(init);
  return bytes == 0 ? 0 : taut::stubs::write_measured<greeter::HelloRequest>(to, init);
}
COUNTED bool check_hello(std::span<const std::byte> message) {
  return taut::stubs::check<greeter::HelloRequest>(message);
}

// Of a peer with the next schema: comparison cannot say, the verifier does.
COUNTED bool verify_order(std::span<const std::byte> message) { return taut::stubs::check<desk::Order>(message); }
COUNTED bool verify_ack(std::span<const std::byte> message) { return taut::stubs::check<desk_next::Ack>(message); }

int main() {
  alignas(64) std::byte room[256];
  int good = 0;
  for (int i = 0; i != 1000; ++i) {
    std::uint32_t bytes = write_order(room, {.id = 7, .price = i, .quantity = 5, .side = desk::Side::sell});
    good += check_order({room, bytes});
    bytes = write_ack(room, {.id = 4, .desk_id = 5, .open = 3});
    good += check_ack({room, bytes});
    bytes = write_hello(room, {.name = "World"});
    good += check_hello({room, bytes});
    bytes = taut::stubs::write_measured<desk_next::Order>(
        room, {.id = 7, .price = i, .quantity = 5, .side = desk_next::Side::sell});
    good += verify_order({room, bytes});
    bytes = taut::stubs::write_measured<desk::Ack>(room, {.id = 4, .desk_id = 5, .open = 3});
    good += verify_ack({room, bytes});
  }
  std::printf("%d of 5000 messages passed their check\n", good);
  return good == 5000 ? 0 : 1;
}
