// The desk of the counted programs: answers every order at once.
#pragma once

#include "orders.taut.h"

namespace running_path {

struct OrderDesk final : desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
    reply.send({.id = order.id(), .desk_id = order.id() + 1, .open = order.quantity()});
  }
};

// An answer of it counts one, anything else far too many.
inline int right(const taut::Answer<desk::Ack>& ack) { return ack && ack->open() == 7 ? 1 : 1'000'000; }

}  // namespace running_path
