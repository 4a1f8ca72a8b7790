#include "newer.h"

#include "flatbuffers/flatbuffers.h"

int newer_says() { return flatbuffers::Table().GetOptionalFieldOffset(4); }
