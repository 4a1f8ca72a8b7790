// Place is not idempotent in its schema: nobody but the caller may make it again.
#include "orders.taut.h"

void place(taut::Link& link) {
  desk::Orders::Client orders{link};
  taut::Retry retry{link};
#ifdef TAUT_CORRECTED
  orders.Cancel({.id = 1}, retry).then([](const taut::Answer<desk::Ack>&) {});
#else
  orders.Place({.id = 1}, retry).then([](const taut::Answer<desk::Ack>&) {});
#endif
}
