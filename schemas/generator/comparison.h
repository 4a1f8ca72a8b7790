// How changes() finds what it lists: services first, then each pair of an old and a new declaration that stand for the
// same thing, with the directions in which messages of it travel.
#pragma once

#include <map>
#include <utility>

#include "changes.h"
#include "rules.h"

namespace gen {

// Which way messages of a table travel: bits.
inline constexpr unsigned kAsRequest = 1;
inline constexpr unsigned kAsReply = 2;

// Which readers cannot read what the other side wrote.
enum class Unread {
  none,
  by_new,  // the new reader fails at what an old writer wrote
  by_old,
  both,
};

class Comparison {
 public:
  Comparison(const Model& old_model, const Model& new_model) : old_(old_model), new_(new_model) {}
  std::vector<Change> run();

 private:
  // An index into the old model and one into the new.
  using Two = std::pair<int, int>;

  // --- services: changes.cpp
  void service(const Service& before);
  void method(const Service& before, const Service& after, const Method& old_method);
  void attributes(const Method& before, const Method& after, const std::string& name);
  void message(const Method& before, const Method& after, const std::string& name, bool request);

  // --- what the methods reach: changes_types.cpp
  void reach(Two objects, unsigned way);
  void reach_enums(Two enums, unsigned way);
  void reach_field(const Field& before, const Field& after, unsigned way);
  void table(Two objects, unsigned way);
  void moved_field(const Object& before, const Object& after, const Field& field, unsigned way);
  void same_field(const std::string& name, const Field& before, const Field& after, unsigned way);
  void added_field(const Object& after, const Object& before, const Field& field, unsigned way);
  void structure(Two objects, unsigned way);
  void enumeration(Two enums, unsigned way);
  void union_member(const std::string& name, const EnumValue& before, const EnumValue& after, unsigned way);
  // Does one stand for the other under a new name? Then what it was called is called nothing any more.
  [[nodiscard]] bool is_renamed(const Object& before, const Object& after) const;
  [[nodiscard]] bool differs(const Field& before, const Field& after) const;

  void breaks(const Where& where, const char* rule, unsigned way, Unread unread, std::string what, std::string why);
  void breaks_calls(const Where& where, const char* rule, bool old_clients, bool old_servers, std::string what,
                    std::string why);
  void warn(const Where& where, const char* rule, std::string what, std::string why);

  [[nodiscard]] const Object& old_object(int index) const { return old_.objects[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Object& new_object(int index) const { return new_.objects[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Enum& old_enum(int index) const { return old_.enums[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Enum& new_enum(int index) const { return new_.enums[static_cast<std::size_t>(index)]; }

  const Model& old_;
  const Model& new_;
  std::map<Two, unsigned> objects_;  // the ways in which they travel
  std::map<Two, unsigned> enums_;
  std::vector<Change> changes_;
};

// As the schema spells it: [desk.Level:3]
std::string type_text(const Model& model, const Field& field);

}  // namespace gen
