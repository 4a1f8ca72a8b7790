#include "orders.taut.h"

void call(taut::Link& link) {
  desk::Orders::Client orders{link};
#ifdef TAUT_CORRECTED
  (void)orders.Place({.id = 1});
#else
  orders.Place({.id = 1});
#endif
}
