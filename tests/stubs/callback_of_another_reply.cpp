#include "orders.taut.h"

void call(taut::Link& link) {
  desk::Orders::Client orders{link};
#ifdef TAUT_CORRECTED
  orders.Place({.id = 1}).then([](const taut::Answer<desk::Ack>&) {});
#else
  orders.Place({.id = 1}).then([](const taut::Answer<desk::BookAck>&) {});
#endif
}
