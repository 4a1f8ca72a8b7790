#include "kinds.taut.h"

void call(taut::Link& link) {
  kinds::Kinds::Client calls{link};
#ifdef TAUT_CORRECTED
  calls.Watch({.count = 1}).each([](const kinds::Item&) {});
#else
  calls.Watch({.count = 1});
#endif
}
