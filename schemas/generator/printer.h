// Text with holes: print("put($ + $);\n", "base", 24) gives put(base + 24);
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gen {

class Printer {
 public:
  // Each $ of `form` stands for the next argument: text or a whole number.
  template <class... Arguments>
  void operator()(std::string_view form, const Arguments&... arguments) {
    const std::string texts[] = {text(arguments)..., ""};
    append(form, texts);
  }

  void comment(const std::vector<std::string>& lines, std::string_view indent) {
    for (const std::string& line : lines) (*this)("$//$\n", indent, line);
  }

  // What follows is in this namespace; neighbours of one namespace share its braces. Empty: the global one.
  void enter(const std::string& space) {
    if (space == space_) return;
    if (!space_.empty()) (*this)("}  // namespace $\n\n", space_);
    space_ = space;
    if (!space_.empty()) (*this)("namespace $ {\n\n", space_);
  }

  std::string take() {
    enter("");
    return std::move(out_);
  }

 private:
  static std::string text(std::string_view value) { return std::string(value); }
  static std::string text(std::integral auto value) { return std::to_string(value); }

  void append(std::string_view form, const std::string* next) {
    for (const char c : form) {
      if (c == '$') {
        out_ += *next++;
      } else {
        out_ += c;
      }
    }
  }

  std::string out_;
  std::string space_;
};

// "base", 24 -> base + 24
inline std::string plus(std::string_view pointer, std::uint64_t bytes) {
  return bytes == 0 ? std::string(pointer) : std::string(pointer) + " + " + std::to_string(bytes);
}

}  // namespace gen
