// How long the tool waits for the description that a service gives of itself.
#pragma once

#include <chrono>

namespace taut::tool {

inline constexpr auto kPatience = std::chrono::seconds(1);
// Where it may be one of many, or is asked because it does not answer.
inline constexpr auto kPatienceWithEach = std::chrono::milliseconds(500);

}  // namespace taut::tool
