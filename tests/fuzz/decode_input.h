// One input for the decoder: a schema and a message, both of which may be anything. The fuzzer and the test that runs
// with every build drive this same function.
//
//   offset  bytes  part
//        0      1  limits: 0 the defaults, else small ones
//        1      1  which of the schema's tables the message is said to be
//        2      4  bytes of the schema
//        6         schema (.bfbs), then the message
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "decode.h"

namespace taut::fuzz {

inline constexpr std::size_t kPrefix = 6;

inline std::vector<std::byte> make_input(std::uint8_t limits, std::uint8_t table, std::span<const std::byte> schema,
                                         std::span<const std::byte> message) {
  std::vector<std::byte> input(kPrefix + schema.size() + message.size());
  input[0] = std::byte{limits};
  input[1] = std::byte{table};
  const auto bytes = static_cast<std::uint32_t>(schema.size());
  std::memcpy(input.data() + 2, &bytes, sizeof bytes);
  std::copy(message.begin(), message.end(), std::copy(schema.begin(), schema.end(), input.begin() + kPrefix));
  return input;
}

// Decodes as the tool does. True: there was a text. What must always hold is held by abort().
inline bool decode_input(std::span<const std::byte> input) {
  if (input.size() < kPrefix) return false;
  std::uint32_t schema_bytes = 0;
  std::memcpy(&schema_bytes, input.data() + 2, sizeof schema_bytes);
  const auto rest = input.subspan(kPrefix);
  const std::size_t split = std::min<std::size_t>(schema_bytes, rest.size());
  // Copies of their exact size, so that a read behind the end is seen.
  const std::vector<std::byte> schema(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(split));
  const std::vector<std::byte> message(rest.begin() + static_cast<std::ptrdiff_t>(split), rest.end());

  const auto checked = tool::check_schema(schema, "the schema");
  if (!checked) return false;
  const auto& objects = *(*checked)->objects();
  if (objects.size() == 0) return false;
  const auto& table = *objects.Get(std::to_integer<unsigned>(input[1]) % objects.size());
  if (table.is_struct()) return false;
  tool::DecodeLimits limits;
  if (const auto small = std::to_integer<unsigned>(input[0]); small != 0) {
    limits = {.depth = small % 8, .elements = small % 5, .string_bytes = small % 7, .text_bytes = small};
  }
  const auto decoded = tool::decode(**checked, table, message, limits);
  if (!decoded) return false;
  // What closes it, the longest name, and the longest number may stand behind the last comma.
  const std::size_t slack = schema.size() * 6 + 6 * limits.string_bytes + 64 * (limits.depth + 2);
  if (decoded->json.empty() || decoded->json.size() > limits.text_bytes + slack) std::abort();
  for (const char c : decoded->json) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) std::abort();
  }
  return true;
}

}  // namespace taut::fuzz
