#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>

#include "commands.h"
#include "say.h"

namespace taut::tool {
namespace {

// 5s, 200ms, 50us, 10ns. Nothing else: a bare number would not say what it counts.
std::optional<std::chrono::nanoseconds> duration(const std::string& text) {
  char* unit = nullptr;
  const double number = std::strtod(text.c_str(), &unit);
  constexpr std::pair<const char*, double> kUnits[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}};
  for (const auto& [name, ns] : kUnits) {
    if (unit != text.c_str() && std::string_view(unit) == name && number > 0 && number * ns < 9e18)
      return std::chrono::nanoseconds(static_cast<std::int64_t>(number * ns));
  }
  return std::nullopt;
}

// Stands before arguments that begin with '[' while CLI11 has them: it would take a list such as [1,2] apart.
constexpr char kAsItStands = '\x1f';

// Something required is missing. CLI11 says only that much, also where a command is misspelt.
int refuse_usage(const CLI::App& app, int argc, char** argv) {
  for (const auto* command : app.get_subcommands()) {
    std::string missing;
    for (const auto* option : command->get_options()) {
      if (option->get_required() && option->count() == 0)
        missing += (missing.empty() ? "" : " and ") + option->get_name();
    }
    return fail(kUsage, "taut {0} needs {1}; see taut {0} --help", command->get_name(), missing);
  }
  std::string commands;
  for (const auto* command : app.get_subcommands({})) commands += (commands.empty() ? "" : ", ") + command->get_name();
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] != '-') return fail(kUsage, "there is no command '{}'; there are: {}", argv[i], commands);
  }
  return fail(kUsage, "a command is missing; there are: {}; see taut --help", commands);
}

int run(int argc, char** argv) {
  CLI::App app("Calls, lists and measures services of taut: RPC through shared memory.", "taut");
  app.footer(std::string("\nExamples:\n"
                         "  taut demo                              two processes, a million calls, and the floor\n"
                         "  taut ls                                the services of this host\n"
                         "  taut describe greeter                  its methods and messages\n"
                         "  taut inspect greeter                   its links, and what waits in them\n"
                         "  taut call calculator Calculator/Add 1 2\n"
                         "  taut call greeter Greeter/SayHello -d '{\"name\": \"World\"}'\n"
                         "  taut check desk.fbs --against shm://desk\n\n") +
             kExitCodes);
  app.require_subcommand(1);
  app.fallthrough();
  bool json = false;
  std::string directory, timeout;
  app.add_flag("-j,--json", json, "One JSON object on stdout instead of words");
  app.add_option("--dir", directory, "Where the services' sockets are, instead of TAUT_DIR")->type_name("DIR");
  app.set_version_flag("-V,--version", std::string("taut " TAUT_VERSION));

  DemoOptions demo_options;
  auto* demo_command = app.add_subcommand("demo", "Measures calls between two processes beside the hardware's floor");
  demo_command->add_option("-n", demo_options.calls, "Calls to make")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
  demo_command->add_option("--cpu", demo_options.cpus, "CPUs of the client and the server; default: the first two")
      ->type_name("A,B")
      ->delimiter(',')
      ->expected(2);

  auto* ls_command = app.add_subcommand("ls", "Lists the services of this host");

  CallOptions call_options;
  std::string data;
  auto* call_command =
      app.add_subcommand("call", "Calls a method of any live service, by the schema that it hands out");
  call_command->add_option("TARGET", call_options.target, "The service: shm://NAME, or NAME")->required();
  call_command->add_option("METHOD", call_options.method, "Service/Method; the service's namespace may be left out")
      ->required();
  auto* values = call_command->add_option(
      "VALUES", call_options.values, "Values of the request's fields, in the order of the schema, or one JSON object");
  auto* data_option = call_command->add_option("-d,--data", data, "The request: JSON, @FILE, or @- for stdin")
                          ->type_name("JSON")
                          ->excludes(values);
  call_command->add_option("--timeout", timeout, "How long the call may take: 1s, 50ms, 200us; default: the method's")
      ->type_name("TIME");
  call_command->footer("\nValues that begin with '-' go behind '--': taut call calculator Calculator/Add -- -1 2\n\n" +
                       std::string(kExitCodes));

  CheckOptions check_options;
  auto* check_command = app.add_subcommand("check", "Says which peers a changed schema breaks, and why");
  check_command->add_option("NEW", check_options.schema, "The new schema: FILE.fbs or FILE.bfbs")->required();
  check_command
      ->add_option("--against", check_options.against,
                   "The old one: FILE.fbs, FILE.bfbs, or shm://NAME of a live service")
      ->type_name("OLD")
      ->required();
  check_command
      ->add_option("-I,--include", check_options.includes, "Where included schemas are, beside their own folder")
      ->type_name("DIR")
      ->allow_extra_args(false);
  check_command->add_flag("--strict", check_options.strict, "Warnings fail the check too");
  check_command->footer(
      "\nBreaks old clients: clients of OLD at a server of NEW. Breaks old servers: the reverse. See "
      "docs/evolution.md.\n\n" +
      std::string(kExitCodes));

  DescribeOptions describe_options;
  auto* describe_command = app.add_subcommand("describe", "Says what a service, or a schema, offers");
  describe_command->add_option("TARGET", describe_options.target, "The service, or a file: .fbs or .bfbs")->required();
  describe_command->add_option("METHOD", describe_options.method, "Service or Service/Method; default: everything");
  describe_command->add_flag("--template", describe_options.as_template,
                             "A request of the method as JSON, to be changed and given to taut call -d");
  describe_command->footer("\n" + std::string(kExitCodes));

  InspectOptions inspect_options;
  auto* inspect_command = app.add_subcommand("inspect", "Draws the links of a service, also of one that hangs");
  inspect_command->add_option("TARGET", inspect_options.target, "The service: shm://NAME, or NAME");
  inspect_command->add_option("--pid", inspect_options.pid, "A process instead: all links that it has, as either side")
      ->type_name("PID")
      ->check(CLI::PositiveNumber);
  inspect_command
      ->add_option("--schema", inspect_options.schema,
                   "A schema (.fbs, .bfbs) for links whose server took its own with it")
      ->type_name("FILE");
  inspect_command->add_flag("--all", inspect_options.all, "Every waiting record, not the oldest 16 of each ring");
  inspect_command->footer(
      "\nReads the memory of the processes, read-only, and asks nobody: it works while they hang, are stopped, or "
      "have\n"
      "lost their peer. Call ids and positions are hexadecimal.\n\n" +
      std::string(kExitCodes));

  auto* version_command = app.add_subcommand("version", "Says which taut this is");

  try {
    std::vector<std::string> arguments;
    for (int i = argc - 1; i > 0; --i)
      arguments.push_back(argv[i][0] == '[' ? kAsItStands + std::string(argv[i]) : argv[i]);
    app.parse(std::move(arguments));
  } catch (const CLI::RequiredError&) {
    return refuse_usage(app, argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error), kFine;
    return fail(kUsage, "{}; see --help", error.what());
  }
  for (std::string& value : call_options.values) {
    if (value.starts_with(kAsItStands)) value.erase(0, 1);
  }
  if (!directory.empty()) setenv("TAUT_DIR", directory.c_str(), 1);
  if (!timeout.empty()) {
    call_options.timeout = duration(timeout);
    if (!call_options.timeout)
      return fail(kUsage, "--timeout: '{}' is no time; write a number and ns, us, ms, s or m, such as 500ms", timeout);
  }
  if (data_option->count() != 0) call_options.data = data.starts_with(kAsItStands) ? data.substr(1) : data;
  demo_options.json = call_options.json = describe_options.json = inspect_options.json = check_options.json = json;
  if (demo_command->parsed()) return demo(demo_options);
  if (ls_command->parsed()) return ls({.json = json});
  if (call_command->parsed()) return call(call_options);
  if (check_command->parsed()) return check(check_options);
  if (describe_command->parsed()) return describe(describe_options);
  if (inspect_command->parsed()) return inspect(inspect_options);
  if (version_command->parsed()) return version({.json = json});
  return kUsage;
}

}  // namespace
}  // namespace taut::tool

int main(int argc, char** argv) {
  try {
    return taut::tool::run(argc, argv);
  } catch (const std::exception& thrown) {
    return taut::tool::fail(taut::tool::kOther, "{}", thrown.what());
  }
}
