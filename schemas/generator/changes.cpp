#include "changes.h"

#include <algorithm>
#include <tuple>

#include "comparison.h"

namespace gen {
namespace {

const Service* own_service(const Model& model, const std::string& name) {
  for (const Service& one : model.services) {
    if (one.own && one.name == name) return &one;
  }
  return nullptr;
}

const Method* by_id(const Service& service, std::uint16_t id) {
  for (const Method& one : service.methods) {
    if (one.id == id) return &one;
  }
  return nullptr;
}

const Method* by_name(const Service& service, const std::string& name) {
  for (const Method& one : service.methods) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

std::string timeout_text(const Method& method) {
  const auto found = method.attributes.find("timeout");
  return found != method.attributes.end() ? found->second : "none of its own";
}

std::string limit_text(const Method& method) {
  return method.limit != 0 ? "a limit of " + std::to_string(method.limit) + " open calls" : "no limit of open calls";
}

// As it stands in the schema.
std::string kind_text(CallKind kind) {
  switch (kind) {
    case CallKind::unary:
      return "unary";
    case CallKind::oneway:
      return "(oneway)";
    case CallKind::server_stream:
      return "(streaming: \"server\")";
    case CallKind::client_stream:
      return "(streaming: \"client\")";
    case CallKind::both_ways:
      break;
  }
  return "(streaming: \"both\")";
}

}  // namespace

std::vector<Change> changes(const Model& old_model, const Model& new_model) {
  return Comparison(old_model, new_model).run();
}

std::vector<Change> Comparison::run() {
  bool any_service = false;
  for (const Service& one : old_.services) {
    if (one.own) service(one);
    any_service |= one.own;
  }
  for (std::size_t i = 0; !any_service && i != old_.objects.size(); ++i) {
    for (std::size_t k = 0; k != new_.objects.size(); ++k) {
      if (old_.objects[i].name == new_.objects[k].name)
        reach({static_cast<int>(i), static_cast<int>(k)}, kAsRequest | kAsReply);
    }
  }
  for (const auto& [objects, way] : objects_) {
    const Object& before = old_object(objects.first);
    const Object& after = new_object(objects.second);
    if (before.name != after.name) {
      warn(after.where, "table_renamed", "table " + after.name + " was called " + before.name,
           "messages stay the same; code that names it does not compile");
    }
    before.is_struct ? structure(objects, way) : table(objects, way);
  }
  for (const auto& [enums, way] : enums_) enumeration(enums, way);
  std::stable_sort(changes_.begin(), changes_.end(), [](const Change& a, const Change& b) {
    return std::tie(a.where.file, a.where.line) < std::tie(b.where.file, b.where.line);
  });
  return std::move(changes_);
}

// ---- services ----

void Comparison::service(const Service& before) {
  const Service* const after = own_service(new_, before.name);
  if (after == nullptr) {
    for (const Service& other : new_.services) {
      if (!other.own || last_name(other.name) != last_name(before.name)) continue;
      return breaks_calls(other.where, "service_renamed", true, true,
                          "service " + other.name + " was called " + before.name,
                          "peers find a service by its whole name; calls of the other one end with unimplemented");
    }
    return breaks_calls(before.where, "service_removed", true, false, "service " + before.name + " is gone",
                        "calls of old clients end with unimplemented");
  }
  for (const Method& one : before.methods) method(before, *after, one);
  for (const Method& one : after->methods) {
    if (!one.needed || by_id(before, one.id) != nullptr) continue;
    breaks_calls(one.where, "method_needed", false, true,
                 "method " + quoted(one.name) + " of " + after->name + " is new and needed",
                 "new clients refuse a server that lacks it: upgrade the servers first");
  }
}

void Comparison::method(const Service& before, const Service& after, const Method& old_method) {
  const std::string id = std::to_string(old_method.id);
  const Method* const named = by_name(after, old_method.name);
  const Method* const placed = by_id(after, old_method.id);
  const std::string name = "method " + quoted(old_method.name) + " of " + before.name;
  if (named != nullptr && named->id != old_method.id) {
    const std::string taken = placed == nullptr
                                  ? "each side calls an id that the other lacks"
                                  : "id " + id + " is now " + quoted(placed->name) + ", and links refuse the service";
    return breaks_calls(named->where, "method_id", true, true,
                        name + " has the id " + std::to_string(named->id) + "; it was " + id, taken);
  }
  if (placed == nullptr) {
    return breaks_calls(old_method.where, "method_removed", true, false, name + " (id " + id + ") is gone",
                        "calls of old clients end with unimplemented; leave the id unused for ever");
  }
  if (named == nullptr) {
    return breaks_calls(placed->where, "method_renamed", true, true,
                        "id " + id + " of " + before.name + " is the method " + quoted(placed->name) + "; it was " +
                            quoted(old_method.name),
                        "one id that means two methods: links refuse the service");
  }
  attributes(old_method, *named, name);
  message(old_method, *named, name, true);
  message(old_method, *named, name, false);
}

void Comparison::attributes(const Method& before, const Method& after, const std::string& name) {
  if (before.kind != after.kind) {
    breaks_calls(after.where, "method_kind", true, true,
                 name + " is " + kind_text(after.kind) + " now; it was " + kind_text(before.kind),
                 "links refuse a method of another kind; add a method with an id of its own instead");
  }
  if (before.urgent != after.urgent) {
    warn(after.where, "method_urgent", name + (after.urgent ? " is (urgent) now" : " is (urgent) no more"),
         "a call takes the lane that its client's schema says, so calls of old and new clients have no order");
  }
  if (before.idempotent != after.idempotent) {
    warn(after.where, "method_idempotent",
         name + (after.idempotent ? " is (idempotent) now" : " is (idempotent) no more"),
         after.idempotent ? "an old server may not bear to run it twice" : "old clients may still repeat it");
  }
  if (before.timeout_ns != after.timeout_ns) {
    warn(after.where, "method_timeout",
         name + " has the timeout " + timeout_text(after) + "; it was " + timeout_text(before),
         "each client waits as long as its own schema says");
  }
  if (before.limit != after.limit) {
    warn(after.where, "method_limit", name + " has " + limit_text(after) + "; it had " + limit_text(before),
         "each server takes on as many as its own schema says");
  }
}

void Comparison::message(const Method& before, const Method& after, const std::string& name, bool request) {
  const Two tables = request ? Two{before.request, after.request} : Two{before.reply, after.reply};
  const Object& old_table = old_object(tables.first);
  const Object& new_table = new_object(tables.second);
  if (old_table.name == new_table.name || is_renamed(old_table, new_table)) {
    return reach(tables, request ? kAsRequest : kAsReply);
  }
  breaks_calls(after.where, request ? "method_request" : "method_reply", true, true,
               name + (request ? " takes " : " answers with ") + new_table.name + "; it was " + old_table.name,
               "each side reads the other's table as its own; add a method with an id of its own instead");
}

// ---- the list ----

void Comparison::breaks(const Where& where, const char* rule, unsigned way, Unread unread, std::string what,
                        std::string why) {
  const bool by_new = unread == Unread::by_new || unread == Unread::both;
  const bool by_old = unread == Unread::by_old || unread == Unread::both;
  const bool request = (way & kAsRequest) != 0, reply = (way & kAsReply) != 0;
  breaks_calls(where, rule, (by_new && request) || (by_old && reply), (by_old && request) || (by_new && reply),
               std::move(what), std::move(why));
}

void Comparison::breaks_calls(const Where& where, const char* rule, bool old_clients, bool old_servers,
                              std::string what, std::string why) {
  changes_.push_back({where, rule, std::move(what), std::move(why), old_clients, old_servers});
}

void Comparison::warn(const Where& where, const char* rule, std::string what, std::string why) {
  changes_.push_back({where, rule, std::move(what), std::move(why), false, false});
}

}  // namespace gen
