// Error sentences for memory that could not be had: how much was needed and which limit stands in the way.
#pragma once

#include <cstddef>
#include <string_view>

#include "taut/base/result.h"

namespace taut::memory {

Error memory_error(int os_errno, std::string_view operation, std::string_view name, std::size_t bytes) noexcept;

// RLIMIT_FSIZE counts for memory files too, and going over it raises SIGXFSZ, which ends a process that does not
// expect it: so ask first. True when a file of `bytes` is too large.
bool over_file_size_limit(std::size_t bytes) noexcept;

}  // namespace taut::memory
