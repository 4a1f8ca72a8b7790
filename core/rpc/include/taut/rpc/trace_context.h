// Which trace a call belongs to, as W3C Trace Context says it: 16 bytes name the trace, 8 the span that caused the
// call, and bit 0 of the flags says that somebody records it. docs/tracing.md.
//
// Threads  a value.
// Memory   never allocates, except for the text.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace taut {

struct TraceContext {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  std::uint8_t flags = 0;

  static constexpr std::uint8_t kSampled = 1;
  [[nodiscard]] bool sampled() const noexcept { return (flags & kSampled) != 0; }
  // Ids of zeros name nothing.
  [[nodiscard]] bool valid() const noexcept {
    const auto any = [](std::uint8_t byte) { return byte != 0; };
    return std::any_of(trace_id.begin(), trace_id.end(), any) && std::any_of(span_id.begin(), span_id.end(), any);
  }
  // The header `traceparent`: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
  [[nodiscard]] std::string to_traceparent() const;
  // Nothing when it is none. Later versions are read as far as this one goes, as the standard asks.
  static std::optional<TraceContext> from_traceparent(std::string_view text) noexcept;

  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

}  // namespace taut
