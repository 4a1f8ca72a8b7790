// A task that takes the request itself: its bytes are gone when the handler returns.
#include "orders.taut.h"

struct Desk final : desk::Orders::Service {
  void Place(const desk::Order& order, taut::Reply<desk::Ack> reply) override {
#ifdef TAUT_CORRECTED
    answer(taut::keep(order), std::move(reply));
  }
  taut::Task answer(taut::Message<desk::Order> order, taut::Reply<desk::Ack> reply) {
    reply.send({.id = order->id()});
#else
    answer(order, std::move(reply));
  }
  taut::Task answer(const desk::Order& order, taut::Reply<desk::Ack> reply) {
    reply.send({.id = order.id()});
#endif
    co_return;
  }
};
