// host PLUGIN: loads a shared object that has taut inside, and asks it to call. The host has its own FlatBuffers.
#include <dlfcn.h>

#include <cstdio>

#include "newer.h"

int main(int, char** argv) {
  void* plugin = dlopen(argv[1], RTLD_NOW);
  if (plugin == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 3;
  const auto call = reinterpret_cast<int (*)()>(dlsym(plugin, "call"));
  if (call == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 4;
  return newer_says() == 77 ? call() : 2;
}
