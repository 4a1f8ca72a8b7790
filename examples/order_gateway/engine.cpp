// Matches orders.   order_engine [URL]
#include "serve.h"
#include "services.h"

int main(int argc, char** argv) {
  const taut::Signals stop{SIGINT, SIGTERM};
  order_gateway::Engine engine;
  taut::Dispatcher loop;
  return order_gateway::serve_until_told(stop, loop, argc > 1 ? argv[1] : "shm://order-engine", engine);
}
