// A task that takes a pointer into the request.
#include "orders.taut.h"

#ifdef TAUT_CORRECTED
taut::Task note(std::string text) { co_return (void) text.size(); }
#else
taut::Task note(const flatbuffers::String* text) { co_return (void) text->size(); }
#endif

void seen(const desk::Book& book) {
#ifdef TAUT_CORRECTED
  note(book.note()->str());
#else
  note(book.note());
#endif
}
