// One question of a tool to a live service, and its answer.
//
// Threads  any.
// Waits    up to `timeout`.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "message_socket.h"
#include "taut/base/clock.h"
#include "taut/rpc/transport.h"

namespace taut::shm {

// A packet of another type than a refusal, from a process whose credentials were checked. A refusal is an error.
Result<Packet> ask(const std::string& service, std::span<const std::byte> question, Nanoseconds timeout,
                   const std::string& directory, const rpc::AllowedUsers& allow = {});

}  // namespace taut::shm
