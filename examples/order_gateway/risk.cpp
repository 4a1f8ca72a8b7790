// Limits what an account may order.   order_risk [URL [LIMIT]]
#include <cstdlib>

#include "serve.h"
#include "services.h"

int main(int argc, char** argv) {
  const taut::Signals stop{SIGINT, SIGTERM};
  order_gateway::Risk risk(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'000);
  taut::Dispatcher loop;
  return order_gateway::serve_until_told(stop, loop, argc > 1 ? argv[1] : "shm://order-risk", risk);
}
