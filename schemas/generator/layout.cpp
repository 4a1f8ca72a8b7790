// Where each field stands in the tables that we write. The block begins 4 behind a base that is aligned as the widest
// field (for a root those 4 bytes are its distance), so the vtable can end where the fields begin without a hole.
#include <algorithm>

#include "model.h"

namespace gen {
namespace {

std::uint32_t up(std::uint32_t value, std::uint32_t align) { return (value + align - 1) / align * align; }

// Puts the widest field that fits at each position; answers the end of the table.
std::uint32_t place(std::vector<Field*> fields, std::uint32_t table) {
  std::uint32_t position = table + 4;
  while (!fields.empty()) {
    const auto fits = std::find_if(fields.begin(), fields.end(), [&](Field* f) { return position % f->align == 0; });
    if (fits == fields.end()) {
      ++position;
      continue;
    }
    (*fits)->at = position - table;
    position += (*fits)->bytes;
    fields.erase(fits);
  }
  return up(position, 4);
}

void lay_out(const Model& model, Object& object) {
  std::vector<Field*> fields;
  object.align = 4;
  for (Field& field : object.fields) {
    if (field.deprecated) continue;
    if (field.kind == Kind::scalar) {
      field.bytes = field.align = scalar_bytes(field.base);
    } else if (field.kind == Kind::structure) {
      const Object& type = model.objects[static_cast<std::size_t>(field.index)];
      field.bytes = type.struct_bytes;
      field.align = type.struct_align;
    } else {
      field.bytes = field.align = 4;
    }
    object.align = std::max(object.align, field.align);
    fields.push_back(&field);
  }
  std::stable_sort(fields.begin(), fields.end(), [](const Field* a, const Field* b) {
    return a->align != b->align ? a->align > b->align : a->align < 4 && a->bytes > b->bytes;
  });
  const std::uint32_t first = up(8 + 2 * object.vtable_entries(), 4);
  std::uint32_t best = 0, best_block = ~0u;
  for (std::uint32_t table = first; table < first + object.align; table += 4) {
    if (const std::uint32_t block = place(fields, table); block < best_block) {
      best = table;
      best_block = block;
    }
  }
  object.table = best;
  object.block = place(fields, best);
}

std::uint64_t bound(const Model& model, const Object& object, std::uint64_t end, int depth) {
  constexpr std::uint64_t kNone = 0;
  if (depth > 64) return kNone;
  for (const Field& field : object.fields) {
    if (field.deprecated || !field.is_part()) continue;
    if (field.kind != Kind::table && field.max == 0) return kNone;
    const std::uint64_t count = field.kind == Kind::table ? 1 : field.max;
    switch (field.kind) {
      case Kind::string:
        end += 8 + (count & ~std::uint64_t{3});
        break;
      case Kind::table:
      case Kind::tables: {
        if (field.kind == Kind::tables) end += 4 + 4 * count;
        const Object& type = model.objects[static_cast<std::size_t>(field.index)];
        const std::uint64_t each = bound(model, type, type.block, depth + 1);
        if (each == kNone) return kNone;
        end += count * (each + type.align - 4);
        break;
      }
      case Kind::strings:
        return kNone;  // nothing caps the strings themselves
      default: {
        std::uint64_t bytes = 8, align = 8;
        if (field.kind == Kind::structures) {
          bytes = model.objects[static_cast<std::size_t>(field.index)].struct_bytes;
          align = model.objects[static_cast<std::size_t>(field.index)].struct_align;
        } else {
          bytes = align = scalar_bytes(field.base);
        }
        end += (align > 4 ? align - 4 : 0) + 4 + (count * bytes + 3) / 4 * 4;
      }
    }
    if (end > (std::uint64_t{1} << 30)) return kNone;
  }
  return end;
}

}  // namespace

void lay_out(Model& model) {
  for (Object& object : model.objects) {
    if (!object.is_struct && object.supported) lay_out(model, object);
  }
}

std::uint64_t message_bound(const Model& model, const Object& table) {
  return table.recursive ? 0 : bound(model, table, table.block, 0);
}

}  // namespace gen
