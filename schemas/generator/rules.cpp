#include "rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <tuple>

#include "names.h"
#include "shapes.h"

namespace gen {
namespace {

// More calls than that are not open at a time: it is a thousand clients with a thousand grants each.
constexpr std::int64_t kLimitMax = 1'000'000;

// The number in `text`, which is nothing but digits; -1 otherwise.
std::int64_t number(std::string_view text) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0 ? value : -1;
}

// `50us`, `2ms`, `1s`; 0 when it is none of these.
std::int64_t duration_ns(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 4> units = {
      {{"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}}};
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  for (const auto& [unit, ns] : units) {
    if (text.substr(digits) == unit) {
      const std::int64_t count = number(text.substr(0, digits));
      return count > 0 && count <= 1'000'000'000'000'000'000 / ns ? count * ns : 0;
    }
  }
  return 0;
}

class Rules {
 public:
  explicit Rules(Model& model) : model_(model) {}

  std::vector<Problem> run() {
    check_names(model_, problems_);
    for (Object& object : model_.objects) fields(object);
    check_shapes(model_, problems_);
    for (Service& service : model_.services) {
      if (service.own) methods(service);
    }
    return std::move(problems_);
  }

 private:
  void error(const Where& where, std::string text) { problems_.push_back({where, std::move(text), false}); }
  void warn(const Where& where, std::string text) { problems_.push_back({where, std::move(text), true}); }

  const Object& object(int index) const { return model_.objects[static_cast<std::size_t>(index)]; }

  // ---- fields ----

  void fields(Object& object) {
    for (Field& field : object.fields) {
      if (field.deprecated) continue;
      const std::string name = "field " + quoted(field.name);
      if (is_keyword(field.name)) {
        error(field.where, name + " is a C++ keyword; rename it, for example " + quoted(field.name + "_value"));
      }
      if (field.name == "Verify" || field.name == "Builder" || field.name == "finish") {
        error(field.where, name + " has the name of a generated member; rename it");
      }
      if (!field.lost_default.empty()) {
        error(
            field.where,
            "the default " + quoted(field.lost_default) + " of " + name +
                " is above 9223372036854775807, which binary schemas cannot hold; use a smaller default, or '= null'");
      }
      if (const auto max = field.attributes.find("max"); max != field.attributes.end()) cap(field, max->second);
      if (field.optional && field.required) {
        error(field.where, name + " is both (required) and (optional); leave one of them out");
      }
      if (field.optional && field.kind == Kind::scalar && !field.nullable && !object.is_struct) {
        error(field.where, name + " is a scalar, which (optional) does not make absent; write " +
                               quoted(field.name + ":" + "TYPE = null") + " instead");
      }
    }
  }

  void cap(Field& field, const std::string& text) {
    const std::string name = "field " + quoted(field.name);
    const bool capped = field.kind == Kind::string || field.kind == Kind::scalars || field.kind == Kind::structures ||
                        field.kind == Kind::strings || field.kind == Kind::tables;
    const std::int64_t value = number(text);
    if (!capped) {
      error(field.where,
            "the cap (max) of " + name + " does nothing: only strings and vectors can be capped; leave it out");
    } else if (value <= 0 || value > (1 << 30)) {
      error(field.where,
            "the cap of " + name + " is " + quoted(text) +
                "; write the most characters or elements as a number from 1 to 1073741824, for example (max: 64)");
    } else {
      field.max = static_cast<std::uint32_t>(value);
    }
  }

  // ---- methods ----

  void methods(Service& service) {
    std::set<std::uint16_t> ids;
    for (Method& method : service.methods) {
      const auto id = method.attributes.find("id");
      if (id == method.attributes.end()) continue;
      const std::int64_t value = number(id->second);
      if (value < 0 || value > 0xffff) {
        error(method.where, "method " + quoted(method.name) + " has the id " + quoted(id->second) +
                                "; write a number from 0 to 65535, for example (id: 1)");
        continue;
      }
      method.id = static_cast<std::uint16_t>(value);
      method.has_id = true;
      ids.insert(method.id);
    }
    const auto unused = [&] {
      std::uint16_t next = 1;
      while (ids.count(next) != 0) ++next;
      ids.insert(next);
      return "(id: " + std::to_string(next) + ")";
    };
    std::map<std::uint16_t, std::string> owner;
    std::set<std::string> names;
    for (Method& method : service.methods) {
      const std::string name = "method " + quoted(method.name);
      if (method.attributes.count("id") == 0) {
        error(method.where, name + " has no id; give it one that is not used, for example " + unused());
      } else if (method.has_id) {
        const auto [first, is_new] = owner.try_emplace(method.id, method.name);
        if (!is_new) {
          error(method.where, name + " has the id " + std::to_string(method.id) + " of method " +
                                  quoted(first->second) + "; give it an unused id, for example " + unused());
        }
      }
      if (!names.insert(method.name).second) {
        error(method.where, name + " is declared twice; rename one of them");
      }
      method_name(service, method);
      method_attributes(method);
      std::set<int> seen;
      for (const auto& [index, what] : {std::pair{method.request, "request"}, std::pair{method.reply, "reply"}}) {
        if (index < 0 || object(index).is_struct) {
          error(method.where,
                std::string("the ") + what + " of " + name + " is no table; wrap it in a table of one field");
        }
      }
      if (method.request >= 0) absent_fields(method.request, seen);
    }
    std::sort(service.methods.begin(), service.methods.end(),
              [](const Method& a, const Method& b) { return a.id < b.id; });
  }

  void method_name(const Service& service, const Method& method) {
    const std::string name = "method " + quoted(method.name);
    if (is_keyword(method.name)) {
      error(method.where, name + " is a C++ keyword; rename it, for example " + quoted(method.name + "It"));
    }
    if (method.name == "Service" || method.name == "Client" || method.name == "description" || method.name == "send" ||
        method.name == "thread_safe" || method.name.rfind("claim_", 0) == 0) {
      error(method.where, name + " has the name of a generated member of " + quoted(last_name(service.name)) +
                              "; rename it, for example " + quoted("Do" + method.name));
    }
  }

  void method_attributes(Method& method) {
    const std::string name = "method " + quoted(method.name);
    method.idempotent = method.attributes.count("idempotent") != 0;
    method.urgent = method.attributes.count("urgent") != 0;
    method.needed = method.attributes.count("needed") != 0;
    kind(method, name);
    limit(method, name);
    if (const auto timeout = method.attributes.find("timeout"); timeout != method.attributes.end()) {
      method.timeout_ns = duration_ns(timeout->second);
      if (method.timeout_ns == 0) {
        error(method.where, "the timeout of " + name + " is " + quoted(timeout->second) +
                                "; write a number and ns, us, ms or s, for example (timeout: \"50us\")");
      } else if (method.kind == CallKind::oneway) {
        error(method.where,
              "the timeout of " + name + " does nothing: nobody waits for a one-way message; leave it out");
      }
    }
  }

  void limit(Method& method, const std::string& name) {
    const auto limit = method.attributes.find("limit");
    if (limit == method.attributes.end()) return;
    const std::int64_t most = number(limit->second);
    if (most < 1 || most > kLimitMax) {
      error(method.where, "the limit of " + name + " is " + quoted(limit->second) +
                              "; write how many of its calls may be open at a time, a number from 1 to " +
                              std::to_string(kLimitMax) + ", for example (limit: 64)");
    } else if (method.kind == CallKind::oneway) {
      error(method.where, "the limit of " + name + " does nothing: a one-way message is never open; leave it out");
    } else {
      method.limit = static_cast<std::uint32_t>(most);
    }
  }

  void kind(Method& method, const std::string& name) {
    const bool oneway = method.attributes.count("oneway") != 0;
    if (oneway) method.kind = CallKind::oneway;
    const auto streaming = method.attributes.find("streaming");
    if (streaming == method.attributes.end()) return;
    static const std::map<std::string, CallKind, std::less<>> kinds = {
        {"server", CallKind::server_stream}, {"client", CallKind::client_stream}, {"both", CallKind::both_ways}};
    if (const auto found = kinds.find(streaming->second); found != kinds.end()) {
      method.kind = found->second;
    } else {
      error(method.where, name + " has (streaming: \"" + streaming->second + "\"); write \"server\", \"client\" or " +
                              "\"both\", or leave it out when nothing is streamed");
    }
    if (oneway) {
      error(method.where,
            name + " is both (oneway) and (streaming), but the end of a stream is an answer; leave one of them out");
    }
    if (method.urgent) {
      error(method.where, name + " is both (urgent) and (streaming), and its items would fill the small lane that " +
                              "urgent calls overtake on; leave (urgent) out");
    }
  }

  // Handlers read requests: what may be absent there is a null pointer, so the schema has to say that it may.
  void absent_fields(int index, std::set<int>& seen) {
    if (!seen.insert(index).second || !warned_.insert(index).second) return;
    for (const Field& field : object(index).fields) {
      if (field.deprecated || field.kind == Kind::unsupported) continue;
      if (field.kind != Kind::scalar && !object(index).is_struct && !field.required && !field.optional) {
        warn(field.where,
             "field " + quoted(field.name) + " of request " + quoted(last_name(object(index).name)) +
                 " may be absent, a null pointer in the handler; mark it (required), or (optional) if that is meant");
      }
      if (points(field)) absent_fields(field.index, seen);
    }
  }

  Model& model_;
  std::vector<Problem> problems_;
  std::set<int> warned_;
};

}  // namespace

std::string quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

std::vector<Problem> check(Model& model) { return Rules(model).run(); }

std::string to_text(std::vector<Problem> problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.where.file, a.where.line) < std::tie(b.where.file, b.where.line);
  });
  std::string result;
  for (const Problem& problem : problems) {
    result += problem.where.file;
    if (problem.where.line != 0) result += ":" + std::to_string(problem.where.line);
    result += problem.warning ? ": warning: " : ": ";
    result += problem.text + "\n";
  }
  return result;
}

}  // namespace gen
