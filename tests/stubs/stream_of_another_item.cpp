#include "kinds.taut.h"

void call(taut::Link& link) {
  kinds::Kinds::Client calls{link};
#ifdef TAUT_CORRECTED
  calls.Watch({.count = 1}).each([](const kinds::Item&) {}).then([](const taut::Status&) {});
#else
  calls.Watch({.count = 1}).each([](const kinds::Line&) {}).then([](const taut::Status&) {});
#endif
}
