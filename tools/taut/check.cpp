// taut check NEW.fbs --against OLD.fbs: what breaks between peers of the two.
#include "changes.h"
#include "commands.h"
#include "fingerprint.h"
#include "say.h"
#include "schema_model.h"

namespace taut::tool {
namespace {

std::string_view who_breaks(const gen::Change& change) {
  if (!change.breaks()) return "warning";
  if (change.breaks_old_clients && change.breaks_old_servers) return "breaks old clients and old servers";
  return change.breaks_old_clients ? "breaks old clients" : "breaks old servers";
}

std::string fingerprint(const gen::Model& model, const std::string& service) {
  for (const gen::Service& one : model.services) {
    if (one.own && one.name == service) return fmt::format("0x{:016x}", gen::fnv1a(gen::canonical_form(model, one)));
  }
  return "";
}

struct Both {
  const gen::Model& before;
  const gen::Model& after;
};

void print_words(const std::vector<gen::Change>& changes, Both models, std::size_t broken) {
  for (const gen::Change& change : changes) {
    const std::string line = change.where.line == 0 ? "" : ":" + std::to_string(change.where.line);
    fmt::print("{}{}: {}: {}: {}\n", change.where.file, line, who_breaks(change), change.what, change.why);
  }
  for (const gen::Service& service : models.after.services) {
    if (!service.own) continue;
    const std::string now = fingerprint(models.after, service.name), before = fingerprint(models.before, service.name);
    if (before.empty()) {
      fmt::print("{}: new, schema {}\n", service.name, now);
    } else if (now == before) {
      fmt::print("{}: the same schema, {}\n", service.name, now);
    } else {
      fmt::print("{}: schema {}, before {}\n", service.name, now, before);
    }
  }
  fmt::print("{} {}, {} {}\n", broken, broken == 1 ? "change breaks a peer" : "changes break a peer",
             changes.size() - broken, changes.size() - broken == 1 ? "warning" : "warnings");
}

void print_json(const CheckOptions& options, const std::vector<gen::Change>& changes, Both models, std::size_t broken) {
  std::string list, services;
  for (const gen::Change& change : changes) {
    list += fmt::format(
        "{}{{\"file\":{},\"line\":{},\"rule\":{},\"breaks_old_clients\":{},\"breaks_old_servers\":{},\"what\":{},"
        "\"why\""
        ":{}}}",
        list.empty() ? "" : ",", json_text(change.where.file), change.where.line, json_text(change.rule),
        change.breaks_old_clients, change.breaks_old_servers, json_text(change.what), json_text(change.why));
  }
  for (const gen::Service& service : models.after.services) {
    if (!service.own) continue;
    services += fmt::format("{}{{\"name\":{},\"new\":{},\"old\":{}}}", services.empty() ? "" : ",",
                            json_text(service.name), json_text(fingerprint(models.after, service.name)),
                            json_text(fingerprint(models.before, service.name)));
  }
  fmt::print(
      "{{\"schema\":\"taut.check/"
      "1\",\"new\":{},\"old\":{},\"breaking\":{},\"warnings\":{},\"changes\":[{}],\"services\":"
      "[{}]}}\n",
      json_text(options.schema), json_text(options.against), broken, changes.size() - broken, list, services);
}

}  // namespace

int check(const CheckOptions& options) {
  int exit = kFine;
  const auto after = read_schema_model({options.schema, options.includes}, nullptr, exit);
  if (!after) return exit;
  const auto before = read_schema_model({options.against, options.includes}, &*after, exit);
  if (!before) return exit;
  const std::vector<gen::Change> changes = gen::changes(*before, *after);
  std::size_t broken = 0;
  for (const gen::Change& change : changes) broken += change.breaks() ? 1 : 0;
  options.json ? print_json(options, changes, {*before, *after}, broken)
               : print_words(changes, {*before, *after}, broken);
  return broken != 0 || (options.strict && !changes.empty()) ? kCheckFailed : kFine;
}

}  // namespace taut::tool
