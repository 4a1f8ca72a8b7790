#include "taut/memory/arena.h"

#include <boost/interprocess/indexes/iset_index.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <new>

#include "taut/base/cache_line.h"

namespace taut::memory {
namespace {

namespace bip = boost::interprocess;

// One writer, so no lock; nothing is found by name, and the least index that compiles is iset_index.
using Managed = bip::basic_managed_external_buffer<char, bip::rbtree_best_fit<bip::null_mutex_family>, bip::iset_index>;

}  // namespace

struct Arena::Blocks {
  explicit Blocks(std::span<std::byte> memory) : managed(bip::create_only, memory.data(), memory.size()) {}
  Managed managed;
};

Arena::Arena(std::unique_ptr<Blocks> blocks) noexcept : blocks_(std::move(blocks)) {}
Arena::Arena(Arena&&) noexcept = default;
Arena& Arena::operator=(Arena&&) noexcept = default;
Arena::~Arena() = default;

Result<Arena> Arena::over(std::span<std::byte> memory) {
  try {
    return Arena(std::make_unique<Blocks>(memory));
  } catch (const bip::interprocess_exception& refused) {
    return make_error(Code::resource_exhausted, 0,
                      "write a larger arena=", "an arena of %zu bytes cannot be laid out: %s", memory.size(),
                      refused.what());
  }
}

std::byte* Arena::allocate(std::size_t bytes) noexcept {
  return static_cast<std::byte*>(blocks_->managed.allocate_aligned(bytes, kCacheLine, std::nothrow));
}

void Arena::free(std::byte* block) noexcept { blocks_->managed.deallocate(block); }

}  // namespace taut::memory
