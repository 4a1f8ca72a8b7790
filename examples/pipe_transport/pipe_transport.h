// A transport that taut does not have: links between two processes through named pipes, pipe:///FOLDER/NAME. It shows
// what a transport is made of and uses nothing but installed headers; who wants speed uses shm://.
//
//   taut::Dispatcher loop({}, pipe_transport::make_transport());
//   auto listener = loop.serve("pipe:///run/me/orders", orders);
//
// The URL is the path of a pipe, the door, that clients write their wishes to; for each link a client makes two more
// beside it, which are gone again when the link is up. Both ends run the rings that every transport runs, in private
// memory, and pump() carries what was written into one of them through the pipe into the other.
//
// Threads  as taut/rpc/transport.h says.
// Memory   a link allocates once, at most what both sides' ring sizes and one frame need.
// Trust    the folder decides who may connect, and whoever may is not believed: every length is checked, and a lie ends
//          the link. A peer that never reads fills its own ring and nothing else.
#pragma once

#include <cstddef>
#include <memory>

#include "taut/rpc/transport.h"

namespace pipe_transport {

struct Options {
  // Room of each pipe, as F_SETPIPE_SZ takes it; 0: what the rings hold, so that an end never finds the pipe full.
  std::size_t pipe_bytes = 0;
  // Links that a listener has at a time; one more is not answered.
  std::size_t links_max = 256;
};

std::unique_ptr<taut::rpc::Transport> make_transport(Options options = {});

}  // namespace pipe_transport
