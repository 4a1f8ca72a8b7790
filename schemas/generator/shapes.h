// What messages may be made of: which tables the stubs support, and which hold themselves.
#pragma once

#include <vector>

#include "rules.h"

namespace gen {

// Does a value of this field lead to another table or struct?
bool points(const Field& field);

// Marks the objects that are not supported or recursive; a problem only where a method of the schema needs the object.
void check_shapes(Model& model, std::vector<Problem>& problems);

}  // namespace gen
