// What a schema must keep so that stubs can be made of it. Every broken rule is found and said, with file, line, reason
// and fix; warnings do not stop the generator.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model.h"

namespace gen {

struct Problem {
  Where where;
  std::string text;
  bool warning = false;
};

// Also fills in what follows from attributes: ids, time-outs, caps; and marks objects that are not supported or
// recursive.
std::vector<Problem> check(Model& model);

// A name as problems show it: 'name'.
std::string quoted(std::string_view name);

// file:line: text, in order of place.
std::string to_text(std::vector<Problem> problems);

}  // namespace gen
