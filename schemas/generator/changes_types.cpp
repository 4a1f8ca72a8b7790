// What a pair of declarations changed: tables and their fields, structs, enums, unions.
#include <algorithm>
#include <cctype>

#include "comparison.h"

namespace gen {
namespace {

const Field* by_id(const Object& object, std::uint16_t id) {
  for (const Field& one : object.fields) {
    if (one.id == id) return &one;
  }
  return nullptr;
}

const Field* by_name(const Object& object, const std::string& name) {
  for (const Field& one : object.fields) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

const EnumValue* by_name(const Enum& one, const std::string& name) {
  for (const EnumValue& value : one.values) {
    if (value.name == name) return &value;
  }
  return nullptr;
}

const EnumValue* by_value(const Enum& one, std::int64_t wanted) {
  for (const EnumValue& value : one.values) {
    if (value.value == wanted) return &value;
  }
  return nullptr;
}

bool holds_objects(const Field& field) { return field.base == reflection::Obj; }
bool holds_enums(const Field& field) { return field.base != reflection::Obj && field.index >= 0; }

bool is_vector(const Field& field) {
  return field.kind == Kind::scalars || field.kind == Kind::structures || field.kind == Kind::strings ||
         field.kind == Kind::tables || field.unsupported == "a vector of unions";
}

std::string base_text(reflection::BaseType base) {
  std::string name = reflection::EnumNameBaseType(base);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::string cap_text(const Field& field) { return field.max == 0 ? "no cap" : "the cap " + std::to_string(field.max); }

std::string default_text(const Field& field) {
  if (field.nullable) return "null";
  if (field.base == reflection::Float || field.base == reflection::Double) return std::to_string(field.default_real);
  return std::to_string(field.default_integer);
}

// What a writer that leaves out defaults does not say, readers take from their own schema.
bool same_default(const Field& before, const Field& after) {
  if (before.kind != Kind::scalar || after.kind != Kind::scalar) return true;
  if (before.nullable || after.nullable) return before.nullable == after.nullable;
  return before.default_integer == after.default_integer && before.default_real == after.default_real;
}

std::string enum_kind(const Enum& one) { return (one.is_union ? "union " : "enum ") + one.name; }

}  // namespace

std::string type_text(const Model& model, const Field& field) {
  std::string name = base_text(field.base);
  if (holds_objects(field)) name = model.objects[static_cast<std::size_t>(field.index)].name;
  if (holds_enums(field)) name = model.enums[static_cast<std::size_t>(field.index)].name;
  if (is_vector(field)) return "[" + name + "]";
  return field.array == 0 ? name : "[" + name + ":" + std::to_string(field.array) + "]";
}

bool Comparison::is_renamed(const Object& before, const Object& after) const {
  const auto holds = [](const Model& model, const std::string& name) {
    return std::any_of(model.objects.begin(), model.objects.end(), [&](const Object& one) { return one.name == name; });
  };
  return !holds(new_, before.name) && !holds(old_, after.name);
}

// ---- the way from methods to everything below ----

void Comparison::reach(Two objects, unsigned way) {
  unsigned& known = objects_[objects];
  if ((known | way) == known) return;
  known |= way;
  const Object& before = old_object(objects.first);
  const Object& after = new_object(objects.second);
  if (before.is_struct != after.is_struct) return;
  for (const Field& field : before.fields) {
    const Field* const same = by_id(after, field.id);
    if (same != nullptr && !field.deprecated && !same->deprecated) reach_field(field, *same, way);
  }
}

void Comparison::reach_field(const Field& before, const Field& after, unsigned way) {
  if (holds_objects(before) && holds_objects(after)) {
    const Object& from = old_object(before.index);
    const Object& to = new_object(after.index);
    if (from.is_struct == to.is_struct && (from.name == to.name || is_renamed(from, to)))
      reach({before.index, after.index}, way);
  } else if (holds_enums(before) && holds_enums(after) && !differs(before, after)) {
    reach_enums({before.index, after.index}, way);
  }
}

void Comparison::reach_enums(Two enums, unsigned way) {
  unsigned& known = enums_[enums];
  if ((known | way) == known) return;
  known |= way;
  for (const EnumValue& value : old_enum(enums.first).values) {
    const EnumValue* const same = by_value(new_enum(enums.second), value.value);
    if (same == nullptr || value.object < 0 || same->object < 0) continue;
    const Object& from = old_object(value.object);
    const Object& to = new_object(same->object);
    if (from.name == to.name || is_renamed(from, to)) reach({value.object, same->object}, way);
  }
}

// ---- tables ----

void Comparison::table(Two objects, unsigned way) {
  const Object& before = old_object(objects.first);
  const Object& after = new_object(objects.second);
  for (const Field& field : before.fields) {
    if (field.base == reflection::UType && field.kind == Kind::unsupported) continue;  // goes with its union
    const Field* const same = by_id(after, field.id);
    if (same != nullptr && same->name == field.name) {
      same_field("field " + quoted(field.name) + " of table " + after.name, field, *same, way);
    } else {
      moved_field(before, after, field, way);
    }
  }
  for (const Field& field : after.fields) {
    if (by_id(before, field.id) == nullptr) added_field(after, before, field, way);
  }
}

// Its id is gone, or another field has it.
void Comparison::moved_field(const Object& before, const Object& after, const Field& field, unsigned way) {
  const std::string name = "field " + quoted(field.name) + " of table " + after.name;
  const std::string id = std::to_string(field.id);
  const Field* const named = by_name(after, field.name);
  const Field* const placed = by_id(after, field.id);
  if (named != nullptr) {
    if (field.deprecated && named->deprecated) return;
    return breaks(named->where, "field_id", way, Unread::both,
                  name + " has the id " + std::to_string(named->id) + "; it was " + id,
                  "each side looks for it in the other's place; write (id: " + id + ")");
  }
  if (placed == nullptr) {
    if (field.deprecated) return;
    if (field.required) {
      return breaks(field.where, "field_removed", way, Unread::by_old, name + " is gone, and was (required)",
                    "old readers refuse messages without it; mark it (deprecated) when no old reader is left");
    }
    return warn(field.where, "field_removed", name + " is gone",
                "new readers ignore it; but the next field gets its id " + id + ": mark it (deprecated) instead");
  }
  if (by_name(before, placed->name) != nullptr || placed->deprecated) return;  // said of that field
  if (!field.deprecated && !differs(field, *placed)) {
    warn(placed->where, "field_renamed",
         "field " + quoted(placed->name) + " of table " + after.name + " was called " + quoted(field.name),
         "messages stay the same; a field of another meaning needs an id of its own");
    return same_field("field " + quoted(placed->name) + " of table " + after.name, field, *placed, way);
  }
  breaks(placed->where, "field_id_reused", way, Unread::both,
         "field " + quoted(placed->name) + " of table " + after.name + " has the id " + id + " of " +
             (field.deprecated ? "the deprecated " : "") + quoted(field.name),
         "peers that know " + quoted(field.name) + " read one as the other; give it an id that was never used");
}

// Do the bytes of one mean something else to a reader of the other? An enum of one name is looked at by itself.
bool Comparison::differs(const Field& before, const Field& after) const {
  const bool enums =
      holds_enums(before) && holds_enums(after) && before.array == after.array && is_vector(before) == is_vector(after);
  if (enums && old_enum(before.index).name == new_enum(after.index).name) return false;
  if (before.base != after.base || before.array != after.array || is_vector(before) != is_vector(after)) return true;
  if (!holds_objects(before)) return false;
  const Object& from = old_object(before.index);
  const Object& to = new_object(after.index);
  return from.is_struct != to.is_struct || (from.name != to.name && !is_renamed(from, to));
}

void Comparison::same_field(const std::string& name, const Field& before, const Field& after, unsigned way) {
  if (after.deprecated && before.required && !before.deprecated) {
    return breaks(after.where, "field_deprecated", way, Unread::by_old, name + " is (deprecated), and was (required)",
                  "old readers refuse messages without it");
  }
  if (after.deprecated || (before.deprecated && !differs(before, after))) return;
  if (differs(before, after)) {
    const std::string now = type_text(new_, after), was = type_text(old_, before);
    const bool tabled = now == was && !new_object(after.index).is_struct;  // or the other way round
    return breaks(after.where, "field_type", way, Unread::both,
                  now != was ? name + " is " + now + "; it was " + was
                             : name + " is " + now +
                                   (tabled ? ", a table now; it was a struct" : ", a struct now; it was a table"),
                  "each side reads the other's bytes as its own type; deprecate it and add a field");
  }
  if (holds_enums(before) != holds_enums(after)) {
    breaks(after.where, "field_type", way, holds_enums(after) ? Unread::by_new : Unread::by_old,
           name + " is " + type_text(new_, after) + "; it was " + type_text(old_, before),
           "readers that know it as an enum refuse numbers that the enum does not have");
  }
  if (!same_default(before, after)) {
    breaks(after.where, "field_default", way, Unread::both,
           name + " has the default " + default_text(after) + "; it was " + default_text(before),
           "writers that leave out defaults (FlatBuffers' builders, not taut's stubs) are read with the other one");
  }
  if (before.required != after.required) {
    breaks(after.where, after.required ? "field_required" : "field_not_required", way,
           after.required ? Unread::by_new : Unread::by_old,
           name + (after.required ? " is (required) now" : " is (required) no more"),
           after.required ? "new readers refuse messages of old writers that leave it out"
                          : "old readers refuse messages of new writers that leave it out");
  }
  if (before.max == after.max) return;
  const std::string caps = name + " has " + cap_text(after) + "; it was " + cap_text(before);
  if (after.max != 0 && (before.max == 0 || after.max < before.max)) {
    breaks(after.where, "field_cap", way, Unread::by_new, caps,
           "new readers refuse what old writers may send, and keep no room for it");
  } else {
    warn(after.where, "field_cap", caps, "old readers refuse longer ones: send none before all are upgraded");
  }
}

void Comparison::added_field(const Object& after, const Object& before, const Field& field, unsigned way) {
  if (!field.required || field.deprecated || by_name(before, field.name) != nullptr) return;
  breaks(field.where, "field_required", way, Unread::by_new,
         "field " + quoted(field.name) + " of table " + after.name + " is new and (required)",
         "new readers refuse messages of old writers, which lack it; mark it (optional)");
}

// ---- structs: stored in place, so nothing about them may change ----

void Comparison::structure(Two objects, unsigned way) {
  const Object& before = old_object(objects.first);
  const Object& after = new_object(objects.second);
  constexpr const char* kWhy = "structs are stored in place, and each side reads its own layout; make a new struct";
  const std::string name = "struct " + after.name;
  if (before.fields.size() != after.fields.size()) {
    return breaks(after.where, "struct_layout", way, Unread::both,
                  name + " has " + std::to_string(after.fields.size()) + " members; it had " +
                      std::to_string(before.fields.size()),
                  kWhy);
  }
  for (std::size_t i = 0; i != before.fields.size(); ++i) {
    const Field& from = before.fields[i];
    const Field& to = after.fields[i];
    if (differs(from, to)) {
      return breaks(to.where, "struct_layout", way, Unread::both,
                    "member " + quoted(to.name) + " of " + name + " is " + type_text(new_, to) + "; in its place was " +
                        quoted(from.name) + ", " + type_text(old_, from),
                    kWhy);
    }
    if (from.name == to.name) continue;
    if (by_name(after, from.name) != nullptr || by_name(before, to.name) != nullptr) {
      return breaks(to.where, "struct_layout", way, Unread::both,
                    "member " + quoted(to.name) + " of " + name + " stands where " + quoted(from.name) + " stood",
                    kWhy);
    }
    warn(to.where, "member_renamed", "member " + quoted(to.name) + " of " + name + " was called " + quoted(from.name),
         "messages stay the same; a member of another meaning needs a new struct");
  }
  const auto aligned = [](const Object& one) { return one.struct_align; };
  const bool inner = std::any_of(after.fields.begin(), after.fields.end(), holds_objects);  // said of the inner one
  if (aligned(before) != aligned(after) && !inner) {
    breaks(after.where, "struct_layout", way, Unread::both,
           name + " is aligned to " + std::to_string(aligned(after)) + "; it was " + std::to_string(aligned(before)),
           kWhy);
  }
}

// ---- enums and unions ----

void Comparison::enumeration(Two enums, unsigned way) {
  const Enum& before = old_enum(enums.first);
  const Enum& after = new_enum(enums.second);
  if (before.underlying != after.underlying || before.is_union != after.is_union) {
    return breaks(
        after.where, "enum_type", way, Unread::both,
        enum_kind(after) + " is stored as " + base_text(after.underlying) + "; it was " + base_text(before.underlying),
        "each side reads the other's bytes as its own; make a new enum");
  }
  const std::string noun = after.is_union ? "member" : "value";
  for (const EnumValue& value : before.values) {
    const EnumValue* const named = by_name(after, value.name);
    const EnumValue* const valued = by_value(after, value.value);
    const std::string name = noun + " " + quoted(value.name) + " of " + enum_kind(after);
    if (named != nullptr && named->value != value.value) {
      breaks(named->where, after.is_union ? "union_member" : "enum_value", way, Unread::both,
             name + " is " + std::to_string(named->value) + "; it was " + std::to_string(value.value),
             "each side reads the other's number as another " + noun);
    } else if (valued == nullptr) {
      breaks(value.where, after.is_union ? "union_member" : "enum_value", way, Unread::by_new,
             name + " (" + std::to_string(value.value) + ") is gone",
             "new readers refuse messages of old writers that hold it");
    } else if (named == nullptr && by_name(before, valued->name) == nullptr) {
      warn(valued->where, "value_renamed",
           noun + " " + quoted(valued->name) + " of " + enum_kind(after) + " was called " + quoted(value.name),
           "messages stay the same; another meaning needs another number");
    }
    const bool moved = named != nullptr && named->value != value.value;
    if (valued != nullptr && value.object >= 0 && !moved) union_member(name, value, *valued, way);
  }
  for (const EnumValue& value : after.values) {
    if (by_value(before, value.value) != nullptr || by_name(before, value.name) != nullptr) continue;
    warn(value.where, after.is_union ? "union_member" : "enum_value",
         noun + " " + quoted(value.name) + " (" + std::to_string(value.value) + ") of " + enum_kind(after) + " is new",
         "old readers refuse messages that hold it: send none before all are upgraded");
  }
  if (before.flags && !after.flags) {
    breaks(after.where, "enum_flags", way, Unread::by_new, enum_kind(after) + " is (bit_flags) no more",
           "new readers refuse combinations, which old writers may send");
  } else if (after.flags && !before.flags) {
    warn(after.where, "enum_flags", enum_kind(after) + " is (bit_flags) now",
         "old readers refuse combinations: send none before all are upgraded");
  }
}

void Comparison::union_member(const std::string& name, const EnumValue& before, const EnumValue& after, unsigned way) {
  if (after.object < 0) return;
  const Object& from = old_object(before.object);
  const Object& to = new_object(after.object);
  if (from.name == to.name || is_renamed(from, to)) return;
  breaks(after.where, "union_member", way, Unread::both, name + " is " + to.name + "; it was " + from.name,
         "each side reads the other's table as its own");
}

}  // namespace gen
