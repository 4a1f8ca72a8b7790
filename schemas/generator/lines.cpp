#include "lines.h"

#include <cctype>
#include <fstream>
#include <iterator>

#include "model.h"

namespace gen {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool declares(std::string_view word, bool service) {
  return service ? word == "rpc_service" : word == "table" || word == "struct" || word == "enum" || word == "union";
}

}  // namespace

const std::vector<Lines::Token>& Lines::tokens(const std::string& file) {
  const auto [place, is_new] = files_.try_emplace(file);
  if (!is_new) return place->second;
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  int line = 1;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    if (text.compare(i, 2, "//") == 0) {
      i = std::min(text.find('\n', i), text.size());
    } else if (text.compare(i, 2, "/*") == 0) {
      i = std::min(text.find("*/", i + 2), text.size() - 2) + 2;
    } else if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"' && text[i] != '\n'; ++i) i += text[i] == '\\' ? 1 : 0;
      i = std::min(i + 1, text.size());
    } else if (is_word(text[i])) {
      while (i < text.size() && is_word(text[i])) ++i;
      place->second.push_back({text.substr(start, i - start), line});
    } else {
      if (std::isspace(static_cast<unsigned char>(text[i])) == 0) place->second.push_back({text.substr(i, 1), line});
      ++i;
    }
    for (std::size_t c = start; c < i; ++c) line += text[c] == '\n' ? 1 : 0;
  }
  return place->second;
}

std::size_t Lines::body(const std::vector<Token>& tokens, std::string_view owner, bool service) {
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (!declares(tokens[i].text, service) || tokens[i + 1].text != owner) continue;
    for (i += 2; i < tokens.size(); ++i) {
      if (tokens[i].text == "{") return i + 1;
    }
  }
  return 0;
}

int Lines::of(const std::string& file, std::string_view owner, std::string_view member) {
  const auto& all = tokens(file);
  const std::size_t first = body(all, owner);
  if (first == 0) return 0;
  if (member.empty()) return line_of_owner(all, owner, first);
  const std::size_t at = find(all, owner, member);
  return at == 0 ? 0 : all[at].line;
}

int Lines::of_value(const std::string& file, std::string_view owner, std::string_view value) {
  const auto& all = tokens(file);
  const std::size_t first = body(all, owner);
  for (std::size_t i = first; first != 0 && i < all.size() && all[i].text != "}"; ++i) {
    const bool begins = all[i - 1].text == "{" || all[i - 1].text == ",";
    if (begins && all[i].text == value) return all[i].line;
  }
  return 0;
}

int Lines::line_of_owner(const std::vector<Token>& all, std::string_view owner, std::size_t body) {
  while (body != 0 && all[body - 1].text != owner) --body;
  return body == 0 ? 0 : all[body - 1].line;
}

std::size_t Lines::find(const std::vector<Token>& all, std::string_view owner, std::string_view member) {
  const std::size_t first = body(all, owner);
  for (std::size_t i = first; first != 0 && i + 1 < all.size() && all[i].text != "}"; ++i) {
    const bool begins = all[i - 1].text == "{" || all[i - 1].text == ";";
    if (begins && all[i].text == member && all[i + 1].text == ":") return i;
  }
  return 0;
}

std::string Lines::default_of(const std::string& file, std::string_view owner, std::string_view member) {
  const auto& all = tokens(file);
  std::size_t i = find(all, owner, member);
  for (; i != 0 && i + 1 < all.size() && all[i].text != ";" && all[i].text != "("; ++i) {
    if (all[i].text == "=") return all[i + 1].text;
  }
  return "";
}

void Lines::place(Service& service) {
  const auto& all = tokens(service.where.file);
  const std::string name = last_name(service.name);
  std::size_t i = body(all, name, true);
  if (i == 0) return;
  service.where.line = line_of_owner(all, name, i);
  for (Method& method : service.methods) {
    for (std::size_t at = i; at + 1 < all.size() && all[at].text != "}"; ++at) {
      const bool begins = all[at - 1].text == "{" || all[at - 1].text == ";";
      if (begins && all[at].text == method.name) {
        method.where.line = all[at].line;
        i = at + 1;
        break;
      }
    }
  }
}

}  // namespace gen
