// A memory file as an attacker makes it: of any size, with any part of it there, and any seals.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "taut/memory/descriptor.h"

namespace taut::testing {

// What a peer wants to see on a segment.
inline constexpr int kGoodSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;

// Of `size` bytes, the first `blocks` of them reserved and touched.
inline memory::Descriptor forged(std::size_t size, std::size_t blocks, int seals) {
  memory::Descriptor fd(memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  const std::string bytes(blocks, 'x');
  EXPECT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(blocks));
  EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

}  // namespace taut::testing
