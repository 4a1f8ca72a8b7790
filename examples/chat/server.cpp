// Serves the rooms until SIGTERM.   chat_server [URL]
#include <csignal>
#include <cstdio>

#include "chat.h"

int main(int argc, char** argv) {
  const taut::Signals stop{SIGINT, SIGTERM};
  chat_rooms::Chat chat;
  taut::Dispatcher loop;
  auto listener = loop.serve(argc > 1 ? argv[1] : "shm://chat", chat);
  if (!listener) return taut::report(listener.error());
  std::printf("ready %s\n", listener->url());
  std::fflush(stdout);
  loop.run_until(stop);
  chat.close();
  return listener->drain() ? 0 : 1;
}
