// A table's schema as constant data, for what is not worth generated code: messages that another writer laid out,
// sentences about broken ones, and copies that outlive a handler. Knows bytes only, no FlatBuffers type.
//
// Threads  functions over constant data.
// Memory   copy() asks its caller for room; nothing else allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace taut::stubs {

// Which values an enum has. `values` is empty when it has all of [least, most], or all combinations of `most` when
// flags.
struct EnumShape {
  std::string_view name;
  std::int64_t least = 0;
  std::int64_t most = 0;
  bool is_signed = false;
  bool flags = false;
  std::span<const std::int64_t> values = {};
};

// An enum inside a struct, or a fixed array of them.
struct EnumMember {
  std::string_view name;
  std::uint32_t at;
  std::uint32_t bytes;
  std::uint32_t count;
  const EnumShape* enumeration;
};

enum class FieldKind : std::uint8_t { scalar, structure, string, table, scalars, structures, strings, tables };

struct TableShape;

struct FieldShape {
  std::string_view name;
  FieldKind kind;
  bool required = false;
  bool nullable = false;                     // a scalar that may be absent, and then has no default
  std::uint16_t entry = 0;                   // its place in a vtable
  std::uint16_t at = 0;                      // its place in a table that we write
  std::uint32_t bytes = 4;                   // of the scalar, the struct, or the vector's element
  std::uint32_t align = 4;                   // likewise
  std::uint32_t max = 0xffffffff;            // most characters or elements
  std::uint64_t fallback = 0;                // the bits of a scalar's default
  const EnumShape* enumeration = nullptr;    // of the scalar or the vector's element
  std::span<const EnumMember> members = {};  // of the struct
  const TableShape& (*table)() = nullptr;    // of the nested table or the vector's elements
};

struct TableShape {
  std::string_view name;
  std::span<const FieldShape> fields;  // in order of their vtable entries, without deprecated ones
  std::uint16_t vtable_bytes;          // what we write: see wire.h
  std::uint16_t table_bytes;
  std::uint32_t table;
  std::uint32_t block;
  std::uint32_t align;
};

// A sentence of bounded length; what does not fit is cut.
class Sentence {
 public:
  Sentence& operator<<(std::string_view text) noexcept;
  Sentence& operator<<(std::int64_t number) noexcept;
  [[nodiscard]] std::string_view text() const noexcept { return {text_, bytes_}; }
  void clear() noexcept { bytes_ = 0; }

 private:
  char text_[240];
  std::size_t bytes_ = 0;
};

// Tables may nest this deep, as FlatBuffers' own verifier has it.
inline constexpr std::uint32_t kDepthMax = 64;

// Is this a message of `shape` in any layout that FlatBuffers allows: everything inside the bytes and aligned, required
// fields there, enums in range, caps kept? Reads nothing outside. A message that reaches the same parts over and over,
// so that a copy of it would have more than 128 times its bytes, is refused: time and copies are bounded by the bytes.
// When it is not, `why` (if wanted) says which field and what.
[[nodiscard]] bool conforms(std::span<const std::byte> message, const TableShape& shape, Sentence* why) noexcept;

// How many bytes copy() needs at most for the table at `table`, which passed a check.
[[nodiscard]] std::size_t copied_bytes(const std::byte* table, const TableShape& shape) noexcept;
// Writes the table as a message of its own, in our layout, and answers its bytes. Fields that this schema does not know
// are left behind.
std::size_t copy(const std::byte* table, const TableShape& shape, std::byte* to) noexcept;

}  // namespace taut::stubs
