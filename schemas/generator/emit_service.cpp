#include <set>

#include "emit.h"
#include "types.h"

namespace gen {
namespace {

const Object& object(const Model& model, int index) { return model.objects[static_cast<std::size_t>(index)]; }

void emit_base(Printer& print, const Model& model, const Service& service) {
  const std::string name = last_name(service.name);
  print("// Override what the service can do; the other methods answer unimplemented.\n");
  print("class $::Service : public taut::Service {\n public:\n", name);
  print("  [[nodiscard]] const taut::rpc::ServiceDescription& description() const noexcept final {\n");
  print("    return $::description();\n  }\n", name);
  for (const Method& method : service.methods) {
    std::string parameters;
    for (const auto& [type, parameter] : handler_parameters(model, method)) {
      parameters += (parameters.empty() ? "" : ", ") + type + " " + parameter;
    }
    print("\n");
    print.comment(method.documentation, "  ");
    print("  virtual void $($);\n", method.name, parameters);
  }
  print("};\n\n");
}

void emit_client(Printer& print, const Model& model, const Service& service) {
  const std::string name = last_name(service.name);
  print("// Calls the service at the other end of a link, which outlives the client.\n");
  print("class $::Client : private taut::stubs::Caller {\n public:\n", name);
  print("  explicit Client(taut::Link& link) : Caller(link, $::description()) {}\n", name);
  std::set<std::string> sends;
  for (std::size_t i = 0; i != service.methods.size(); ++i) {
    const Method& method = service.methods[i];
    const Object& request_table = object(model, method.request);
    const std::string init = init_name(request_table);
    const std::string request = cpp_name(request_table.name), reply = cpp_name(object(model, method.reply).name);
    const std::string types = request + ", " + reply;
    print("\n");
    print.comment(method.documentation, "  ");
    if (method.kind == CallKind::oneway) {
      print(
          "  // There is no answer. False: nothing was sent, as there is no server, or no room before it reads on.\n");
      print("  [[nodiscard]] bool $(const $& request, taut::MetadataArgument metadata = {}) noexcept {\n", method.name,
            init);
      print("    return Caller::tell<$>($, request, metadata);\n  }\n", request, i);
      continue;
    }
    if (method.kind == CallKind::server_stream) {
      print("  taut::Stream<$> $(const $& request, taut::StreamOptions options = {}) noexcept {\n", reply, method.name,
            init);
      print("    return Caller::stream<$>($, request, options);\n  }\n", types, i);
      continue;
    }
    if (method.is_stream()) {
      const char* const stream = method.kind == CallKind::client_stream ? "Upload" : "Duplex";
      print("  taut::$<$> $(taut::StreamOptions options = {}) noexcept {\n", stream, types, method.name);
      print("    return Caller::open<taut::$<$>>($, options);\n  }\n", stream, types, i);
      continue;
    }
    print("  taut::Call<$> $(const $& request, taut::CallOptions options = {}) noexcept {\n", reply, method.name, init);
    print("    return Caller::call<$>($, request, options);\n  }\n", types, i);
    print("  taut::Answer<$> $(const $& request, taut::stubs::Waiting wait) noexcept {\n", reply, method.name, init);
    print("    return Caller::wait<$>($, request, wait.get());\n  }\n", types, i);
    if (method.idempotent) {
      print(
          "  taut::Call<$> $(const $& request, taut::CallPolicy& policy, taut::CallOptions options = {}) noexcept {\n",
          reply, method.name, init);
      print("    return Caller::call<$>($, request, policy, options);\n  }\n", types, i);
      print("  taut::Answer<$> $(const $& request, taut::Retry& retry, taut::stubs::Waiting wait) noexcept {\n", reply,
            method.name, init);
      print("    return Caller::wait<$>($, request, retry, wait.get());\n  }\n", types, i);
    }
    if (!has_setters(request_table)) continue;
    print("  taut::Claim<$> claim_$(std::uint32_t bytes_max) noexcept {\n", types, method.name);
    print("    return Caller::claim<$>($, bytes_max);\n  }\n", types, i);
    if (!sends.insert(types).second) continue;
    print("  taut::Call<$> send(taut::Claim<$>&& claim, taut::CallOptions options = {}) noexcept {\n", reply, types);
    print("    return Caller::send(std::move(claim), options);\n  }\n");
  }
  print("};\n\n");
}

}  // namespace

std::vector<Parameter> handler_parameters(const Model& model, const Method& method) {
  const std::string request = cpp_name(object(model, method.request).name);
  const std::string reply = cpp_name(object(model, method.reply).name);
  const Parameter message{"const " + request + "&", "request"}, answer{"taut::Reply<" + reply + ">", "reply"};
  const Parameter told{"const taut::Told&", "told"};
  const Parameter in{"taut::Reader<" + request + ">", "in"}, out{"taut::Writer<" + reply + ">", "out"};
  switch (method.kind) {
    case CallKind::unary:
      break;
    case CallKind::oneway:
      return {message, told};
    case CallKind::server_stream:
      return {message, out};
    case CallKind::client_stream:
      return {in, answer};
    case CallKind::both_ways:
      return {in, out};
  }
  return {message, answer};
}

void emit_service(Printer& print, const Model& model, const Service& service) {
  print.comment(service.documentation, "");
  print("struct $ {\n  class Service;\n  class Client;\n", last_name(service.name));
  print("  static const taut::rpc::ServiceDescription& description() noexcept;\n};\n\n");
  emit_base(print, model, service);
  emit_client(print, model, service);
}

}  // namespace gen
