// The peers that refuse and are refused, one for each of their schemas: the version that contradicts (other/market.fbs)
// and the client that needs more than an old server has (needy/market.fbs).
#include "peer.h"

namespace {

struct Service final : market::Market::Service {
  void Ask(const market::Query& query, taut::Reply<market::Count> reply) override {
    reply.send({.count = query.depth() + 1});
  }
};

}  // namespace

int main(int argc, char** argv) {
  Service service;
  return evolution::run(argc, argv, service, {{"ask", evolution::asked}});
}
