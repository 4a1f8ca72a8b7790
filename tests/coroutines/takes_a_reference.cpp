// A task that takes a reference, which may end before it does.
#include <string>

#include "orders.taut.h"

#ifdef TAUT_CORRECTED
taut::TaskOf<std::size_t> size_of(std::string text, taut::Reply<desk::Ack>) { co_return text.size(); }
#else
taut::TaskOf<std::size_t> size_of(const std::string& text, taut::Reply<desk::Ack>) { co_return text.size(); }
#endif
