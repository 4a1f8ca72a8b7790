// Stands in for the header of a FlatBuffers that is newer than the one taut's messages are compiled with: an inline
// function of the same name, which does something else with an object of another layout.
#pragma once

#include <cstdint>

namespace flatbuffers {

class Table {
 public:
  std::uint16_t GetOptionalFieldOffset(std::uint16_t field) const { return field == asked_ ? answer_ : 0; }

 private:
  std::uint16_t asked_ = 4, answer_ = 77;
};

}  // namespace flatbuffers
