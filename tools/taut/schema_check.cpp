#include "schema_check.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <string>

#include "flatbuffers/reflection.h"

namespace taut::tool {
namespace {

using reflection::BaseType;

constexpr std::size_t kSchemaBytesMax = 64 << 20;
constexpr std::uint32_t kStructBytesMax = 1 << 20;

bool is_name(const flatbuffers::String* name) noexcept {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  };
  return name != nullptr && name->size() != 0 && std::all_of(name->begin(), name->end(), allowed);
}

// Any byte may stand where a base type belongs, and loading one that is none into the enum is undefined already.
bool is_known(const reflection::Type* type) noexcept {
  const auto* raw = reinterpret_cast<const flatbuffers::Table*>(type);
  const auto known = [raw](flatbuffers::voffset_t field) {
    const auto base = raw->GetField<std::uint8_t>(field, 0);
    return base <= static_cast<std::uint8_t>(reflection::Array);
  };
  return known(reflection::Type::VT_BASE_TYPE) && known(reflection::Type::VT_ELEMENT);
}

// Walks a schema whose bytes are well formed. The first thing that is wrong, and where, ends it.
class Check {
 public:
  explicit Check(const reflection::Schema& schema) noexcept : schema_(schema) {}

  bool run() {
    if (!types_are_known()) return false;
    for (const auto* enumeration : *schema_.enums()) {
      if (!enumeration_is_good(*enumeration)) return false;
    }
    for (const auto* object : *schema_.objects()) {
      if (!is_name(object->name())) return wrong("an object", "has a name that cannot be one");
      // Structs first: tables ask for their sizes.
      if (object->is_struct() && !struct_is_good(*object, 0)) return false;
    }
    for (const auto* object : *schema_.objects()) {
      if (!object->is_struct() && !table_is_good(*object)) return false;
    }
    return services_are_good();
  }
  [[nodiscard]] const std::string& what() const noexcept { return what_; }

 private:
  // Before any of them is looked at.
  bool types_are_known() {
    for (const auto* enumeration : *schema_.enums()) {
      if (!is_known(enumeration->underlying_type())) return wrong("an enum", "is of a type that there is not");
      for (const auto* value : *enumeration->values()) {
        if (value->union_type() == nullptr || is_known(value->union_type())) continue;
        return wrong("a union", "has a member of a type that there is not");
      }
    }
    for (const auto* object : *schema_.objects()) {
      for (const auto* field : *object->fields()) {
        if (!is_known(field->type())) return wrong("a field", "has a type that there is not");
      }
    }
    return true;
  }

  bool wrong(const std::string& whose, const char* how) {
    what_ = whose + " " + how;
    return false;
  }
  [[nodiscard]] bool is_object(int index) const noexcept {
    return index >= 0 && static_cast<unsigned>(index) < schema_.objects()->size();
  }
  [[nodiscard]] bool is_enum(int index) const noexcept {
    return index >= 0 && static_cast<unsigned>(index) < schema_.enums()->size();
  }
  [[nodiscard]] const reflection::Object& object(int index) const { return *schema_.objects()->Get(index); }

  // S1, for what may stand alone in a table or be an element of a vector.
  [[nodiscard]] bool single_is_good(BaseType base, int index) const noexcept {
    if (is_scalar(base)) return index == -1 || is_enum(index);
    if (base == reflection::Obj) return is_object(index);
    if (base == reflection::Union) return is_enum(index) && schema_.enums()->Get(index)->is_union();
    return base == reflection::String;
  }
  [[nodiscard]] bool type_is_good(const reflection::Type& type) const noexcept {
    if (type.base_type() == reflection::Vector) return single_is_good(type.element(), type.index());
    return single_is_good(type.base_type(), type.index());
  }

  bool enumeration_is_good(const reflection::Enum& enumeration) {
    if (!is_name(enumeration.name())) return wrong("an enum", "has a name that cannot be one");
    const std::string name = enumeration.name()->str();
    if (!is_scalar(enumeration.underlying_type()->base_type())) return wrong(name, "is an enum of what is no scalar");
    if (enumeration.values()->size() == 0) return wrong(name, "has no values");
    for (const auto* value : *enumeration.values()) {
      if (!is_name(value->name())) return wrong(name, "has a value whose name cannot be one");
      const auto* type = value->union_type();
      if (type == nullptr || type->base_type() == reflection::None) continue;
      const bool possible =
          type->base_type() == reflection::String || (type->base_type() == reflection::Obj && is_object(type->index()));
      if (!possible) return wrong(name, "has a member that no union can have");
    }
    return true;
  }

  // S2. The depth ends what holds itself.
  bool struct_is_good(const reflection::Object& object, unsigned depth) {
    const std::string name = object.name()->str();
    if (depth > kStructDepthMax) return wrong(name, "holds itself, or structs too deep");
    if (depth == 0 && good_structs_.contains(&object)) return true;
    const int bytes = object.bytesize(), alignment = object.minalign();
    if (!object.is_struct() || bytes <= 0 || static_cast<std::uint32_t>(bytes) > kStructBytesMax || alignment <= 0 ||
        alignment > 256 || !std::has_single_bit(static_cast<unsigned>(alignment)) || bytes % alignment != 0) {
      return wrong(name, "has an impossible size or alignment");
    }
    for (const auto* field : *object.fields()) {
      if (!is_name(field->name())) return wrong(name, "has a field whose name cannot be one");
      const reflection::Type& type = *field->type();
      const bool is_array = type.base_type() == reflection::Array;
      const BaseType base = is_array ? type.element() : type.base_type();
      if (!is_scalar(base) && base != reflection::Obj) return wrong(name, "holds what no struct can hold");
      if (!single_is_good(base, type.index())) return wrong(name, "has a field of a type that is not there");
      if (base == reflection::Obj) {
        const auto& inner = this->object(type.index());
        if (!good_structs_.contains(&inner) && !struct_is_good(inner, depth + 1)) return false;
      }
      const std::size_t each = is_scalar(base) ? flatbuffers::GetTypeSize(base)
                                               : static_cast<std::size_t>(this->object(type.index()).bytesize());
      const std::size_t all = each * (is_array ? type.fixed_length() : 1);
      if (all == 0 || field->offset() + all > static_cast<std::size_t>(bytes)) {
        return wrong(name, "has a field outside of its bytes");
      }
    }
    good_structs_.insert(&object);
    return true;
  }

  // S3
  bool table_is_good(const reflection::Object& object) {
    const std::string name = object.name()->str();
    std::map<unsigned, const reflection::Field*> by_offset;
    for (const auto* field : *object.fields()) {
      if (!is_name(field->name())) return wrong(name, "has a field whose name cannot be one");
      if (!type_is_good(*field->type())) return wrong(name, "has a field of a type that is not there");
      if (field->offset() < 4 || field->offset() % 2 != 0 || !by_offset.emplace(field->offset(), field).second) {
        return wrong(name, "has a field with an offset that cannot be");
      }
    }
    for (const auto* field : *object.fields()) {
      if (field->type()->base_type() != reflection::Union) continue;
      const auto type = by_offset.find(field->offset() - 2u);
      if (type == by_offset.end() || type->second->type()->base_type() != reflection::UType ||
          type->second->type()->index() != field->type()->index()) {
        return wrong(name, "has a union without its type");
      }
    }
    return true;
  }

  bool services_are_good() {
    if (schema_.services() == nullptr) return true;
    for (const auto* service : *schema_.services()) {
      if (!is_name(service->name())) return wrong("a service", "has a name that cannot be one");
      if (service->calls() == nullptr) continue;
      for (const auto* call : *service->calls()) {
        if (!is_name(call->name()) || !is_name(call->request()->name()) || !is_name(call->response()->name())) {
          return wrong(service->name()->str(), "has a method or a table whose name cannot be one");
        }
      }
    }
    return true;
  }

  const reflection::Schema& schema_;
  std::set<const reflection::Object*> good_structs_;
  std::string what_;
};

}  // namespace

Result<const reflection::Schema*> check_schema(std::span<const std::byte> binary, std::string_view whose) {
  const int whose_bytes = static_cast<int>(whose.size());
  const auto refused = [&](const char* how) {
    return make_error(Code::failed_precondition, 0, {}, "%.*s %s", whose_bytes, whose.data(), how);
  };
  if (binary.empty()) return refused("is empty: the server has none");
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(binary.data());
  // The shortest has a root, an identifier and a table.
  if (binary.size() < 16 || binary.size() > kSchemaBytesMax) return refused("is not a binary FlatBuffers schema");
  flatbuffers::Verifier verifier(bytes, binary.size());
  if (!reflection::VerifySchemaBuffer(verifier)) return refused("is not a binary FlatBuffers schema");
  const auto* schema = reflection::GetSchema(bytes);
  Check check(*schema);
  if (!check.run()) {
    return make_error(Code::failed_precondition, 0, {}, "%.*s contradicts itself: %s", whose_bytes, whose.data(),
                      check.what().c_str());
  }
  return schema;
}

std::size_t inline_bytes(const reflection::Schema& schema, const reflection::Type& type) {
  if (is_scalar(type.base_type())) return flatbuffers::GetTypeSize(type.base_type());
  if (type.base_type() == reflection::Obj) {
    const auto& object = *schema.objects()->Get(static_cast<unsigned>(type.index()));
    if (object.is_struct()) return static_cast<std::size_t>(object.bytesize());
  }
  return sizeof(flatbuffers::uoffset_t);
}

const reflection::Object* table_named(const reflection::Schema& schema, std::string_view name) {
  for (const auto* object : *schema.objects()) {
    if (object->name()->string_view() == name) return object;
  }
  return nullptr;
}

const reflection::KeyValue* attribute_named(const reflection::RPCCall& method, std::string_view name) {
  if (method.attributes() == nullptr) return nullptr;
  for (const auto* attribute : *method.attributes()) {
    if (attribute->key()->string_view() == name) return attribute;
  }
  return nullptr;
}

rpc::CallKind kind_of(const reflection::RPCCall& method) {
  if (attribute_named(method, "oneway") != nullptr) return rpc::CallKind::oneway;
  const auto* const streaming = attribute_named(method, "streaming");
  if (streaming == nullptr || streaming->value() == nullptr) return rpc::CallKind::unary;
  const std::string_view value = streaming->value()->string_view();
  if (value == "server") return rpc::CallKind::server_stream;
  if (value == "client") return rpc::CallKind::client_stream;
  return value == "both" ? rpc::CallKind::both_ways : rpc::CallKind::unary;
}

}  // namespace taut::tool
