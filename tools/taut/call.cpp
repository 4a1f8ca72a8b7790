#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include "commands.h"
#include "methods.h"
#include "patience.h"
#include "say.h"
#include "schema.h"
#include "taut/raw.h"
#include "taut/rpc/transport.h"
#include "taut/rpc/url.h"
#include "taut/shm/describe.h"
#include "taut/taut.h"

namespace taut::tool {
namespace {

// The text behind -d.
std::optional<std::string> read_data(const std::string& data, int& exit) {
  if (data.empty() || data.front() != '@') return data;
  if (data == "@-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream file(data.substr(1), std::ios::binary);
  if (!file) {
    exit = fail(errno == EACCES ? kNotPermitted : kNotFound, "{} cannot be read: {}", data.substr(1),
                std::strerror(errno));
    return std::nullopt;
  }
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The call itself: bytes there and back.
int exchange(const CallOptions& options, const std::string& service, const raw::Method& method, raw::Bytes request,
             Schema& schema, const SchemaMethod& tables) {
  auto link = connect(options.target);
  if (!link) return report(link.error());
  raw::Client client{*link, service, {method}};
  const Wait patience = options.timeout ? wait(*options.timeout) : wait;
  const raw::Answer answer = client.wait(method.id, request, patience);
  const Status& status = answer.status();
  if (!status) {
    if (options.json) {
      std::cout << "{\"schema\":\"taut.call/1\",\"status\":" << static_cast<int>(status.code())
                << ",\"code\":" << json_text(to_text(status.code())) << ",\"ran\":" << json_text(to_text(status.ran()))
                << ",\"why\":" << json_text(to_text(status.why())) << ",\"text\":" << json_text(status.text()) << "}\n";
    }
    return report(status);
  }
  const auto text = schema.json(tables.reply, answer.bytes());
  if (!text) return report(text.error());
  if (options.json) {
    std::cout << "{\"schema\":\"taut.call/1\",\"status\":0,\"code\":\"ok\",\"reply\":" << *text << "}\n";
  } else {
    std::cout << *text << '\n';
  }
  return kFine;
}

}  // namespace

int call(const CallOptions& options) {
  const auto url = rpc::Url::parse(options.target);
  if (!url) return report(url.error()), kUsage;
  if (url->scheme != "shm") {
    return fail(kUsage, "{}: this version calls shm:// only, since it asks the service's socket for the schema",
                options.target);
  }
  const auto wanted = rpc::read_options(*url, {});
  if (!wanted) return report(wanted.error()), kUsage;
  const auto asked = shm::describe(url->rest, kPatience, {}, wanted->allow);
  if (!asked) return report(asked.error());
  const shm::ServiceInfo& described = *asked;

  int exit = kFine;
  const auto found = find_method(described.methods.services(), options.method, options.target, exit);
  if (!found) return exit;
  const rpc::ServiceEntry& entry = described.methods.services()[found->service];
  auto schema = Schema::of(described.schemas[found->service], "the schema of " + url->name());
  if (!schema) return report(schema.error());
  const auto tables = schema->method(entry.name, found->method->name);
  if (!tables) return report(tables.error());
  if (tables->kind == rpc::CallKind::oneway)
    return fail(kUsage, "{}/{} is one-way: it has no answer to wait for", entry.name, found->method->name);
  if (tables->kind != rpc::CallKind::unary)
    return fail(kUsage, "{}/{} is a stream; taut call sends one request and prints one answer", entry.name,
                found->method->name);

  auto json = options.data ? read_data(*options.data, exit) : std::optional<std::string>();
  if (options.data && !json) return exit;
  // One value that begins like an object is the request as JSON: nobody means a text by it.
  if (!json && options.values.size() == 1 && options.values[0].starts_with('{')) json = options.values[0];
  if (!json) {
    const auto made = schema->json_of_values(tables->request, options.values);
    if (!made) return fail(kUsage, "{}", made.error().what());
    json = *made;
  }
  const auto request = schema->message(tables->request, *json);
  if (!request)
    return fail(kUsage, "the request is no {}: {}; it was: {}", tables->request, request.error().what(), *json);

  const raw::Method method{.name = found->method->name, .id = found->method->id, .urgent = tables->urgent};
  return exchange(options, entry.name, method, *request, *schema, *tables);
}

}  // namespace taut::tool
