#include "taut/shm/observe.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

#include "../setup/ask.h"
#include "../setup/description.h"
#include "memory_files.h"
#include "observe_link.h"
#include "taut/memory/board.h"
#include "taut/memory/control_page.h"
#include "taut/memory/copy.h"

namespace taut::shm {
namespace {

std::string printable(std::string_view text) {
  std::string shown(text);
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return shown;
}

ObservedService& service_of(ObservedProcess& process, const std::string& name) {
  for (ObservedService& service : process.services) {
    if (service.name == name) return service;
  }
  ObservedService& service = process.services.emplace_back();
  service.name = name;
  return service;
}

Result<void> read_control(MemoryFile& file, ObservedService& service) {
  auto page = memory::PeerControlPage::open(std::move(file.fd), file.name);
  if (!page) return page.error();
  const memory::ControlWords& words = *page->words();
  // sync(halt): pairs with the release in ControlPage::halt().
  if (words.halt.load(std::memory_order_acquire) == 0) return {};
  char why[sizeof words.why];
  memory::opaque_copy(why, words.why, sizeof why);
  service.halt = ObservedHalt{words.set_by_pid, words.set_by_uid, words.set_at_ns,
                              printable(std::string_view(why, strnlen(why, sizeof why)))};
  return {};
}

Result<void> read_service_description(const MemoryFile& file, ObservedService& service) {
  auto read = read_description(file.fd, static_cast<std::uint64_t>(file.bytes), Schemas::read, file.name);
  if (!read) return read.error();
  service.described = true;
  service.methods = std::move(read->methods);
  service.schemas = std::move(read->schemas);
  return {};
}

Result<void> read_board(MemoryFile& file, ObservedProcess& process) {
  auto board = memory::PeerBoard::open(std::move(file.fd), file.name);
  if (!board) return board.error();
  process.boards.push_back(board->state()->load(std::memory_order_relaxed));  // a hint, for people
  return {};
}

// The segments of a process, by link.
class Segments {
 public:
  Result<void> add(MemoryFile& file) {
    auto opened = SegmentView::open(file);
    if (!opened) return opened.error();
    const bool server = file.kind == FileKind::server_segment;
    Pair& pair = pairs_[{file.service, opened->directory.link()}];
    auto& place = server ? pair.server : pair.client;
    if (place) {
      return make_error(Code::failed_precondition, 0, {}, "%s says that it belongs to link %llx, which has another",
                        file.name.c_str(), static_cast<unsigned long long>(opened->directory.link()));
    }
    place = std::make_unique<SegmentView>(*std::move(opened));
    return {};
  }

  void observe(ObservedProcess& process, const ObserveOptions& options) const {
    for (const auto& [key, pair] : pairs_) {
      const auto& [service, id] = key;
      const bool shown = (pair.client && agreement_of(*pair.client).since_ns != 0) ||
                         (pair.server && agreement_of(*pair.server).since_ns != 0);
      if (shown) {
        process.links.push_back(observe_link(service, id, pair.client.get(), pair.server.get(), options));
      } else if (pair.server) {
        ++service_of(process, service).spare_segments;
      }
    }
  }

 private:
  struct Pair {
    std::unique_ptr<SegmentView> client, server;
  };
  std::map<std::pair<std::string, std::uint64_t>, Pair> pairs_;
};

std::vector<int> processes_of_this_user() {
  std::vector<int> pids;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    struct stat status {};
    if (name.find_first_not_of("0123456789") != std::string::npos || stat(entry.path().c_str(), &status) != 0 ||
        status.st_uid != geteuid()) {
      continue;
    }
    pids.push_back(std::atoi(name.c_str()));
  }
  return pids;
}

ObservedProcess observe_files(std::vector<MemoryFile>& files, const ProcessInfo& info, const ObserveOptions& options) {
  ObservedProcess process;
  process.process = info;
  Segments segments;
  for (MemoryFile& file : files) {
    const auto read = [&]() -> Result<void> {
      switch (file.kind) {
        case FileKind::control:
          return read_control(file, service_of(process, file.service));
        case FileKind::description:
          return read_service_description(file, service_of(process, file.service));
        case FileKind::board:
          return read_board(file, process);
        default:
          return segments.add(file);
      }
    }();
    if (!read) process.troubles.emplace_back(printable(read.error().what()));
  }
  segments.observe(process, options);
  return process;
}

}  // namespace

std::optional<ProcessInfo> process_info(int pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  struct stat status {};
  std::ifstream file(folder + "/stat");
  std::string line;
  if (stat(folder.c_str(), &status) != 0 || !std::getline(file, line, '\0')) return std::nullopt;
  // The name is in brackets and may hold anything, brackets too.
  const std::size_t open = line.find('('), close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 2 >= line.size()) return std::nullopt;
  return ProcessInfo{pid, status.st_uid, line[close + 2], printable(line.substr(open + 1, close - open - 1))};
}

Result<ObservedProcess> observe_process(int pid, const ObserveOptions& options) {
  auto files = memory_files_of(pid, options.service);
  if (!files) return files.error();
  const auto info = process_info(pid);
  if (!info) return make_error(Code::not_found, 0, {}, "there is no process %d", pid);
  if (files->empty()) {
    return make_error(Code::not_found, 0, "taut ls names the services that there are",
                      "process %d (%s) has no link and serves nothing", pid, info->name.c_str());
  }
  return observe_files(*files, *info, options);
}

Result<ObservedProcess> observe_service(const std::string& service, const ObserveOptions& options, Nanoseconds timeout,
                                        const std::string& directory) {
  std::vector<MemoryFile> files;
  ProcessInfo server{.name = "the server"};
  auto question = make_message<Inspect>();
  // Links come and go meanwhile; numbers only rise, so it ends.
  while (true) {
    auto packet = ask(service, std::as_bytes(std::span(&question, 1)), timeout, directory);
    if (!packet) return packet.error();
    const auto answer = read_message<Inspected>(packet->view(), "the server of shm://" + service);
    if (!answer) return answer.error();
    server.pid = packet->sender->pid;
    server.uid = packet->sender->uid;
    for (auto& fd : packet->descriptors) {
      if (auto file = memory_file(std::move(fd))) files.push_back(*std::move(file));
    }
    if (answer->last <= question.after || answer->last == ~std::uint32_t{0} || packet->descriptors.empty()) break;
    question.after = answer->last;
  }
  ObserveOptions without_processes = options;
  without_processes.processes = false;
  return observe_files(files, server, without_processes);
}

std::vector<Holder> holders_of(std::string_view service) {
  std::vector<Holder> holders;
  for (const int pid : processes_of_this_user()) {
    if (pid == getpid()) continue;
    const auto kinds = kinds_held(pid, service);
    if (kinds.empty()) continue;
    holders.push_back({pid, std::find(kinds.begin(), kinds.end(), FileKind::control) != kinds.end()});
  }
  std::stable_partition(holders.begin(), holders.end(), [](const Holder& holder) { return holder.serves; });
  return holders;
}

Result<ObservedService> observe_description(int pid, std::string_view service) {
  auto files = memory_files_of(pid, service);
  if (!files) return files.error();
  ObservedService found;
  found.name = service;
  for (const MemoryFile& file : *files) {
    if (file.kind != FileKind::description) continue;
    if (auto read = read_service_description(file, found); !read) return read.error();
    return found;
  }
  return make_error(Code::not_found, 0, {}, "process %d does not serve shm://%.*s", pid,
                    static_cast<int>(service.size()), service.data());
}

}  // namespace taut::shm
