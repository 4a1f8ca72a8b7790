#include <cstring>

#include "taut/stubs/shape.h"
#include "taut/stubs/wire.h"

namespace taut::stubs {
namespace {

std::uint32_t entry_of(const std::byte* table, const FieldShape& field) noexcept {
  const std::byte* vtable = table - get<std::int32_t>(table);
  return field.entry < get<std::uint16_t>(vtable) ? get<std::uint16_t>(vtable + field.entry) : 0;
}

const std::byte* follow(const std::byte* at) noexcept { return at + get<std::uint32_t>(at); }

// One pass in the writer's order. Without `to` it only counts.
class Copy {
 public:
  explicit Copy(std::byte* to) noexcept : to_(to) {}

  // Copies the table and answers where its block stands; the block's first 4 bytes belong to somebody else.
  std::uint32_t table(const std::byte* from, const TableShape& shape) noexcept {
    const std::uint32_t base = up(end_ - 4, shape.align);
    clear(end_, base + shape.block);
    end_ = base + shape.block;
    if (to_ != nullptr) {
      put(to_ + base + 4, shape.vtable_bytes);
      put(to_ + base + 6, shape.table_bytes);
      put(to_ + base + shape.table, shape.table - 4);
    }
    for (const FieldShape& field : shape.fields) {
      const std::uint32_t at = base + shape.table + field.at;
      const std::uint32_t entry = entry_of(from, field);
      const bool direct = field.kind == FieldKind::scalar || field.kind == FieldKind::structure;
      const bool there = entry != 0 || (field.kind == FieldKind::scalar && !field.nullable);
      if (!there) continue;
      if (to_ != nullptr) put(to_ + base + 4 + field.entry, field.at);
      if (direct) {
        if (to_ == nullptr) continue;
        if (entry != 0) {
          std::memcpy(to_ + at, from + entry, field.bytes);
        } else {
          std::memcpy(to_ + at, &field.fallback, field.bytes);
        }
      } else {
        part(follow(from + entry), field, at);
      }
    }
    return base;
  }

  [[nodiscard]] std::uint32_t end() const noexcept { return end_; }

 private:
  void clear(std::uint32_t from, std::uint32_t to) noexcept {
    if (to_ != nullptr) std::memset(to_ + from, 0, to - from);
  }
  void link(std::uint32_t slot, std::uint32_t target) noexcept {
    if (to_ != nullptr) put(to_ + slot, target - slot);
  }

  void part(const std::byte* from, const FieldShape& field, std::uint32_t slot) noexcept {
    const auto count = get<std::uint32_t>(from);
    switch (field.kind) {
      case FieldKind::table: {
        const TableShape& shape = field.table();
        link(slot, table(from, shape) + shape.table);
        return;
      }
      case FieldKind::string:
        bytes(from, slot, count + 1, 4);
        return;
      case FieldKind::strings:
      case FieldKind::tables: {
        std::uint32_t item = bytes(from, slot, 4 * count, 4);
        for (std::uint32_t i = 0; i != count; ++i, item += 4) {
          const std::byte* element = follow(from + 4 + 4 * i);
          if (field.kind == FieldKind::strings) {
            bytes(element, item, get<std::uint32_t>(element) + 1, 4);
          } else {
            const TableShape& shape = field.table();
            link(item, table(element, shape) + shape.table);
          }
        }
        return;
      }
      default:
        bytes(from, slot, count * field.bytes, field.align);
    }
  }

  // A length and the bytes behind it. Answers where they begin.
  std::uint32_t bytes(const std::byte* from, std::uint32_t slot, std::uint32_t bytes, std::uint32_t align) noexcept {
    const std::uint32_t first = up(end_ + 4, align < 4 ? 4 : align);
    const std::uint32_t next = up(first + bytes, 4);
    if (to_ != nullptr) {
      clear(end_, first);
      std::memcpy(to_ + first - 4, from, 4 + bytes);
      clear(first + bytes, next);
    }
    link(slot, first - 4);
    end_ = next;
    return first;
  }

  std::byte* to_;
  std::uint32_t end_ = 4;  // behind the root's distance
};

}  // namespace

std::size_t copied_bytes(const std::byte* table, const TableShape& shape) noexcept {
  Copy copy(nullptr);
  copy.table(table, shape);
  return copy.end();
}

std::size_t copy(const std::byte* table, const TableShape& shape, std::byte* to) noexcept {
  Copy copy(to);
  const std::uint32_t base = copy.table(table, shape);
  put(to, base + shape.table);
  return copy.end();
}

}  // namespace taut::stubs
