// Binary schemas do not say on which line a thing stands, so messages look it up in the text.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gen {

struct Service;

class Lines {
 public:
  // The line of `table Owner` (or struct, enum, union), or of `member :` inside it. 0 when it is not found.
  int of(const std::string& file, std::string_view owner, std::string_view member);
  // The line of `value ,` or `value =` inside `enum Owner`, or of a union's member. 0 when it is not found.
  int of_value(const std::string& file, std::string_view owner, std::string_view value);
  // The word behind `member : type =`; empty when there is none.
  std::string default_of(const std::string& file, std::string_view owner, std::string_view member);
  // Sets the line of the service and of each method. Methods may wrongly share a name, so they are found in their order
  // of appearance.
  void place(Service& service);

 private:
  struct Token {
    std::string text;
    int line;
  };
  const std::vector<Token>& tokens(const std::string& file);
  // The index of `member` inside the owner's declaration, or 0.
  std::size_t find(const std::vector<Token>& tokens, std::string_view owner, std::string_view member);
  // The index behind the `{` of the owner's declaration, or 0.
  std::size_t body(const std::vector<Token>& tokens, std::string_view owner, bool service = false);
  // The line on which the owner of that body is named.
  int line_of_owner(const std::vector<Token>& tokens, std::string_view owner, std::size_t body);

  std::map<std::string, std::vector<Token>> files_;
};

}  // namespace gen
