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
    const std::string request = cpp_name(object(model, method.request).name);
    print("\n");
    print.comment(method.documentation, "  ");
    if (method.oneway) {
      print("  virtual void $(const $& request);\n", method.name, request);
    } else {
      const std::string reply = cpp_name(object(model, method.reply).name);
      print("  virtual void $(const $& request, taut::Reply<$> reply);\n", method.name, request, reply);
    }
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
    if (method.oneway) {
      print("  // Sent without an answer; false when it could not be sent.\n");
      print("  [[nodiscard]] bool $(const $& request) noexcept {\n", method.name, init);
      print("    return Caller::tell<$>($, request);\n  }\n", request, i);
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

void emit_service(Printer& print, const Model& model, const Service& service) {
  print.comment(service.documentation, "");
  print("struct $ {\n  class Service;\n  class Client;\n", last_name(service.name));
  print("  static const taut::rpc::ServiceDescription& description() noexcept;\n};\n\n");
  emit_base(print, model, service);
  emit_client(print, model, service);
}

}  // namespace gen
