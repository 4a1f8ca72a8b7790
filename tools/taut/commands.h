// The subcommands. Each takes its options whole, does its work and returns an exit code.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace taut::tool {

struct DemoOptions {
  std::uint64_t calls = 1'000'000;
  std::vector<int> cpus;  // of the client and the server; empty: the first two that this process may use
  bool json = false;
};
int demo(const DemoOptions& options);

struct LsOptions {
  bool json = false;
};
int ls(const LsOptions& options);

struct CallOptions {
  std::string target;
  std::string method;               // Service/Method
  std::optional<std::string> data;  // JSON, @file, or @- for stdin
  std::vector<std::string> values;  // of the request's fields, in the schema's order
  std::optional<std::chrono::nanoseconds> timeout;
  bool json = false;
};
int call(const CallOptions& options);

struct CheckOptions {
  std::string schema;   // the new one
  std::string against;  // the old one
  std::vector<std::string> includes;
  bool strict = false;  // warnings count
  bool json = false;
};
int check(const CheckOptions& options);

struct DescribeOptions {
  std::string target;  // a service, or a file that ends with .fbs or .bfbs
  std::string method;  // Service or Service/Method; empty: everything
  bool as_template = false;
  bool json = false;
};
int describe(const DescribeOptions& options);

struct InspectOptions {
  std::string target;  // a service; empty: `pid`
  int pid = 0;         // a process, with all its links
  std::string schema;  // a file, for links whose service nobody describes any more
  bool all = false;    // every record, not the oldest of each ring
  bool json = false;
};
int inspect(const InspectOptions& options);

struct VersionOptions {
  bool json = false;
};
int version(const VersionOptions& options);

}  // namespace taut::tool
