#include "kinds.taut.h"

void send(taut::Writer<kinds::Item>& out) {
#ifdef TAUT_CORRECTED
  if (!out.send({.number = 1})) out.refuse(taut::Code::resource_exhausted, "too slow");
#else
  out.send({.number = 1});
#endif
}
