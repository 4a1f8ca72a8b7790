// taut-gen on schemas that break its rules: what people read, with file, line, reason and fix. Each case runs the real
// flatc and the real taut-gen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support/temporary_directory.h"

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  int code = -1;
  std::string said;
};

Outcome run(const std::string& command) {
  Outcome outcome;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 512> bytes;
  while (const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), pipe))
    outcome.said.append(bytes.data(), count);
  const int status = ::pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

class Generator : public ::testing::Test {
 protected:
  void file(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }

  // Compiles bad.fbs; paths in what is said are shortened to the file's name.
  Outcome generate(const std::string& text) {
    file("bad.fbs", text);
    const std::string path = (folder_ / "bad").string();
    const Outcome flatc = run(std::string(TAUT_FLATC_PATH) + " --binary --schema --bfbs-builtins --bfbs-comments -o " +
                              folder_.string() + " " + path + ".fbs");
    EXPECT_EQ(flatc.code, 0) << "flatc refuses the schema itself: " << flatc.said;
    Outcome outcome = run(std::string(TAUT_GEN_PATH) + " --fbs=" + path + ".fbs --bfbs=" + path +
                          ".bfbs --header=" + path + ".taut.h --source=" + path + ".taut.cpp --depfile=" + path + ".d");
    const std::string prefix = folder_.string() + "/";
    for (std::size_t at; (at = outcome.said.find(prefix)) != std::string::npos;) outcome.said.erase(at, prefix.size());
    return outcome;
  }
  void expect_refused(const std::string& text, const std::string& said) {
    const Outcome outcome = generate(text);
    EXPECT_EQ(outcome.said, said);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "bad.taut.h"));
  }
  void expect_accepted(const std::string& text) {
    const Outcome outcome = generate(text);
    EXPECT_EQ(outcome.said, "");
    EXPECT_EQ(outcome.code, 0);
  }
  std::string made(const std::string& name) {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const taut::testing::TemporaryDirectory directory_;
  const std::filesystem::path folder_ = directory_.path();
};

TEST_F(Generator, refuses_two_methods_with_one_id) {
  expect_refused(R"(namespace x;
table T { a:int; }
rpc_service S {
  A(T):T (id: 1);
  B(T):T (id: 1);
}
)",
                 "bad.fbs:5: method 'B' has the id 1 of method 'A'; give it an unused id, for example (id: 2)\n");
}

TEST_F(Generator, refuses_a_method_without_id) {
  expect_refused(R"(namespace x;
table T { a:int; }
rpc_service S {
  A(T):T (id: 1);
  // B(T):T (id: 3) would be found here by a careless search
  B(T):T;
  C(T):T (id: 2);
}
)",
                 "bad.fbs:6: method 'B' has no id; give it one that is not used, for example (id: 3)\n");
}

TEST_F(Generator, refuses_ids_that_are_no_ids) {
  expect_refused(R"(namespace x;
table T { a:int; }
rpc_service S {
  A(T):T (id: "one");
  B(T):T (id: 65536);
}
)",
                 "bad.fbs:4: method 'A' has the id 'one'; write a number from 0 to 65535, for example (id: 1)\n"
                 "bad.fbs:5: method 'B' has the id '65536'; write a number from 0 to 65535, for example (id: 1)\n");
}

TEST_F(Generator, refuses_keywords) {
  expect_refused(R"(namespace x;
enum E:ubyte { default, other }
table T { class:int; e:E; }
rpc_service S {
  delete(T):T (id: 1);
}
)",
                 "bad.fbs:2: value 'default' of enum 'E' is a C++ keyword; rename it, for example 'default_value'\n"
                 "bad.fbs:3: field 'class' is a C++ keyword; rename it, for example 'class_value'\n"
                 "bad.fbs:5: method 'delete' is a C++ keyword; rename it, for example 'deleteIt'\n");
}

TEST_F(Generator, refuses_names_of_generated_members) {
  expect_refused(
      R"(namespace x;
table T { finish:int; }
rpc_service S {
  send(T):T (id: 1);
  claim_it(T):T (id: 2);
  Client(T):T (id: 3);
}
)",
      "bad.fbs:2: field 'finish' has the name of a generated member; rename it\n"
      "bad.fbs:4: method 'send' has the name of a generated member of 'S'; rename it, for example 'Dosend'\n"
      "bad.fbs:5: method 'claim_it' has the name of a generated member of 'S'; rename it, for example 'Doclaim_it'\n"
      "bad.fbs:6: method 'Client' has the name of a generated member of 'S'; rename it, for example 'DoClient'\n");
}

TEST_F(Generator, refuses_names_that_would_be_declared_twice) {
  expect_refused(R"(namespace x;
table T { a:int; }
table TInit { a:int; }
table S { a:int; }
rpc_service S {
  A(T):T (id: 1);
}
)",
                 "bad.fbs:2: the init struct of table 'T' and the table 'TInit' would have one name; rename either\n"
                 "bad.fbs:5: service 'S' has the name of a table; rename either, for example 'SService'\n");
}

TEST_F(Generator, refuses_namespaces_of_libraries) {
  expect_refused(R"(namespace taut.mine;
table T { a:int; }
rpc_service S { A(T):T (id: 1); }
)",
                 "bad.fbs:3: namespace 'taut' belongs to a library; give the schema a namespace of its own\n");
}

TEST_F(Generator, refuses_shapes_that_it_cannot_write) {
  expect_refused(
      R"(namespace x;
attribute "optional";
struct Big (force_align: 32) { a:ulong; }
table A { a:int; }
union U { A }
table T {
  u:U;
  us:[U];
  big:Big (required);
  nested:[ubyte] (nested_flatbuffer: "A", optional);
  flexible:[ubyte] (flexbuffer, optional);
  me:T (optional);
}
rpc_service S { Go(T):A (id: 1); }
)",
      "bad.fbs:3: struct 'Big' has (force_align: 32); messages stand 16-aligned, so use at most 16\n"
      "bad.fbs:7: field 'u' is a union, which taut does not support; use one (optional) table per case instead\n"
      "bad.fbs:8: field 'us' is a vector of unions, which taut does not support; use one (optional) table per case "
      "instead\n"
      "bad.fbs:10: field 'nested' is marked (nested_flatbuffer), which taut does not support; leave the attribute out, "
      "or use a vector of bytes\n"
      "bad.fbs:11: field 'flexible' is marked (flexbuffer), which taut does not support; leave the attribute out, or "
      "use a vector of bytes\n"
      "bad.fbs:12: field 'me' makes table 'T' hold itself; use a vector of tables, which may be empty\n");
}

TEST_F(Generator, leaves_out_tables_that_no_method_needs_and_that_it_cannot_write) {
  expect_accepted(R"(namespace x;
table A { a:int; }
union U { A }
table NotForUs { u:U; }
rpc_service S { Go(A):A (id: 1); }
)");
  EXPECT_THAT(made("bad.taut.h"), Not(HasSubstr("NotForUs")));
}

TEST_F(Generator, refuses_broken_caps) {
  expect_refused(
      R"(namespace x;
attribute "max";
table T {
  a:int (max: 4);
  b:string (required, max: 0);
  c:[int] (required, max: "many");
  d:string (required, max: 2000000000);
}
rpc_service S { Go(T):T (id: 1); }
)",
      "bad.fbs:4: the cap (max) of field 'a' does nothing: only strings and vectors can be capped; leave it out\n"
      "bad.fbs:5: the cap of field 'b' is '0'; write the most characters or elements as a number from 1 to 1073741824, "
      "for example (max: 64)\n"
      "bad.fbs:6: the cap of field 'c' is 'many'; write the most characters or elements as a number from 1 to "
      "1073741824, for example (max: 64)\n"
      "bad.fbs:7: the cap of field 'd' is '2000000000'; write the most characters or elements as a number from 1 to "
      "1073741824, for example (max: 64)\n");
}

TEST_F(Generator, refuses_attributes_that_contradict_or_say_nothing) {
  expect_refused(
      R"(namespace x;
attribute "optional";
attribute "timeout";
table T {
  a:int (optional);
  b:string (required, optional);
}
rpc_service S {
  Fast(T):T (id: 1, timeout: "50");
  Slow(T):T (id: 2, timeout: "0s");
}
)",
      "bad.fbs:5: field 'a' is a scalar, which (optional) does not make absent; write 'a:TYPE = null' instead\n"
      "bad.fbs:6: field 'b' is both (required) and (optional); leave one of them out\n"
      "bad.fbs:9: the timeout of method 'Fast' is '50'; write a number and ns, us, ms or s, for example (timeout: "
      "\"50us\")\n"
      "bad.fbs:10: the timeout of method 'Slow' is '0s'; write a number and ns, us, ms or s, for example (timeout: "
      "\"50us\")\n");
}

TEST_F(Generator, refuses_kinds_of_calls_that_there_are_not) {
  expect_refused(
      R"(namespace x;
attribute "oneway";
attribute "urgent";
attribute "timeout";
table T { a:int; }
rpc_service S {
  A(T):T (id: 1, streaming: "bidi");
  B(T):T (id: 2, streaming);
  C(T):T (id: 3, streaming: "server", oneway);
  D(T):T (id: 4, streaming: "both", urgent);
  E(T):T (id: 5, oneway, timeout: "1ms");
}
)",
      "bad.fbs:7: method 'A' has (streaming: \"bidi\"); write \"server\", \"client\" or \"both\", or leave it "
      "out when nothing is streamed\n"
      "bad.fbs:8: method 'B' has (streaming: \"0\"); write \"server\", \"client\" or \"both\", or leave it out "
      "when nothing is streamed\n"
      "bad.fbs:9: method 'C' is both (oneway) and (streaming), but the end of a stream is an answer; leave one "
      "of them out\n"
      "bad.fbs:10: method 'D' is both (urgent) and (streaming), and its items would fill the small lane that "
      "urgent calls overtake on; leave (urgent) out\n"
      "bad.fbs:11: the timeout of method 'E' does nothing: nobody waits for a one-way message; leave it out\n");
}

TEST_F(Generator, refuses_limits_that_are_none) {
  expect_refused(
      R"(namespace x;
attribute "limit";
attribute "oneway";
table T { a:int; }
rpc_service S {
  A(T):T (id: 1, limit: 0);
  B(T):T (id: 2, limit: "many");
  C(T):T (id: 3, limit: -1);
  D(T):T (id: 4, limit: 1000001);
  E(T):T (id: 5, limit: 8, oneway);
  F(T):T (id: 6, limit);
}
)",
      "bad.fbs:6: the limit of method 'A' is '0'; write how many of its calls may be open at a time, a number from 1 "
      "to "
      "1000000, for example (limit: 64)\n"
      "bad.fbs:7: the limit of method 'B' is 'many'; write how many of its calls may be open at a time, a number from "
      "1 "
      "to 1000000, for example (limit: 64)\n"
      "bad.fbs:8: the limit of method 'C' is '-1'; write how many of its calls may be open at a time, a number from 1 "
      "to 1000000, for example (limit: 64)\n"
      "bad.fbs:9: the limit of method 'D' is '1000001'; write how many of its calls may be open at a time, a number "
      "from "
      "1 to 1000000, for example (limit: 64)\n"
      "bad.fbs:10: the limit of method 'E' does nothing: a one-way message is never open; leave it out\n"
      "bad.fbs:11: the limit of method 'F' is '0'; write how many of its calls may be open at a time, a number from 1 "
      "to "
      "1000000, for example (limit: 64)\n");
}

TEST_F(Generator, takes_a_limit_as_a_number_or_in_quotes) {
  expect_accepted(R"(namespace x;
attribute "limit";
table T { a:int; }
rpc_service S {
  A(T):T (id: 1, limit: 64);
  B(T):T (id: 2, limit: "7", streaming: "server");
  C(T):T (id: 3);
}
)");
  const std::string source = made("bad.taut.cpp");
  EXPECT_THAT(source, HasSubstr(".limit = 64,"));
  EXPECT_THAT(source, HasSubstr(".limit = 7,"));
}

TEST_F(Generator, makes_the_signature_of_each_kind) {
  expect_accepted(R"(namespace x;
attribute "oneway";
table Q { a:int; }
table R { a:int; }
rpc_service S {
  Ask(Q):R (id: 1);
  Tell(Q):R (id: 2, oneway);
  Watch(Q):R (id: 3, streaming: "server");
  Load(Q):R (id: 4, streaming: "client");
  Talk(Q):R (id: 5, streaming: "both");
}
)");
  const std::string header = made("bad.taut.h"), source = made("bad.taut.cpp");
  for (const char* handler :
       {"Ask(const x::Q& request, taut::Reply<x::R> reply);", "Tell(const x::Q& request, const taut::Told& told);",
        "Watch(const x::Q& request, taut::Writer<x::R> out);", "Load(taut::Reader<x::Q> in, taut::Reply<x::R> reply);",
        "Talk(taut::Reader<x::Q> in, taut::Writer<x::R> out);"}) {
    EXPECT_THAT(header, HasSubstr(std::string("  virtual void ") + handler));
  }
  for (const char* call : {"taut::Call<x::R> Ask(const x::QInit& request, taut::CallOptions options = {})",
                           "bool Tell(const x::QInit& request, taut::MetadataArgument metadata = {})",
                           "taut::Stream<x::R> Watch(const x::QInit& request, taut::StreamOptions options = {})",
                           "taut::Upload<x::Q, x::R> Load(taut::StreamOptions options = {})",
                           "taut::Duplex<x::Q, x::R> Talk(taut::StreamOptions options = {})"}) {
    EXPECT_THAT(header, HasSubstr(call));
  }
  for (const char* kind : {"oneway", "server_stream", "client_stream", "both_ways"}) {
    EXPECT_THAT(source, HasSubstr(std::string(".kind = taut::rpc::CallKind::") + kind));
  }
}

TEST_F(Generator, refuses_defaults_that_binary_schemas_lose) {
  expect_refused(R"(namespace x;
table T {
  fits:ulong = 9223372036854775807;
  lost:ulong = 9223372036854775808;
}
rpc_service S { Go(T):T (id: 1); }
)",
                 "bad.fbs:4: the default '9223372036854775808' of field 'lost' is above 9223372036854775807, which "
                 "binary schemas cannot hold; use a smaller default, or '= null'\n");
}

TEST_F(Generator, warns_of_requests_with_fields_that_may_be_null) {
  const Outcome outcome = generate(R"(namespace x;
attribute "optional";
struct P { x:int; }
table Inner { s:string; }
table Request {
  a:string;
  b:[int];
  c:P;
  d:Inner;
  ok:string (required);
  also:string (optional);
  number:int;
}
table Reply { free:string; }
rpc_service S { Go(Request):Reply (id: 1); }
)");
  EXPECT_EQ(outcome.code, 0);
  const std::string fix =
      " may be absent, a null pointer in the handler; mark it (required), or (optional) if that is meant\n";
  EXPECT_EQ(outcome.said, "bad.fbs:4: warning: field 's' of request 'Inner'" + fix +        //
                              "bad.fbs:6: warning: field 'a' of request 'Request'" + fix +  //
                              "bad.fbs:7: warning: field 'b' of request 'Request'" + fix +  //
                              "bad.fbs:8: warning: field 'c' of request 'Request'" + fix +  //
                              "bad.fbs:9: warning: field 'd' of request 'Request'" + fix);
}

TEST_F(Generator, names_the_included_file_that_is_wrong) {
  file("part.fbs", "namespace part;\n\ntable P {\n  class:int;\n}\n");
  expect_refused(R"(include "part.fbs";
namespace x;
table T { p:part.P (required); }
rpc_service S { Go(T):T (id: 1); }
)",
                 "part.fbs:4: field 'class' is a C++ keyword; rename it, for example 'class_value'\n");
}

TEST_F(Generator, lists_the_files_that_it_depends_on) {
  file("part.fbs", "namespace part;\ntable P { a:int; }\n");
  expect_accepted("include \"part.fbs\";\nnamespace x;\ntable T { p:part.P (required); }\n");
  EXPECT_THAT(made("bad.d"), HasSubstr("bad.taut.h: "));
  EXPECT_THAT(made("bad.d"), HasSubstr("/bad.fbs "));
  EXPECT_THAT(made("bad.d"), HasSubstr("/part.fbs"));
  EXPECT_THAT(made("bad.taut.h"), HasSubstr("#include \"part.taut.h\""));
}

TEST_F(Generator, the_fingerprint_follows_meaning_and_not_spelling) {
  const auto fingerprint = [&](const std::string& text) {
    expect_accepted(text);
    const std::string source = made("bad.taut.cpp");
    const auto at = source.find(".fingerprint = ");
    return source.substr(at, 15 + 18);
  };
  const std::string base = "namespace x; table T { a:int = 3; b:long; } rpc_service S { Go(T):T (id: 1); }";
  const std::string one = fingerprint(base);
  EXPECT_EQ(one, fingerprint("/* a comment */ namespace x;\n/// documentation\ntable T { a:int = 3; b:long; }\n"
                             "table Unused { c:int; }\nrpc_service S { Go(T):T (id: 1); }"));
  for (const char* other : {"namespace x; table T { a:int = 4; b:long; } rpc_service S { Go(T):T (id: 1); }",
                            "namespace x; table T { a:int = 3; b:ulong; } rpc_service S { Go(T):T (id: 1); }",
                            "namespace x; table T { b:int = 3; a:long; } rpc_service S { Go(T):T (id: 1); }",
                            "namespace x; table T { a:int = 3; b:long; } rpc_service S { Go(T):T (id: 2); }",
                            "namespace x; table T { a:int = 3; b:long; } rpc_service S { Do(T):T (id: 1); }",
                            "namespace y; table T { a:int = 3; b:long; } rpc_service S { Go(T):T (id: 1); }",
                            "namespace x; table T { a:int = 3; b:long; c:int; } rpc_service S { Go(T):T (id: 1); }"}) {
    EXPECT_NE(one, fingerprint(other)) << other;
  }
}

TEST_F(Generator, wrong_use_says_how_it_is_used) {
  const std::string gen = TAUT_GEN_PATH;
  Outcome outcome = run(gen);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.said, HasSubstr("option '--bfbs' is missing"));
  outcome = run(gen + " --colour=red");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.said, HasSubstr("unknown option '--colour=red'"));
  file("noise.bfbs", "this is no schema, however long it goes on about it");
  const std::string noise = (folder_ / "noise").string();
  outcome = run(gen + " --fbs=a.fbs --bfbs=" + noise + ".bfbs --header=" + noise + ".h --source=" + noise + ".cpp");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.said, HasSubstr("is no binary schema; make it with flatc"));
}

}  // namespace
