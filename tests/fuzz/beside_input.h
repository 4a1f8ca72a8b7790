// One input for the reader of what goes beside a message, trace and metadata: a mask and bytes, both of which may be
// anything. The fuzzer and the test that runs with every build drive this same function.
//
//   offset  bytes  part
//        0      2  mask of extensions
//        2         what stands behind the header: blocks, then the message
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "link/blocks_beside.h"

namespace taut::fuzz {

// What became of an input.
enum class Read { impossible, refused, taken };

// As a link does. What must always hold is held by abort().
inline Read read_beside(std::uint16_t mask, std::span<const std::byte> input) {
  const auto require = [](bool holds) {
    if (!holds) std::abort();
  };
  // A copy of its exact size, so that a read behind the end is seen.
  const std::unique_ptr<std::byte[]> copy(new std::byte[input.size()]);
  std::copy(input.begin(), input.end(), copy.get());
  const std::span<const std::byte> bytes(copy.get(), input.size());
  const auto blocks = std::make_unique<rpc::IncomingBlocks>();
  const std::uint32_t taken = blocks->read(mask, bytes);
  if (taken == rpc::IncomingBlocks::kImpossible) return Read::impossible;
  require(taken <= bytes.size() && taken % 16 == 0);
  require(!blocks->traced || ((mask & ring::extension::trace) != 0 && blocks->trace.valid()));
  if ((mask & ring::extension::of_the_call) == 0) require(taken == 0);
  if ((mask & ring::extension::metadata) == 0) require(blocks->metadata_bytes == 0 && blocks->wrong == nullptr);
  if (blocks->wrong != nullptr) {
    require(blocks->view().empty());
    return Read::refused;
  }
  // Whoever adds the same pairs has the same block: nothing else was let through, and every bound was kept.
  Metadata again;
  for (const auto [key, value] : blocks->view()) {
    require(again.add(key, value));
    require(again.view().find(key) == value);
  }
  const auto block = again.block();
  require(again.complete() && block.size() == blocks->metadata_bytes);
  require(block.empty() || std::memcmp(block.data(), blocks->metadata, block.size()) == 0);
  return Read::taken;
}

inline Read read_beside(std::span<const std::byte> input) {
  std::uint16_t mask = 0;
  if (input.size() < sizeof mask) return Read::impossible;
  std::memcpy(&mask, input.data(), sizeof mask);
  return read_beside(mask, input.subspan(sizeof mask));
}

}  // namespace taut::fuzz
