#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "commands.h"
#include "patience.h"
#include "say.h"
#include "taut/shm/describe.h"
#include "taut/shm/service_directory.h"
#include "taut/taut.h"

namespace taut::tool {
namespace {

enum class State { live, stale, not_answering, unknown };

std::string_view to_text(State state) noexcept {
  switch (state) {
    case State::live:
      return "live";
    case State::stale:
      return "stale";
    case State::not_answering:
      return "not answering";
    default:
      return "unknown";
  }
}

// Nobody listens any more: the server is gone. A full queue of connections is a server that does not take them.
State state_of(const Result<shm::ServiceInfo>& info) noexcept {
  if (info) return State::live;
  if (info.error().code() == Code::deadline_exceeded || info.error().os_errno() == EAGAIN) return State::not_answering;
  return info.error().code() == Code::unavailable ? State::stale : State::unknown;
}

std::string sentence(const Error& error) {
  return std::string(error.what()) + (error.hint().empty() ? "" : "; " + std::string(error.hint()));
}

struct Row {
  std::string name;
  Result<shm::ServiceInfo> info;
  [[nodiscard]] State state() const noexcept { return state_of(info); }
};

// desk.Orders: Place, Snapshot, Cancel
std::string offer(const rpc::ServiceEntry& service) {
  std::string text = service.name + ":";
  for (const auto& method : service.methods) text += (text.back() == ':' ? " " : ", ") + method.name;
  return text;
}

// Its pid as this process sees it.
std::string server_of(const Row& row) {
  if (!row.info) return "-";
  return row.info->pid != 0 ? std::to_string(row.info->pid) : "another namespace";
}

void print_rows(const std::vector<Row>& rows) {
  std::size_t width = 4, server_width = 7;
  for (const Row& row : rows) {
    width = std::max(width, row.name.size());
    server_width = std::max(server_width, server_of(row).size());
  }
  const auto line = [=](std::string_view name, std::string_view state, std::string_view server,
                        std::string_view clients, std::string_view rest) {
    fmt::print("{:<{}}  {:<13}  {:>{}}  {:>7}  {}\n", name, width, state, server, server_width, clients, rest);
  };
  line("NAME", "STATE", "SERVER", "CLIENTS", "SERVICES");
  for (const Row& row : rows) {
    if (row.info) {
      std::string services;
      for (const auto& service : row.info->methods.services())
        services += (services.empty() ? "" : "; ") + offer(service);
      line(row.name, to_text(State::live), server_of(row), std::to_string(row.info->links), services);
    } else if (row.state() == State::stale) {
      line(row.name, to_text(State::stale), "-", "-", "(its server is gone: start it again, it takes its name back)");
    } else {
      line(row.name, to_text(row.state()), "-", "-", "(" + sentence(row.info.error()) + ")");
    }
  }
}

void print_json(const std::string& directory, const std::vector<Row>& rows) {
  std::string list;
  for (const Row& row : rows) {
    list += fmt::format("{}{{\"name\":{},\"state\":{}", list.empty() ? "" : ",", json_text(row.name),
                        json_text(to_text(row.state())));
    if (!row.info) {
      list += fmt::format(",\"trouble\":{}}}", json_text(sentence(row.info.error())));
      continue;
    }
    std::string services;
    for (const auto& service : row.info->methods.services()) {
      std::string methods;
      for (const auto& method : service.methods)
        methods +=
            fmt::format("{}{{\"name\":{},\"id\":{}}}", methods.empty() ? "" : ",", json_text(method.name), method.id);
      services += fmt::format("{}{{\"name\":{},\"methods\":[{}]}}", services.empty() ? "" : ",",
                              json_text(service.name), methods);
    }
    list +=
        fmt::format(",\"server_pid\":{},\"clients\":{},\"services\":[{}]}}", row.info->pid, row.info->links, services);
  }
  fmt::print("{{\"schema\":\"taut.ls/1\",\"directory\":{},\"entries\":[{}]}}\n", json_text(directory), list);
}

}  // namespace

int ls(const LsOptions& options) {
  const auto directory = shm::ServiceDirectory::open({}, false);
  if (!directory) {
    // The default directory is made by the first server; one that the user named must be there.
    if (directory.error().code() != Code::not_found || std::getenv("TAUT_DIR") != nullptr)
      return report(directory.error());
    fmt::print(stderr, "note: {}\n", sentence(directory.error()));
    if (options.json) print_json("", {});
    return kFine;
  }
  std::vector<Row> rows;
  for (const std::string& name : directory->names())
    rows.push_back({name, shm::describe(name, kPatienceWithEach, directory->path())});
  if (options.json) {
    print_json(directory->path(), rows);
  } else if (rows.empty()) {
    fmt::print(stderr, "note: no service in {}; start one, or set TAUT_DIR as its environment does\n",
               directory->path());
  } else {
    print_rows(rows);
  }
  return kFine;
}

}  // namespace taut::tool
