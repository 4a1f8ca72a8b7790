#include <algorithm>
#include <charconv>
#include <cstring>

#include "taut/stubs/shape.h"
#include "taut/stubs/wire.h"

namespace taut::stubs {

Sentence& Sentence::operator<<(std::string_view text) noexcept {
  const std::size_t room = sizeof text_ - bytes_;
  const std::size_t bytes = std::min(room, text.size());
  std::copy_n(text.data(), bytes, text_ + bytes_);
  bytes_ += bytes;
  return *this;
}

Sentence& Sentence::operator<<(std::int64_t number) noexcept {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  return *this << std::string_view(digits, static_cast<std::size_t>(end - digits));
}

namespace {

// The way to the place that is being looked at, for sentences: bids[3].note. Deep ones begin with `..`.
struct Path {
  const Path* up = nullptr;
  std::string_view name = {};
  std::int64_t index = -1;
};

void put_path(Sentence& out, const Path& path, int levels = 4) noexcept {
  if (path.up != nullptr && !path.up->name.empty()) {
    if (levels == 1) {
      out << ".";
    } else {
      put_path(out, *path.up, levels - 1);
    }
    out << ".";
  }
  out << path.name;
  if (path.index >= 0) out << "[" << path.index << "]";
}

// By its width: a copy of `bytes` bytes would be a call for each enum.
std::int64_t load(const std::byte* at, std::uint32_t bytes, bool is_signed) noexcept {
  switch (bytes) {
    case 1:
      return is_signed ? get<std::int8_t>(at) : get<std::uint8_t>(at);
    case 2:
      return is_signed ? get<std::int16_t>(at) : get<std::uint16_t>(at);
    case 4:
      return is_signed ? std::int64_t{get<std::int32_t>(at)} : std::int64_t{get<std::uint32_t>(at)};
    default:
      return get<std::int64_t>(at);
  }
}

bool has(const EnumShape& shape, std::int64_t value) noexcept {
  if (shape.flags) return (static_cast<std::uint64_t>(value) & ~static_cast<std::uint64_t>(shape.most)) == 0;
  if (!shape.values.empty()) return std::find(shape.values.begin(), shape.values.end(), value) != shape.values.end();
  if (!shape.is_signed) {
    return static_cast<std::uint64_t>(value) >= static_cast<std::uint64_t>(shape.least) &&
           static_cast<std::uint64_t>(value) <= static_cast<std::uint64_t>(shape.most);
  }
  return value >= shape.least && value <= shape.most;
}

class Walk {
 public:
  Walk(std::span<const std::byte> message, Sentence* why) noexcept
      : message_(message.data()),
        size_(message.size()),
        budget_(std::min<std::uint64_t>(128 * message.size() + 4096, kMessageMax)),
        why_(why) {}

  bool root(const TableShape& shape) noexcept {
    if (size_ < 8) return fault({}, "is shorter than any message");
    if (size_ > kMessageMax) return fault({}, "is longer than any message");
    std::uint64_t table = 0;
    return target(0, {}, table) && this->table(table, shape, {}, 1);
  }

 private:
  // All positions are 64-bit sums of values below 2^33, so none of the comparisons below can wrap.
  bool inside(std::uint64_t at, std::uint64_t bytes) const noexcept { return bytes <= size_ && at <= size_ - bytes; }

  // Alignments are powers of two; the compiler cannot know, and would divide.
  static bool aligned(std::uint64_t at, std::uint32_t align) noexcept { return (at & (align - 1)) == 0; }

  bool fault(const Path& path, std::string_view what) noexcept {
    if (why_ != nullptr) {
      name(path);
      *why_ << " " << what;
    }
    return false;
  }
  void name(const Path& path) noexcept {
    if (path.name.empty()) {
      *why_ << "the message";
    } else {
      *why_ << "field '";
      put_path(*why_, path);
      *why_ << "'";
    }
  }

  // Counts what a copy of each part would need, parts that are reached twice included.
  bool spend(std::uint64_t bytes, const Path& path) noexcept {
    bytes += 16;
    if (bytes > budget_) return fault(path, "reaches the same bytes too often");
    budget_ -= bytes;
    return true;
  }

  // Follows the 32-bit distance at `at`, which is inside.
  bool target(std::uint64_t at, const Path& path, std::uint64_t& to) noexcept {
    const auto distance = get<std::uint32_t>(message_ + at);
    to = at + distance;
    if (distance == 0 || to % 4 != 0 || !inside(to, 4)) return fault(path, "points outside of the message");
    return true;
  }

  bool table(std::uint64_t at, const TableShape& shape, const Path& path, std::uint32_t depth) noexcept {
    if (depth > kDepthMax) return fault(path, "nests too deep");
    if (!spend(shape.block, path)) return false;
    const std::int64_t vtable = static_cast<std::int64_t>(at) - get<std::int32_t>(message_ + at);
    if (vtable < 0 || vtable % 2 != 0 || !inside(static_cast<std::uint64_t>(vtable), 2)) {
      return fault(path, "has no table layout inside the message");
    }
    const std::byte* entries = message_ + vtable;
    const auto vtable_bytes = get<std::uint16_t>(entries);
    if (vtable_bytes % 2 != 0 || !inside(static_cast<std::uint64_t>(vtable), vtable_bytes)) {
      return fault(path, "has no table layout inside the message");
    }
    for (const FieldShape& field : shape.fields) {
      const std::uint16_t distance = field.entry < vtable_bytes ? get<std::uint16_t>(entries + field.entry) : 0;
      // Most fields are values, and good: no path is made for them.
      if (distance != 0 && is_good_value(at + distance, field)) continue;
      const Path here{&path, field.name};
      if (distance == 0) {
        if (field.required) return fault(here, "is missing");
      } else if (!this->field(at + distance, field, here, depth)) {
        return false;
      }
    }
    return true;
  }

  // A scalar or a struct that can be read. What is not may still be good: field() says, or says why not.
  bool is_good_value(std::uint64_t at, const FieldShape& field) const noexcept {
    if (field.kind > FieldKind::structure || !field.members.empty()) return false;
    if (!aligned(at, field.align) || !inside(at, field.bytes)) return false;
    const EnumShape* const shape = field.enumeration;
    return shape == nullptr || has(*shape, load(message_ + at, field.bytes, shape->is_signed));
  }

  bool field(std::uint64_t at, const FieldShape& field, const Path& path, std::uint32_t depth) noexcept {
    const bool direct = field.kind == FieldKind::scalar || field.kind == FieldKind::structure;
    const std::uint32_t bytes = direct ? field.bytes : 4;
    if (!aligned(at, direct ? field.align : 4)) return fault(path, "is not aligned");
    if (!inside(at, bytes)) return fault(path, "lies outside of the message");
    if (direct) return value(message_ + at, field, path);

    std::uint64_t to = 0;
    if (!target(at, path, to)) return false;
    if (field.kind == FieldKind::table) return table(to, field.table(), path, depth + 1);
    return vector(to, field, path, depth);
  }

  bool vector(std::uint64_t at, const FieldShape& field, const Path& path, std::uint32_t depth) noexcept {
    const std::uint64_t count = get<std::uint32_t>(message_ + at);
    const std::uint64_t first = at + 4;
    const bool string = field.kind == FieldKind::string;
    if (!inside(first, count * field.bytes + (string ? 1 : 0))) return fault(path, "ends outside of the message");
    if (count != 0 && !aligned(first, field.align)) return fault(path, "is not aligned");
    if (count > field.max) {
      if (why_ != nullptr) {
        name(path);
        *why_ << " holds " << static_cast<std::int64_t>(count) << ", more than its cap "
              << static_cast<std::int64_t>(field.max);
      }
      return false;
    }
    if (!spend(count * field.bytes, path)) return false;
    if (string) {
      return message_[first + count] == std::byte{0} || fault(path, "does not end with a zero");
    }
    const bool trivial = field.kind == FieldKind::scalars || field.kind == FieldKind::structures;
    if (trivial && field.enumeration == nullptr && field.members.empty()) return true;

    for (std::uint64_t i = 0; i != count; ++i) {
      const Path here{path.up, path.name, static_cast<std::int64_t>(i)};
      const std::uint64_t item = first + i * field.bytes;
      if (trivial) {
        if (!value(message_ + item, field, here)) return false;
        continue;
      }
      std::uint64_t to = 0;
      if (!target(item, here, to)) return false;
      if (field.kind == FieldKind::tables ? !table(to, field.table(), here, depth + 1) : !this->string(to, here)) {
        return false;
      }
    }
    return true;
  }

  bool string(std::uint64_t at, const Path& path) noexcept {
    const std::uint64_t bytes = get<std::uint32_t>(message_ + at);
    if (!inside(at + 4, bytes + 1)) return fault(path, "ends outside of the message");
    if (!spend(bytes, path)) return false;
    return message_[at + 4 + bytes] == std::byte{0} || fault(path, "does not end with a zero");
  }

  // A scalar or a struct: only enums can be wrong.
  bool value(const std::byte* at, const FieldShape& field, const Path& path) noexcept {
    if (field.enumeration != nullptr) return enumerator(at, field.bytes, *field.enumeration, path);
    for (const EnumMember& member : field.members) {
      for (std::uint32_t i = 0; i != member.count; ++i) {
        const Path here{&path, member.name, member.count == 1 ? -1 : static_cast<std::int64_t>(i)};
        if (!enumerator(at + member.at + i * member.bytes, member.bytes, *member.enumeration, here)) return false;
      }
    }
    return true;
  }

  bool enumerator(const std::byte* at, std::uint32_t bytes, const EnumShape& shape, const Path& path) noexcept {
    const std::int64_t value = load(at, bytes, shape.is_signed);
    if (has(shape, value)) return true;
    if (why_ != nullptr) {
      *why_ << "enum '";
      put_path(*why_, path);
      *why_ << "' holds " << value << ", which " << shape.name << " does not have";
    }
    return false;
  }

  const std::byte* message_;
  std::uint64_t size_;
  std::uint64_t budget_;
  Sentence* why_;
};

}  // namespace

bool conforms(std::span<const std::byte> message, const TableShape& shape, Sentence* why) noexcept {
  if (why != nullptr) why->clear();
  return Walk(message, why).root(shape);
}

}  // namespace taut::stubs
