// A server and a client of one version of market.fbs, as one program:
//
//   market_VERSION fingerprint          prints the fingerprint of market.Market
//   market_VERSION serve URL            prints "ready URL" and serves until SIGTERM
//   market_VERSION client URL           connects, prints "ready URL", and answers each word on stdin with a line
//   market_VERSION named URL            the same with connect<market::Market>()
//
// Each version is built from a source of its own: two schemas of one namespace do not fit into one program.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

#include "market.taut.h"
#include "taut/taut.h"

namespace evolution {

// What a word on stdin does, and the line that it prints.
using Words = std::map<std::string, std::function<std::string(market::Market::Client&)>>;

template <class T>
std::string said(const taut::Answer<T>& answer, const std::function<std::string(const T&)>& text) {
  std::ostringstream line;
  if (answer) {
    line << "ok " << text(*answer);
  } else {
    line << answer.status();
  }
  return line.str();
}

inline std::string asked(market::Market::Client& client) {
  return said<market::Count>(client.Ask({.depth = 4}, taut::wait),
                             [](const market::Count& count) { return std::to_string(count.count()); });
}

inline int serve(const char* url, taut::Service& service) {
  const taut::Signals stop{SIGTERM};
  taut::Dispatcher loop;
  auto listener = loop.serve(url, service);
  if (!listener) return taut::report(listener.error());
  std::cout << "ready " << url << std::endl;
  loop.run_until(stop);
  return 0;
}

inline int call(taut::Result<taut::Link> link, const char* url, const Words& words) {
  if (!link) return taut::report(link.error());
  market::Market::Client client{*link};
  std::cout << "ready " << url << std::endl;
  for (std::string word; std::getline(std::cin, word);) {
    if (word == "down" || word == "up") {  // the test's watchdog ends this
      while (link->up() != (word == "up")) link->poll();
      std::cout << word << std::endl;
      continue;
    }
    std::cout << words.at(word)(client) << std::endl;
  }
  return 0;
}

inline int run(int argc, char** argv, taut::Service& service, const Words& words) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "fingerprint") {
    std::printf("0x%016llx\n", static_cast<unsigned long long>(market::Market::description().fingerprint));
    return 0;
  }
  if (argc != 3) return 2;
  if (what == "serve") return serve(argv[2], service);
  if (what == "client") return call(taut::connect(argv[2]), argv[2], words);
  if (what == "named") return call(taut::connect<market::Market>(argv[2]), argv[2], words);
  return 2;
}

}  // namespace evolution
