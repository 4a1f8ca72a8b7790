// Takes orders, has them checked and matched.   order_gateway [URL [RISK_URL [ENGINE_URL]]]
#include "serve.h"
#include "services.h"

int main(int argc, char** argv) {
  const taut::Signals stop{SIGINT, SIGTERM};
  taut::Dispatcher loop;
  auto risk = loop.connect(argc > 2 ? argv[2] : "shm://order-risk");
  if (!risk) return taut::report(risk.error());
  auto engine = loop.connect(argc > 3 ? argv[3] : "shm://order-engine");
  if (!engine) return taut::report(engine.error());
  order_gateway::Gateway gateway(*risk, *engine);
  return order_gateway::serve_until_told(stop, loop, argc > 1 ? argv[1] : "shm://order-gateway", gateway);
}
