// The contract that every transport of taut passes, on this one: as it is, and with pipes that are smaller than the
// largest frame, which then comes and goes in parts.
#include "taut/testing/contract.h"

#include <memory>

#include "pipe_transport.h"
#include "support/service_folder.h"

namespace {

std::unique_ptr<taut::testing::World> make_world(pipe_transport::Options options) {
  const auto folder = std::make_shared<taut::testing::ServiceFolder>();  // goes with the last who knows how to start
  return taut::testing::make_process_world("pipe://" + folder->path() + "/desk",
                                           [folder, options] { return pipe_transport::make_transport(options); });
}

}  // namespace

TAUT_TRANSPORT_CONTRACT(taut::testing::Kind{"pipe", [] { return make_world({}); }},
                        taut::testing::Kind{"small_pipe", [] { return make_world({.pipe_bytes = 16384}); }});
