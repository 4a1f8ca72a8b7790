// taut-gen --fbs=FILE --bfbs=FILE --header=FILE --source=FILE [--depfile=FILE]
//
// Reads the binary schema that `flatc --binary --schema --bfbs-builtins --bfbs-comments` made of FILE.fbs and writes
// the stubs. Exit code 0: written; 1: the schema breaks rules, all of which are printed; 2: wrong use, or a file that
// cannot be read or written.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "emit.h"
#include "rules.h"

namespace {

constexpr std::string_view kUsage =
    "usage: taut-gen --fbs=FILE --bfbs=FILE --header=FILE --source=FILE [--depfile=FILE]\n"
    "  --fbs     the schema, for names and line numbers\n"
    "  --bfbs    the binary schema: flatc --binary --schema --bfbs-builtins --bfbs-comments FILE.fbs\n"
    "  --header  where NAME.taut.h goes\n"
    "  --source  where NAME.taut.cpp goes\n"
    "  --depfile where the schemas that were read are listed, for make and ninja\n";

int wrong_use(const std::string& text) {
  std::fprintf(stderr, "taut-gen: %s\n%s", text.c_str(), kUsage.data());
  return 2;
}

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (out) return true;
  std::fprintf(stderr, "taut-gen: cannot write %s; check that its folder exists and may be written\n", path.c_str());
  return false;
}

// `header: one.fbs two.fbs` as make reads it.
std::string dependencies(const std::string& header, const std::vector<std::string>& files) {
  const auto escaped = [](const std::string& path) {
    std::string result;
    for (const char c : path) result += c == ' ' ? std::string("\\ ") : std::string(1, c);
    return result;
  };
  std::string text = escaped(header) + ":";
  for (const std::string& file : files) text += " " + escaped(file);
  return text + "\n";
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> options = {
      {"--fbs", ""}, {"--bfbs", ""}, {"--header", ""}, {"--source", ""}, {"--depfile", ""}};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help") {
      std::fputs(kUsage.data(), stdout);
      return 0;
    }
    const auto equals = argument.find('=');
    const auto option = options.find(argument.substr(0, equals));
    if (equals == std::string::npos || option == options.end()) return wrong_use("unknown option '" + argument + "'");
    option->second = argument.substr(equals + 1);
  }
  for (const auto& [name, value] : options) {
    if (value.empty() && name != "--depfile") return wrong_use("option '" + name + "' is missing");
  }

  std::ifstream in(options["--bfbs"], std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  flatbuffers::Verifier verifier(data, bytes.size());
  if (!in || !reflection::VerifySchemaBuffer(verifier)) {
    std::fprintf(
        stderr,
        "taut-gen: %s is no binary schema; make it with flatc --binary --schema --bfbs-builtins --bfbs-comments\n",
        options["--bfbs"].c_str());
    return 2;
  }

  const std::string& fbs = options["--fbs"];
  gen::Model model = gen::read_model(*reflection::GetSchema(data), fbs);
  const auto problems = gen::check(model);
  std::fputs(gen::to_text(problems).c_str(), stderr);
  for (const gen::Problem& problem : problems) {
    if (!problem.warning) return 1;
  }
  gen::lay_out(model);

  std::string name = fbs.substr(fbs.rfind('/') + 1);
  name = name.substr(0, name.rfind('.'));
  bool written = write_file(options["--header"], gen::emit_header(model, name)) &&
                 write_file(options["--source"], gen::emit_source(model, name, {data, bytes.size()}));
  if (const std::string& depfile = options["--depfile"]; written && !depfile.empty()) {
    written = write_file(depfile, dependencies(options["--header"], model.files));
  }
  return written ? 0 : 2;
}
