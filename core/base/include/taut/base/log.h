// One callback per dispatcher takes what the library has to say. Never called on the running path.
#pragma once

#include <functional>
#include <string_view>

namespace taut {

enum class Severity : unsigned char { info, warning, error };

// Called on the thread that noticed; must not call back into the dispatcher.
using LogCallback = std::function<void(Severity, std::string_view)>;

// Warnings and errors to stderr, one line each: the default of every dispatcher.
void log_to_stderr(Severity, std::string_view);

}  // namespace taut
