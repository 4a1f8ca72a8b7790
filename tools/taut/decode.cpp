#include "decode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "flatbuffers/reflection.h"
#include "say.h"

namespace taut::tool {
namespace {

using reflection::BaseType;

// Fields that print nothing take time too, so places looked at are counted as well as bytes of text.
constexpr std::size_t kVisitsMax = 1'000'000;
constexpr std::string_view kLeftOut = "\"...\"";

std::vector<const reflection::Field*> fields_by_offset(const reflection::Object& object) {
  std::vector<const reflection::Field*> fields(object.fields()->begin(), object.fields()->end());
  std::sort(fields.begin(), fields.end(), [](const auto* a, const auto* b) { return a->offset() < b->offset(); });
  return fields;
}

bool has_attribute(const reflection::Enum& enumeration, std::string_view name) {
  if (enumeration.attributes() == nullptr) return false;
  return std::any_of(enumeration.attributes()->begin(), enumeration.attributes()->end(),
                     [&](const auto* attribute) { return attribute->key()->string_view() == name; });
}

// All functions that read answer false when the message is wrong; what_ then says how, and the text is worth nothing.
class Walk {
 public:
  Walk(const reflection::Schema& schema, std::span<const std::byte> message, const DecodeLimits& limits) noexcept
      : schema_(schema), message_(message), limits_(limits) {}

  bool root(const reflection::Object& object) {
    std::size_t at = 0;
    return follow(0, at) && table(object, at, 0);
  }
  Decoded take() noexcept { return {std::move(text_), cut_}; }
  [[nodiscard]] const char* what() const noexcept { return what_; }

 private:
  bool wrong(const char* what) noexcept {
    what_ = what;
    return false;
  }
  [[nodiscard]] bool inside(std::size_t at, std::size_t bytes) const noexcept {
    return at <= message_.size() && bytes <= message_.size() - at;
  }
  // At a multiple of its size, as the reader of a message takes for granted.
  template <class T>
  bool read(std::size_t at, T& value) noexcept {
    if (!inside(at, sizeof value)) return wrong("a value lies outside of it");
    if (at % sizeof value != 0) return wrong("a value is not aligned");
    std::memcpy(&value, message_.data() + at, sizeof value);
    return true;
  }
  // From an offset to what it leads to.
  bool follow(std::size_t at, std::size_t& to) noexcept {
    flatbuffers::uoffset_t offset = 0;
    if (!read(at, offset)) return false;
    if (offset == 0 || !inside(at, std::size_t{offset} + sizeof offset)) return wrong("an offset leads out of it");
    to = at + offset;
    return true;
  }
  // Has the text its length? Then the rest is left out.
  [[nodiscard]] bool full() noexcept {
    ++visits_;
    if (text_.size() < limits_.text_bytes && visits_ < kVisitsMax) return false;
    cut_ = true;
    return true;
  }
  void leave_out() {
    text_ += kLeftOut;
    cut_ = true;
  }

  bool table(const reflection::Object& object, std::size_t at, unsigned depth) {
    if (depth >= limits_.depth) return leave_out(), true;
    flatbuffers::soffset_t back = 0;
    if (!read(at, back)) return false;
    const auto vtable_at = static_cast<std::int64_t>(at) - back;
    if (vtable_at < 0) return wrong("a table's vtable lies outside of it");
    const auto vtable = static_cast<std::size_t>(vtable_at);
    flatbuffers::voffset_t vtable_bytes = 0, table_bytes = 0;
    if (!read(vtable, vtable_bytes) || !read(vtable + sizeof vtable_bytes, table_bytes)) return false;
    if (vtable_bytes < 4 || vtable_bytes % 2 != 0 || !inside(vtable, vtable_bytes) || table_bytes < 4 ||
        !inside(at, table_bytes)) {
      return wrong("a table or its vtable is larger than it");
    }
    text_ += '{';
    bool first = true;
    std::uint8_t union_type = 0;
    for (const auto* field : fields_by_offset(object)) {
      flatbuffers::voffset_t place = 0;
      if (field->offset() < vtable_bytes && !read(vtable + field->offset(), place)) return false;
      const reflection::Type& type = *field->type();
      if (place != 0 && (place < 4 || place + inline_bytes(schema_, type) > table_bytes)) {
        return wrong("a field lies outside of its table");
      }
      if (place == 0 && field->required()) return wrong("a required field is absent");
      // Said also where the text is full: a union further on must be known for what it is.
      if (type.base_type() == reflection::UType) {
        union_type = 0;
        if (place != 0 && !read(at + place, union_type)) return false;
      }
      if (full() || field->deprecated()) continue;
      if (place == 0) {
        absent(*field, first);
      } else if (type.base_type() != reflection::Union || union_type != 0) {
        name(*field, first);
        if (!value(type, at + place, union_type, depth)) return false;
      }
    }
    text_ += '}';
    return true;
  }

  void name(const reflection::Field& field, bool& first) {
    if (!first) text_ += ',';
    first = false;
    text_ += json_text(field.name()->string_view());
    text_ += ':';
  }
  // Scalars have their default; everything else, and an optional scalar, is not there.
  void absent(const reflection::Field& field, bool& first) {
    const BaseType base = field.type()->base_type();
    if (!is_scalar(base) || field.optional()) return;
    name(field, first);
    if (base == reflection::Float || base == reflection::Double) {
      real(field.default_real());
    } else {
      integer(*field.type(), field.default_integer());
    }
  }

  // What a field holds in its place.
  bool value(const reflection::Type& type, std::size_t at, std::uint8_t union_type, unsigned depth) {
    if (is_scalar(type.base_type())) return scalar(type, type.base_type(), at);
    std::size_t to = 0;
    switch (type.base_type()) {
      case reflection::Obj: {
        const auto& object = *schema_.objects()->Get(static_cast<unsigned>(type.index()));
        if (object.is_struct()) return structure(object, at, depth + 1);
        return follow(at, to) && table(object, to, depth + 1);
      }
      case reflection::String:
        return follow(at, to) && string(to);
      case reflection::Vector:
        return follow(at, to) && vector(type, to, depth);
      case reflection::Union:
        return follow(at, to) && member(type, union_type, to, depth);
      default:
        return wrong("a field has a type that no table holds");
    }
  }

  bool member(const reflection::Type& type, std::uint8_t union_type, std::size_t at, unsigned depth) {
    const auto& enumeration = *schema_.enums()->Get(static_cast<unsigned>(type.index()));
    for (const auto* value : *enumeration.values()) {
      if (value->value() != union_type || value->union_type() == nullptr) continue;
      if (value->union_type()->base_type() == reflection::String) return string(at);
      if (value->union_type()->base_type() != reflection::Obj) break;
      const auto& object = *schema_.objects()->Get(static_cast<unsigned>(value->union_type()->index()));
      return object.is_struct() ? structure(object, at, depth + 1) : table(object, at, depth + 1);
    }
    return leave_out(), true;  // a member of a newer schema
  }

  bool structure(const reflection::Object& object, std::size_t at, unsigned depth) {
    if (!inside(at, static_cast<std::size_t>(object.bytesize()))) return wrong("a struct lies outside of it");
    if (at % static_cast<std::size_t>(object.minalign()) != 0) return wrong("a struct is not aligned");
    if (depth >= limits_.depth) return leave_out(), true;
    text_ += '{';
    bool first = true;
    for (const auto* field : fields_by_offset(object)) {
      if (full()) break;
      const reflection::Type& type = *field->type();
      name(*field, first);
      if (type.base_type() != reflection::Array) {
        if (!value(type, at + field->offset(), 0, depth)) return false;
      } else if (!elements(type, at + field->offset(), type.fixed_length(), depth)) {
        return false;
      }
    }
    text_ += '}';
    return true;
  }

  bool vector(const reflection::Type& type, std::size_t at, unsigned depth) {
    flatbuffers::uoffset_t count = 0;
    if (!read(at, count)) return false;
    if (type.element() == reflection::Union) return leave_out(), true;
    const std::size_t each = element_bytes(type);
    if (!inside(at, sizeof count) || count > (message_.size() - at - sizeof count) / each) {
      return wrong("a vector is longer than it");
    }
    return elements(type, at + sizeof count, count, depth);
  }
  [[nodiscard]] std::size_t element_bytes(const reflection::Type& type) const {
    if (is_scalar(type.element())) return flatbuffers::GetTypeSize(type.element());
    if (type.element() != reflection::Obj) return sizeof(flatbuffers::uoffset_t);
    const auto& object = *schema_.objects()->Get(static_cast<unsigned>(type.index()));
    return object.is_struct() ? static_cast<std::size_t>(object.bytesize()) : sizeof(flatbuffers::uoffset_t);
  }
  bool elements(const reflection::Type& type, std::size_t at, std::size_t count, unsigned depth) {
    const std::size_t each = element_bytes(type);
    text_ += '[';
    for (std::size_t i = 0; i != count; ++i) {
      if (i != 0) text_ += ',';
      if (i == limits_.elements || full()) {
        text_ += json_text("... " + std::to_string(count - i) + " more");
        cut_ = true;
        break;
      }
      if (!element(type, at + i * each, depth)) return false;
    }
    text_ += ']';
    return true;
  }
  bool element(const reflection::Type& type, std::size_t at, unsigned depth) {
    if (is_scalar(type.element())) return scalar(type, type.element(), at);
    std::size_t to = 0;
    if (type.element() == reflection::String) return follow(at, to) && string(to);
    const auto& object = *schema_.objects()->Get(static_cast<unsigned>(type.index()));
    if (object.is_struct()) return structure(object, at, depth + 1);
    return follow(at, to) && table(object, to, depth + 1);
  }

  bool string(std::size_t at) {
    flatbuffers::uoffset_t bytes = 0;
    if (!read(at, bytes)) return false;
    if (!inside(at + sizeof bytes, std::size_t{bytes} + 1)) return wrong("a string is longer than it");
    const auto* begin = reinterpret_cast<const char*>(message_.data()) + at + sizeof bytes;
    if (begin[bytes] != '\0') return wrong("a string does not end with a zero");
    const std::size_t room = limits_.text_bytes > text_.size() ? limits_.text_bytes - text_.size() : 0;
    const std::size_t shown = std::min({std::size_t{bytes}, limits_.string_bytes, room});
    std::string_view text(begin, shown);
    if (shown != bytes) {
      // Not through the middle of a character: its first byte has both high bits, the others only the highest.
      while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.remove_suffix(1);
      if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.remove_suffix(1);
      text_ += json_text(std::string(text) + "...");
      cut_ = true;
    } else {
      text_ += json_text(text);
    }
    return true;
  }

  bool scalar(const reflection::Type& type, BaseType base, std::size_t at) {
    switch (base) {
      case reflection::Float:
        return number<float>(at, [&](float value) { real(static_cast<double>(value)); });
      case reflection::Double:
        return number<double>(at, [&](double value) { real(value); });
      case reflection::Byte:
        return number<std::int8_t>(at, [&](auto value) { integer(type, value); });
      case reflection::Short:
        return number<std::int16_t>(at, [&](auto value) { integer(type, value); });
      case reflection::UShort:
        return number<std::uint16_t>(at, [&](auto value) { integer(type, value); });
      case reflection::Int:
        return number<std::int32_t>(at, [&](auto value) { integer(type, value); });
      case reflection::UInt:
        return number<std::uint32_t>(at, [&](auto value) { integer(type, value); });
      case reflection::Long:
      case reflection::ULong:
        return number<std::int64_t>(at, [&](auto value) { integer(type, value); });
      default:
        return number<std::uint8_t>(at, [&](auto value) { integer(type, value); });
    }
  }
  template <class T, class Print>
  bool number(std::size_t at, Print&& print) {
    T value{};
    if (!read(at, value)) return false;
    print(value);
    return true;
  }

  // JSON has no word for what is no number.
  void real(double value) {
    if (std::isfinite(value)) {
      text_ += fmt::format("{}", value);
    } else {
      text_ += std::isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"";
    }
  }
  void integer(const reflection::Type& type, std::int64_t value) {
    const bool vector = type.base_type() == reflection::Vector || type.base_type() == reflection::Array;
    const BaseType base = vector ? type.element() : type.base_type();
    if (type.index() >= 0 && enumerator(*schema_.enums()->Get(static_cast<unsigned>(type.index())), value)) return;
    if (base == reflection::Bool) {
      text_ += value != 0 ? "true" : "false";
    } else if (base == reflection::ULong) {
      text_ += std::to_string(static_cast<std::uint64_t>(value));
    } else {
      text_ += std::to_string(value);
    }
  }
  // By name; several, for flags. False: it has none.
  bool enumerator(const reflection::Enum& enumeration, std::int64_t value) {
    visits_ += enumeration.values()->size() / 64;
    const bool flags = has_attribute(enumeration, "bit_flags");
    std::int64_t left = value;
    std::string names;
    for (const auto* candidate : *enumeration.values()) {
      const bool fits = flags ? candidate->value() != 0 && (left & candidate->value()) == candidate->value()
                              : candidate->value() == value;
      if (!fits) continue;
      names += (names.empty() ? "" : " ") + candidate->name()->str();
      left &= ~candidate->value();
      if (!flags) break;
    }
    if (names.empty() || (flags && left != 0)) return false;
    text_ += json_text(names);
    return true;
  }

  const reflection::Schema& schema_;
  std::span<const std::byte> message_;
  const DecodeLimits& limits_;
  std::string text_;
  std::size_t visits_ = 0;
  bool cut_ = false;
  const char* what_ = "";
};

}  // namespace

Result<Decoded> decode(const reflection::Schema& schema, const reflection::Object& table,
                       std::span<const std::byte> message, const DecodeLimits& limits) {
  Walk walk(schema, message, limits);
  if (!walk.root(table)) {
    return make_error(Code::invalid_argument, 0, {}, "the message is no valid %s: %s", table.name()->c_str(),
                      walk.what());
  }
  return walk.take();
}

}  // namespace taut::tool
