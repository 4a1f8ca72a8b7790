#include "shapes.h"

#include <algorithm>
#include <set>

namespace gen {
namespace {

class Shapes {
 public:
  Shapes(Model& model, std::vector<Problem>& problems) : model_(model), problems_(problems) {}

  void check() {
    std::set<int> used;
    for (const Service& service : model_.services) {
      if (!service.own) continue;
      for (const Method& method : service.methods) {
        reach(method.request, used);
        reach(method.reply, used);
      }
    }
    for (std::size_t i = 0; i != model_.objects.size(); ++i)
      shape(static_cast<int>(i), used.count(static_cast<int>(i)) != 0);
    // What reaches an unsupported table is not supported either.
    for (bool changed = true; changed;) {
      changed = false;
      for (Object& one : model_.objects) {
        for (const Field& field : one.fields) {
          if (field.deprecated || !points(field) || !one.supported || object(field.index).supported) continue;
          one.supported = false;
          changed = true;
        }
      }
    }
    for (std::size_t i = 0; i != model_.objects.size(); ++i) {
      std::set<int> below;
      for (const Field& field : model_.objects[i].fields) {
        if (!field.deprecated && points(field)) reach(field.index, below);
      }
      model_.objects[i].recursive = below.count(static_cast<int>(i)) != 0;
    }
    std::vector<bool> recursive;
    for (std::size_t i = 0; i != model_.objects.size(); ++i) {
      std::set<int> below;
      reach(static_cast<int>(i), below);
      recursive.push_back(std::any_of(below.begin(), below.end(), [&](int j) { return object(j).recursive; }));
    }
    for (std::size_t i = 0; i != model_.objects.size(); ++i) model_.objects[i].recursive = recursive[i];
  }

 private:
  void error(const Where& where, std::string text) { problems_.push_back({where, std::move(text), false}); }

  const Object& object(int index) const { return model_.objects[static_cast<std::size_t>(index)]; }

  void reach(int index, std::set<int>& seen) const {
    if (!seen.insert(index).second) return;
    for (const Field& field : object(index).fields) {
      if (!field.deprecated && points(field)) reach(field.index, seen);
    }
  }

  // Does the table hold itself without a vector between?
  bool holds(int index, int wanted, std::set<int>& seen) const {
    for (const Field& field : object(index).fields) {
      if (field.deprecated || field.kind != Kind::table) continue;
      if (field.index == wanted) return true;
      if (seen.insert(field.index).second && holds(field.index, wanted, seen)) return true;
    }
    return false;
  }

  void shape(int index, bool used) {
    Object& one = model_.objects[static_cast<std::size_t>(index)];
    const auto refuse = [&](const Where& where, std::string text) {
      one.supported = false;
      if (used) error(where, std::move(text));
    };
    if (one.is_struct && one.struct_align > 16) {
      refuse(one.where, "struct " + quoted(last_name(one.name)) + " has (force_align: " +
                            std::to_string(one.struct_align) + "); messages stand 16-aligned, so use at most 16");
    }
    for (const Field& field : one.fields) {
      if (field.deprecated) continue;
      if (field.kind == Kind::unsupported) one.supported = false;
      if (!field.unsupported.empty()) {
        const std::string fix = field.unsupported.find("union") != std::string::npos
                                    ? "; use one (optional) table per case instead"
                                    : "; leave the attribute out, or use a vector of bytes";
        refuse(field.where,
               "field " + quoted(field.name) + " is " + field.unsupported + ", which taut does not support" + fix);
      }
      if (field.kind == Kind::structures) {
        const Object& type = object(field.index);
        if (type.struct_bytes % type.struct_align != 0) {
          refuse(field.where, "field " + quoted(field.name) + " is a vector of struct " + quoted(last_name(type.name)) +
                                  ", whose " + std::to_string(type.struct_bytes) +
                                  " bytes are no multiple of its alignment " + std::to_string(type.struct_align) +
                                  "; add padding fields to the struct");
        }
      }
      if (field.kind == Kind::table) {
        std::set<int> seen;
        if (field.index == index || holds(field.index, index, seen)) {
          refuse(field.where, "field " + quoted(field.name) + " makes table " + quoted(last_name(one.name)) +
                                  " hold itself; use a vector of tables, which may be empty");
        }
      }
    }
  }

  Model& model_;
  std::vector<Problem>& problems_;
};

}  // namespace

bool points(const Field& field) {
  return field.base == reflection::Obj && field.index >= 0 && field.kind != Kind::unsupported;
}

void check_shapes(Model& model, std::vector<Problem>& problems) { Shapes(model, problems).check(); }

}  // namespace gen
