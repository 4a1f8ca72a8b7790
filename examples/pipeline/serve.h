// How each of the three servers lives: until SIGTERM, and then until what it took is answered.
#pragma once

#include <csignal>
#include <cstdio>

#include "taut/taut.h"

namespace shop_pipeline {

template <class Service>
int serve_until_told(const taut::Signals& stop, taut::Dispatcher& loop, const char* url, Service& service) {
  auto listener = loop.serve(url, service);
  if (!listener) return taut::report(listener.error());
  std::printf("ready %s\n", listener->url());
  std::fflush(stdout);
  loop.run_until(stop);
  return listener->drain() ? 0 : 1;
}

}  // namespace shop_pipeline
