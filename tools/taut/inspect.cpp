// taut inspect: finds who has a service's links in its memory, reads them there, and draws them.
#include <algorithm>

#include "commands.h"
#include "described.h"
#include "inspect_parts.h"
#include "patience.h"
#include "say.h"
#include "taut/rpc/url.h"
#include "taut/shm/describe.h"
#include "taut/taut.h"

namespace taut::tool {
namespace {

constexpr std::size_t kRecordsOfAll = 65'536;

shm::ObserveOptions observing(const InspectOptions& options, const std::string& service) {
  shm::ObserveOptions observing;
  if (options.all) observing.records_max = kRecordsOfAll;
  observing.service = service;
  return observing;
}

// What is left of a service that does not answer: the memory of its process, or of the clients that it left behind.
int find_in_memory(const std::string& service, const Error& why, const InspectOptions& options, Inspected& found) {
  std::vector<shm::Holder> holders = shm::holders_of(service);
  // Who serves has every link of the service; clients matter where nobody does.
  if (!holders.empty() && holders.front().serves) {
    std::erase_if(holders, [](const auto& holder) { return !holder.serves; });
  }
  for (const shm::Holder& holder : holders) {
    auto process = shm::observe_process(holder.pid, observing(options, service));
    // Somebody may only name his files like the service's.
    if (process && !process->links.empty()) found.processes.push_back(*std::move(process));
  }
  if (found.processes.empty()) return report(why);
  found.notes.push_back(fmt::format("{}; read from memory instead", why.what()));
  return kFine;
}

// A service that answers says which process it is; one that cannot be seen from here hands its memory over.
int find_service(const std::string& service, const InspectOptions& options, Inspected& found) {
  const auto asked = shm::describe(service, kPatienceWithEach);
  if (!asked) return find_in_memory(service, asked.error(), options, found);
  auto process = shm::observe_process(asked->pid, observing(options, service));
  if (!process) {
    process = shm::observe_service(service, observing(options, service), kPatienceWithEach);
    if (!process) return report(process.error());
    found.notes.emplace_back("the server's process cannot be seen from here: it handed over its memory to be read");
  }
  found.processes.push_back(*std::move(process));
  return kFine;
}

int find(const InspectOptions& options, Inspected& found) {
  if (options.pid != 0) {
    found.target = fmt::format("pid {}", options.pid);
    auto process = shm::observe_process(options.pid, observing(options, {}));
    if (!process) return report(process.error());
    found.processes.push_back(*std::move(process));
    return kFine;
  }
  const auto url = rpc::Url::parse(options.target);
  if (!url) return report(url.error()), kUsage;
  if (url->scheme != "shm")
    return fail(kUsage, "{}: only links of shm:// lie in memory that can be read", options.target);
  found.target = url->name();
  return find_service(url->rest, options, found);
}

// A client does not keep the description of its service; whoever serves the name now mostly says the same.
void describe_missing(const std::optional<Described>& file, Inspected& found) {
  for (const auto& process : found.processes) {
    for (const auto& service : process.services) {
      if (service.described) found.meaning.add(service.name, service.methods.services(), service.schemas);
    }
  }
  for (const auto& process : found.processes) {
    for (const auto& link : process.links) {
      if (found.meaning.knows(link.service)) continue;
      if (file) {
        found.meaning.add(link.service, file->services, file->schemas);
        continue;
      }
      for (const shm::Holder& holder : shm::holders_of(link.service)) {
        auto described = holder.serves ? shm::observe_description(holder.pid, link.service)
                                       : Result<shm::ObservedService>(shm::ObservedService{});
        if (!described || !described->described) continue;
        found.meaning.add(link.service, described->methods.services(), described->schemas);
        const bool same = link.server.process && link.server.process->pid == holder.pid;
        if (!same) {
          found.notes.push_back(fmt::format(
              "names and messages of shm://{} are those of process {}, which serves it now", link.service, holder.pid));
        }
        break;
      }
    }
  }
}

}  // namespace

int inspect(const InspectOptions& options) {
  if (options.target.empty() == (options.pid == 0))
    return fail(kUsage, "taut inspect needs a service, or --pid with a process; see taut inspect --help");
  int exit = kFine;
  std::optional<Described> file;
  if (!options.schema.empty() && !(file = described_by_file(options.schema, exit))) return exit;
  Inspected found;
  if (exit = find(options, found); exit != kFine) return exit;
  describe_missing(file, found);
  if (options.json) {
    print_json(found);
  } else {
    for (const std::string& note : found.notes) fmt::print(stderr, "note: {}\n", note);
    draw(found);
  }
  return kFine;
}

}  // namespace taut::tool
