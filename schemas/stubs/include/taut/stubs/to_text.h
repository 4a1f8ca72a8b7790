// A message as one line of text, for a program's own log:
//
//   log(taut::to_text<desk::Orders>(order));
//   {id: 7, price: 10150, quantity: 100, side: sell, party: {symbol: "AAPL", client: "ACME"}}
//
// Named is the service that the message belongs to, whose embedded schema says what the bytes mean. Takes what a
// handler or callback has (const T&). The line is bounded: long texts, long vectors and deep tables are cut where
// TextLimits say, and show it. Whatever is not printable ASCII is escaped, so a message cannot break the line. Fields
// that this program's schema does not know, and deprecated ones, are left out.
//
// Not for the running path: it looks names up, and allocates the text.
//
// Trust    the message passed its check, as each has that a handler or callback is given. Nothing is read that the
// check
//          did not cover.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "flatbuffers/reflection_generated.h"
#include "taut/rpc/service.h"
#include "taut/stubs/schema.h"

namespace taut {

struct TextLimits {
  std::size_t bytes = 512;   // of the whole line
  std::size_t text = 80;     // bytes of a string, or of a vector or array of bytes
  std::size_t elements = 8;  // of any other vector or array
  unsigned depth = 4;        // tables within tables
};

namespace stubs {

class MessageText {
 public:
  MessageText(std::span<const std::byte> schema, const TextLimits& limits)
      : schema_(*reflection::GetSchema(schema.data())), limits_(limits) {}

  void message(std::string_view name, const std::byte* at) {
    for (const auto* object : *schema_.objects()) {
      if (object->name()->string_view() == name) return table(at, *object, 0);
    }
    put("(not a message of this service)");
  }
  // The line, cut to its limit.
  [[nodiscard]] std::string take() {
    if (out_.size() > limits_.bytes) {
      out_.resize(limits_.bytes < 3 ? 0 : limits_.bytes - 3);
      out_ += limits_.bytes < 3 ? "" : "...";
    }
    return std::move(out_);
  }

 private:
  template <class T>
  [[nodiscard]] static T load(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  [[nodiscard]] static const std::byte* follow(const std::byte* at) { return at + load<std::uint32_t>(at); }
  [[nodiscard]] static bool is_scalar(reflection::BaseType type) { return type <= reflection::Double; }

  void table(const std::byte* at, const reflection::Object& object, unsigned depth) {
    if (depth == limits_.depth) return put("{...}");
    const std::byte* vtable = at - load<std::int32_t>(at);
    const auto entries = load<std::uint16_t>(vtable);
    put("{");
    const char* separator = "";
    for (std::size_t id = 0; id != object.fields()->size() && !full(); ++id) {
      const reflection::Field* field = field_with(object, id);
      if (field == nullptr || field->deprecated()) continue;  // a deprecated field was not checked
      const auto place = field->offset() < entries ? load<std::uint16_t>(vtable + field->offset()) : std::uint16_t{0};
      const bool has_default = is_scalar(field->type()->base_type()) && !field->optional();
      if (place == 0 && !has_default) continue;
      put(separator);
      separator = ", ";
      put(field->name()->string_view());
      put(": ");
      place != 0 ? value(at + place, *field->type(), depth) : fallback(*field);
    }
    put("}");
  }
  // The schema lists fields by name.
  [[nodiscard]] static const reflection::Field* field_with(const reflection::Object& object, std::size_t id) {
    for (const auto* field : *object.fields()) {
      if (field->id() == id) return field;
    }
    return nullptr;
  }

  void structure(const std::byte* at, const reflection::Object& object) {
    put("{");
    for (std::size_t id = 0; id != object.fields()->size() && !full(); ++id) {
      const reflection::Field* field = field_with(object, id);
      if (field == nullptr) continue;
      if (id != 0) put(", ");
      put(field->name()->string_view());
      put(": ");
      value(at + field->offset(), *field->type(), 0);
    }
    put("}");
  }

  void value(const std::byte* at, const reflection::Type& type, unsigned depth) {
    switch (type.base_type()) {
      case reflection::String:
        return string(follow(at));
      case reflection::Obj: {
        const reflection::Object& object = *schema_.objects()->Get(static_cast<unsigned>(type.index()));
        return object.is_struct() ? structure(at, object) : table(follow(at), object, depth + 1);
      }
      case reflection::Vector: {
        const std::byte* vector = follow(at);
        return elements(vector + sizeof(std::uint32_t), load<std::uint32_t>(vector), type, depth);
      }
      case reflection::Array:
        return elements(at, type.fixed_length(), type, depth);
      default:
        return scalar(at, type.base_type(), type.index());
    }
  }

  void elements(const std::byte* first, std::size_t count, const reflection::Type& type, unsigned depth) {
    const reflection::BaseType base = type.element();
    if (base == reflection::UByte && type.index() < 0) return bytes(first, count);
    const reflection::Object* object =
        base == reflection::Obj ? schema_.objects()->Get(static_cast<unsigned>(type.index())) : nullptr;
    put("[");
    for (std::size_t i = 0; i != count && !full(); ++i) {
      if (i != 0) put(", ");
      if (i == limits_.elements) {
        number(count - i);
        put(" more");
        break;
      }
      if (object != nullptr && object->is_struct()) {
        structure(first + i * static_cast<std::size_t>(object->bytesize()), *object);
      } else if (object != nullptr) {
        table(follow(first + i * sizeof(std::uint32_t)), *object, depth + 1);
      } else if (base == reflection::String) {
        string(follow(first + i * sizeof(std::uint32_t)));
      } else {
        scalar(first + i * scalar_bytes(base), base, type.index());
      }
    }
    put("]");
  }

  [[nodiscard]] static std::size_t scalar_bytes(reflection::BaseType base) {
    switch (base) {
      case reflection::Short:
      case reflection::UShort:
        return 2;
      case reflection::Int:
      case reflection::UInt:
      case reflection::Float:
        return 4;
      case reflection::Long:
      case reflection::ULong:
      case reflection::Double:
        return 8;
      default:
        return 1;
    }
  }
  void scalar(const std::byte* at, reflection::BaseType base, int enumeration) {
    switch (base) {
      case reflection::Bool:
        return put(load<std::uint8_t>(at) != 0 ? "true" : "false");
      case reflection::Byte:
        return integer(load<std::int8_t>(at), enumeration);
      case reflection::UType:
      case reflection::UByte:
        return integer(load<std::uint8_t>(at), enumeration);
      case reflection::Short:
        return integer(load<std::int16_t>(at), enumeration);
      case reflection::UShort:
        return integer(load<std::uint16_t>(at), enumeration);
      case reflection::Int:
        return integer(load<std::int32_t>(at), enumeration);
      case reflection::UInt:
        return integer(load<std::uint32_t>(at), enumeration);
      case reflection::Long:
        return integer(load<std::int64_t>(at), enumeration);
      case reflection::ULong:
        return integer(load<std::uint64_t>(at), enumeration);
      case reflection::Float:
        return number(load<float>(at));
      case reflection::Double:
        return number(load<double>(at));
      default:
        return put("?");
    }
  }
  void fallback(const reflection::Field& field) {
    switch (field.type()->base_type()) {
      case reflection::Bool:
        return put(field.default_integer() != 0 ? "true" : "false");
      case reflection::Float:
        return number(static_cast<float>(field.default_real()));
      case reflection::Double:
        return number(field.default_real());
      case reflection::ULong:
        return integer(static_cast<std::uint64_t>(field.default_integer()), field.type()->index());
      default:
        return integer(field.default_integer(), field.type()->index());
    }
  }
  template <class T>
  void integer(T value, int enumeration) {
    if (enumeration >= 0) {
      for (const auto* known : *schema_.enums()->Get(static_cast<unsigned>(enumeration))->values()) {
        if (static_cast<T>(known->value()) == value) return put(known->name()->string_view());
      }
    }
    number(value);
  }
  template <class T>
  void number(T value) {
    char digits[32];
    put({digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value).ptr - digits)});
  }

  void string(const std::byte* at) { quoted(at + sizeof(std::uint32_t), load<std::uint32_t>(at)); }
  // Bytes are often text, with zeros behind it.
  void bytes(const std::byte* first, std::size_t count) {
    while (count != 0 && first[count - 1] == std::byte{0}) --count;
    quoted(first, count);
  }
  void quoted(const std::byte* first, std::size_t count) {
    static constexpr char kDigits[] = "0123456789abcdef";
    put("\"");
    const std::size_t shown = count < limits_.text ? count : limits_.text;
    for (std::size_t i = 0; i != shown && !full(); ++i) {
      const auto c = static_cast<unsigned char>(first[i]);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += static_cast<char>(c);
      } else if (c >= 0x20 && c < 0x7f) {
        out_ += static_cast<char>(c);
      } else {
        out_ += {'\\', 'x', kDigits[c >> 4], kDigits[c & 15]};
      }
    }
    put("\"");
    if (shown == count) return;
    put("...");
    number(count - shown);
    put(" more");
  }

  void put(std::string_view text) { out_ += text; }
  // Nothing more is looked at, whatever the message holds.
  [[nodiscard]] bool full() const { return out_.size() > limits_.bytes; }

  const reflection::Schema& schema_;
  const TextLimits limits_;
  std::string out_;
};

}  // namespace stubs

template <class Service, class T>
[[nodiscard]] std::string to_text(const T& message, const TextLimits& limits = {}) {
  stubs::MessageText text(Service::description().schema, limits);
  text.message(Schema<T>::kName, reinterpret_cast<const std::byte*>(&message));
  return text.take();
}

}  // namespace taut
