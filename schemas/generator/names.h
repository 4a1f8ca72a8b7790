// Names that C++ or the generated code would trip over: keywords, namespaces of libraries, one name for two things.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules.h"

namespace gen {

bool is_keyword(std::string_view name);

// Of namespaces, types, services and enums; the names of fields and methods are checked with what else they say.
void check_names(const Model& model, std::vector<Problem>& problems);

}  // namespace gen
