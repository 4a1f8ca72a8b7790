// A member function may use its object; what it is called with it takes by value.
#include "orders.taut.h"

struct Router {
#ifdef TAUT_CORRECTED
  taut::Task route(taut::FramePool&, taut::Reply<desk::Ack> reply) {
#else
  taut::Task route(taut::FramePool&, taut::Reply<desk::Ack>& reply) {
#endif
    reply.send({.id = id});
    co_return;
  }
  std::uint64_t id = 1;
};
