// Metadata as it travels: a head of two 16-bit integers (bytes of the block, pairs), then for each pair the bytes of
// its key (8 bits), a zero, the bytes of its value (16 bits), key and value. Without padding.
#include "taut/rpc/metadata.h"

#include <algorithm>

namespace taut {
namespace {

constexpr std::size_t kHead = 4;
constexpr std::size_t kPairHead = 4;

std::uint16_t read16(const std::byte* at) noexcept {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
void write16(std::byte* at, std::uint16_t value) noexcept { std::memcpy(at, &value, sizeof value); }

std::size_t pair_bytes(const std::byte* pair) noexcept {
  return kPairHead + std::to_integer<std::size_t>(pair[0]) + read16(pair + 2);
}

std::string_view text(const std::byte* at, std::size_t bytes) noexcept {
  return {reinterpret_cast<const char*>(at), bytes};
}

bool is_key(std::string_view key) noexcept {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !key.empty() && key.size() <= Metadata::kKeyBytesMax && std::all_of(key.begin(), key.end(), allowed);
}

}  // namespace

MetadataView::Pair MetadataView::Iterator::operator*() const noexcept {
  const auto key_bytes = std::to_integer<std::size_t>(at_[0]);
  return {text(at_ + kPairHead, key_bytes), text(at_ + kPairHead + key_bytes, read16(at_ + 2))};
}
MetadataView::Iterator& MetadataView::Iterator::operator++() noexcept {
  at_ += pair_bytes(at_);
  return *this;
}

std::size_t MetadataView::size() const noexcept { return block_.empty() ? 0 : read16(block_.data() + 2); }
MetadataView::Iterator MetadataView::begin() const noexcept {
  return Iterator(block_.data() + (block_.empty() ? 0 : kHead));
}
std::optional<std::string_view> MetadataView::find(std::string_view key) const noexcept {
  for (const Pair pair : *this) {
    if (pair.key == key) return pair.value;
  }
  return std::nullopt;
}

Metadata& Metadata::operator=(const Metadata& other) noexcept {
  if (this == &other) return *this;
  used_ = other.used_;
  complete_ = other.complete_;
  trace_ = other.trace_;
  if (used_ != 0) std::memcpy(bytes_, other.bytes_, used_);
  return *this;
}

std::span<const std::byte> Metadata::block() const noexcept { return {bytes_, used_}; }

bool Metadata::add(std::string_view key, std::string_view value) noexcept {
  const std::size_t at = used_ == 0 ? kHead : used_;
  const std::size_t count = view().size();
  const bool fits =
      count < kPairsMax && value.size() <= kBytesMax && at + kPairHead + key.size() + value.size() <= kBytesMax;
  if (!is_key(key) || !fits || view().find(key)) return complete_ = false;
  std::byte* const pair = bytes_ + at;
  pair[0] = static_cast<std::byte>(key.size());
  pair[1] = std::byte{0};
  write16(pair + 2, static_cast<std::uint16_t>(value.size()));
  std::memcpy(pair + kPairHead, key.data(), key.size());
  if (!value.empty()) std::memcpy(pair + kPairHead + key.size(), value.data(), value.size());
  used_ = static_cast<std::uint16_t>(at + pair_bytes(pair));
  write16(bytes_, used_);
  write16(bytes_ + 2, static_cast<std::uint16_t>(count + 1));
  return true;
}

namespace rpc {

const char* check_metadata(std::span<const std::byte> block) noexcept {
  if (block.size() > Metadata::kBytesMax) return "more than 1 KiB of metadata";
  if (block.size() < kHead || read16(block.data()) != block.size()) return "metadata without its head";
  const std::size_t count = read16(block.data() + 2);
  if (count == 0 || count > Metadata::kPairsMax) return "no pairs of metadata, or more than 16";
  std::string_view keys[Metadata::kPairsMax];
  std::size_t at = kHead;
  for (std::size_t i = 0; i != count; ++i) {
    if (block.size() - at < kPairHead) return "metadata ends within a pair";
    const std::byte* const pair = block.data() + at;
    const std::size_t bytes = pair_bytes(pair);
    if (pair[1] != std::byte{0} || bytes > block.size() - at) return "metadata ends within a pair";
    keys[i] = text(pair + kPairHead, std::to_integer<std::size_t>(pair[0]));
    if (!is_key(keys[i])) return "a key of metadata that is none";
    if (std::find(keys, keys + i, keys[i]) != keys + i) return "a key of metadata twice";
    at += bytes;
  }
  return at == block.size() ? nullptr : "metadata goes on behind its pairs";
}

}  // namespace rpc
}  // namespace taut
