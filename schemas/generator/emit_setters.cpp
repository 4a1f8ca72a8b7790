#include "emit.h"
#include "types.h"

namespace gen {
namespace {

void setter(Printer& print, const Model& model, const Object& one, const Field& field) {
  const std::uint32_t place = one.table + field.at;
  const std::string type = element_type(model, field);
  const auto present = [&] { print("    Base::present($, $);\n", 4 + field.entry(), field.at); };
  switch (field.kind) {
    case Kind::scalar:
    case Kind::structure:
      print("  void $($ value) noexcept {\n", field.name, field.kind == Kind::scalar ? type : "const " + type + "&");
      if (field.may_be_absent()) present();
      print("    Base::set($, value);\n  }\n", place);
      return;
    case Kind::scalars:
    case Kind::structures:
      print("  [[nodiscard]] std::span<$> $(std::size_t count) noexcept {\n", type, field.name);
      present();
      print("    return Base::items<$>($, count$);\n  }\n", type, place, cap_argument(field));
      return;
    default:
      break;
  }
  std::string parameter = "const " + init_type(model, field) + "&";
  if (field.kind == Kind::string) parameter = "std::string_view";
  if (field.kind == Kind::table) parameter = "const " + init_name(object_of(model, field)) + "&";
  const std::string part = part_name(model, field);
  print("  void $($ value) noexcept {\n", field.name, parameter);
  present();
  print("    Base::append(taut::stubs::after_$(Base::end(), value$), [&](std::uint32_t end) {\n", part,
        cap_argument(field));
  print("      return taut::stubs::put_$(Base::message(), $, end, value);\n    });\n  }\n", part, place);
}

}  // namespace

void emit_setters(Printer& print, const Model& model, const Object& one) {
  const auto fields = live(one);
  print("// Fills a message in claimed room, in any order; what is not set has its default or is absent.\n");
  print("class taut::Schema<$>::Setters : private taut::stubs::SettersBase {\n", cpp_name(one.name));
  print(R"(  using Base = taut::stubs::SettersBase;

 public:
  Setters(std::byte* message, std::uint32_t room) noexcept : Base(message, room, kBlock) {
    if (!Base::fits()) return;
    store_values<taut::stubs::Place::root>(message, Init{});
)");
  for (const Field* field : fields) {
    if (field->is_part())
      print("    taut::stubs::put_absent(message, $, $);\n", 4 + field->entry(), one.table + field->at);
  }
  print("  }\n\n  using Base::fits;\n");
  for (const Field* field : fields) {
    print("\n");
    print.comment(field->documentation, "  ");
    setter(print, model, one, *field);
  }
  print("\n  // Bytes of the message; 0 when it did not fit. Required parts that were not set become empty.\n");
  print("  std::uint32_t finish() noexcept {\n");
  for (const Field* field : fields) {
    if (!field->is_part() || !field->required) continue;
    const bool span = field->kind == Kind::scalars || field->kind == Kind::structures;
    print("    if (!Base::is_present($)) $$($);\n", 4 + field->entry(), span ? "(void)" : "", field->name,
          span ? "0" : "{}");
  }
  print("    return Base::bytes();\n  }\n};\n\n");
}

}  // namespace gen
