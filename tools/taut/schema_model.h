// A schema as `taut check` compares it: from a file, compiled or not, or from a live service.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model.h"

namespace taut::tool {

struct SchemaSource {
  std::string name;                   // FILE.fbs, FILE.bfbs, or shm://NAME
  std::vector<std::string> includes;  // where included files are looked for, beside the file's own folder
};

// Says what is wrong and sets `exit` when there is none. Of a live service, the schema that holds one of the services
// of `like` is taken.
std::optional<gen::Model> read_schema_model(const SchemaSource& source, const gen::Model* like, int& exit);

}  // namespace taut::tool
