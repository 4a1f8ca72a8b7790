#include "commands.h"
#include "flatbuffers/base.h"
#include "say.h"
#include "taut/memory/directory.h"

namespace taut::tool {

int version(const VersionOptions& options) {
  const std::string flatbuffers =
      fmt::format("{}.{}.{}", FLATBUFFERS_VERSION_MAJOR, FLATBUFFERS_VERSION_MINOR, FLATBUFFERS_VERSION_REVISION);
  if (options.json) {
    fmt::print("{{\"schema\":\"taut.version/1\",\"version\":{},\"layout\":{},\"flatbuffers\":{},\"compiler\":{}}}\n",
               json_text(TAUT_VERSION), memory::kLayoutVersion, json_text(flatbuffers), json_text(TAUT_COMPILER));
  } else {
    fmt::print("taut {} (segment layout {}, FlatBuffers {}, {})\n", TAUT_VERSION, memory::kLayoutVersion, flatbuffers,
               TAUT_COMPILER);
  }
  return kFine;
}

}  // namespace taut::tool
