// The measured call of orders.h by a client of the next schema: its order has a field that the server does not know,
// and the server's answer lacks one that it knows. Neither side can compare; both ask the verifier.
#pragma once

#include "orders.h"
#include "orders_next.taut.h"

namespace bench {

class OtherSchemaClient : private taut::stubs::Caller {
 public:
  explicit OtherSchemaClient(taut::Link& link) : Caller(link, description()) {
    alignas(64) std::byte room[128];
    const auto bytes = taut::stubs::write_measured<desk_next::Order>(room, {.id = 1});
    if (taut::Schema<desk::Order>::compare<taut::stubs::Place::root>(room, bytes, 0, bytes) != 0)
      fail("a message of the other schema passes by comparison: nothing would be measured");
  }

  void place(int calls) {
    for (int k = 0; k < calls; ++k) {
      const std::uint64_t n = ++count_;
      std::array<std::uint8_t, 8> symbol;
      std::array<std::uint8_t, 4> client{1, 2, 3, static_cast<std::uint8_t>(n)};
      std::memcpy(symbol.data(), &n, sizeof n);
      const desk_next::Party party{flatbuffers::span<const std::uint8_t, 8>(symbol),
                                   flatbuffers::span<const std::uint8_t, 4>(client)};
      const auto price = static_cast<std::int32_t>(n * 3);
      const auto quantity = static_cast<std::uint32_t>(n) & 1023;
      const auto ack = Caller::wait<desk_next::Order, desk_next::Ack>(
          0, {.id = n, .price = price, .quantity = quantity, .side = desk_next::Side::sell, .party = party, .flags = 1},
          taut::wait);
      if (!ack) fail(ack.status());
      if (ack->desk_id() != answer_to(n, price, quantity, desk::Side::sell, as_desk(party)) || ack->id() != n)
        fail("a wrong reply");
    }
  }

 private:
  // The next schema under the name that the server offers.
  static const taut::rpc::ServiceDescription& description() {
    static const taut::rpc::ServiceDescription next{desk::Orders::description().name,
                                                    desk_next::Orders::description().fingerprint,
                                                    desk_next::Orders::description().methods,
                                                    {}};
    return next;
  }
  // The same bytes under the other name.
  static desk::Party as_desk(const desk_next::Party& party) {
    static_assert(sizeof(desk::Party) == sizeof(desk_next::Party));
    desk::Party same;
    std::memcpy(static_cast<void*>(&same), &party, sizeof same);
    return same;
  }

  std::uint64_t count_ = 0;
};

}  // namespace bench
