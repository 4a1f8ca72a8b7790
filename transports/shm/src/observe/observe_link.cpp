#include "observe_link.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "taut/memory/copy.h"
#include "taut/ring/observer.h"
#include "taut/ring/ring.h"

namespace taut::shm {
namespace {

using memory::RegionKind;
using ring::Head;
using ring::Kind;

// A ring that goes round faster than it can be copied is begun again so often.
constexpr unsigned kTornMax = 4;
// Rings above this are not searched for the requests that answers belong to.
constexpr std::uint32_t kSearchBytesMax = 16 << 20;

std::string said(const char* format, std::uint64_t value) {
  return std::string(make_error(Code::internal, 0, {}, format, static_cast<unsigned long long>(value)).what());
}

// One direction: the ring and `touched` are the writer's, `released` is the reader's.
struct Direction {
  const std::byte* ring = nullptr;
  std::uint32_t bytes = 0;
  const ring::LaneWords* writer = nullptr;
  const ring::LaneWords* reader = nullptr;
};

// An empty trouble: everything is there.
Direction direction(const SegmentView* writer, const SegmentView* reader, std::uint32_t lane, std::string& trouble) {
  Direction found;
  if (writer == nullptr || reader == nullptr) {
    trouble = writer == nullptr ? "its writer's segment was not found" : "its reader's segment was not found";
    return found;
  }
  const memory::Region* ring = writer->directory.find(RegionKind::ring, lane);
  found.writer = writer->at<ring::LaneWords>(RegionKind::lane_words, lane);
  found.reader = reader->at<ring::LaneWords>(RegionKind::lane_words, lane);
  if (ring == nullptr || found.writer == nullptr || found.reader == nullptr) {
    trouble = "a segment has no such lane";
  } else if (!std::has_single_bit(ring->bytes) || ring->bytes < ring::kRingBytesMin ||
             ring->bytes > ring::kRingBytesMax || ring->offset % ring::kStep != 0) {
    trouble = said("a ring cannot have %llu bytes", ring->bytes);
  } else {
    found.ring = writer->segment.data() + ring->offset;
    found.bytes = static_cast<std::uint32_t>(ring->bytes);
  }
  return found;
}

// Bytes of the blocks of trace and metadata, which say nothing of the message; nothing when they were not copied whole.
std::optional<std::uint32_t> bytes_beside(std::uint16_t extensions, const std::byte* copy, std::uint32_t copied) {
  std::uint32_t at = sizeof(ring::RequestHeader);
  if ((extensions & ring::extension::trace) != 0) at += sizeof(ring::TraceBlock);
  if ((extensions & ring::extension::metadata) != 0) {
    std::uint16_t bytes = 0;
    if (at + sizeof bytes > copied) return std::nullopt;
    std::memcpy(&bytes, copy + at, sizeof bytes);
    at += ring::up_to_16(std::uint32_t{bytes});
  }
  return at <= copied ? std::optional(at - std::uint32_t{sizeof(ring::RequestHeader)}) : std::nullopt;
}

ObservedRecord read_record(const ring::Observed& seen, const std::byte* copy) {
  ObservedRecord record;
  record.position = seen.position;
  record.head = seen.head;
  record.torn = seen.sight == ring::Sight::torn;
  if (record.torn) return record;
  std::uint32_t header_bytes = sizeof(ring::ReplyHeader);
  std::memcpy(&record.call, copy + offsetof(ring::ReplyHeader, call), sizeof record.call);
  if (seen.head.kind() == Kind::request && seen.copied >= sizeof(ring::RequestHeader)) {
    ring::RequestHeader header;
    std::memcpy(&header, copy, sizeof header);
    record.sent = header.sent;
    record.budget = header.budget;
    record.method = seen.head.detail();
    record.extensions = header.extensions;
    header_bytes = sizeof header;
    if (const auto beside = bytes_beside(header.extensions, copy, seen.copied)) {
      record.extensions &= static_cast<std::uint16_t>(~ring::extension::of_the_call);
      header_bytes += *beside;
    }
  } else if ((seen.head.flags() & ring::flag::extensions) != 0 && seen.copied >= ring::kBlocksAt) {
    std::memcpy(&record.extensions, copy + sizeof(ring::ReplyHeader), sizeof record.extensions);
    header_bytes = ring::kBlocksAt;
  }
  if (record.extensions == ring::extension::piece && seen.copied >= header_bytes + sizeof(ring::PieceBlock)) {
    ring::PieceBlock piece;
    std::memcpy(&piece, copy + header_bytes, sizeof piece);
    record.piece = piece;
    header_bytes += sizeof piece;
  }
  record.payload_bytes = seen.head.bytes() - std::min(header_bytes, seen.head.bytes());
  record.payload.assign(copy + header_bytes, copy + std::max(seen.copied, header_bytes));
  return record;
}

ObservedRing walk(const Direction& direction, const ObserveOptions& options) {
  ObservedRing observed;
  observed.bytes = direction.bytes;
  ring::Observer observer(
      ring::NativeObserverMemory(direction.ring, &direction.writer->touched, &direction.reader->released),
      direction.bytes);
  std::vector<std::byte> copy(sizeof(ring::RequestHeader) + std::min(options.payload_bytes_max, direction.bytes / 4));
  unsigned torn = 0;
  bool more = true;
  while (more) {
    const bool wanted = observed.records.size() < options.records_max;
    const ring::Observed seen =
        observer.next(copy.data(), wanted ? static_cast<std::uint32_t>(copy.size()) : ring::kHeaderMin);
    switch (seen.sight) {
      case ring::Sight::nothing:
        more = false;
        break;
      case ring::Sight::lie:
        observed.trouble = said("what stands at position %llu cannot be a record", seen.position);
        more = false;
        break;
      case ring::Sight::torn:
        observed.count = 0;  // the walk begins again where the reader is now
        more = ++torn < kTornMax;
        if (!more) observed.trouble = "it goes round faster than it can be copied";
        [[fallthrough]];
      case ring::Sight::record:
        if (seen.sight == ring::Sight::record) ++observed.count;
        if (wanted) observed.records.push_back(read_record(seen, copy.data()));
        break;
    }
  }
  observed.released = observer.released();
  observed.position = observer.position();
  // Relaxed, for people: the copies were held against it already.
  observed.touched = direction.writer->touched.load(std::memory_order_relaxed);
  return observed;
}

void mark_taken(ObservedRing& ring, const ObservedTaken& mark) {
  for (ObservedRecord& record : ring.records) {
    if (record.head.kind() == Kind::reply) continue;
    const std::uint64_t end = record.position + ring::up(std::uint64_t{record.head.bytes()});
    record.taken = !record.torn && static_cast<std::int64_t>(mark.position - end) >= 0;
  }
}

// Which method does an answer belong to? Only its request says so, whose bytes often still stand in the ring. Call ids
// are used once, so what has this id is that request, or the client lies.
std::optional<std::uint16_t> method_of(std::uint64_t call, const Direction& requests) {
  if (requests.ring == nullptr || requests.bytes > kSearchBytesMax) return std::nullopt;
  for (std::uint32_t at = 0; at != requests.bytes; at += ring::kStep) {
    std::uint64_t words[2];
    memory::opaque_copy(words, requests.ring + at, sizeof words);
    const Head head{words[0]};
    if (words[1] == call && head.kind() == Kind::request && head.bytes() >= sizeof(ring::RequestHeader) &&
        head.bytes() <= requests.bytes - at) {
      return head.detail();
    }
  }
  return std::nullopt;
}

void name_methods(ObservedRing& ring, const ObservedTaken& mark, const Direction& requests) {
  for (ObservedRecord& record : ring.records) {
    if (record.torn || record.head.kind() != Kind::reply) continue;
    record.method = record.call == mark.call && mark.method < rpc::MethodTable::kMethodsMax
                        ? static_cast<std::uint16_t>(mark.method)
                        : method_of(record.call, requests);
  }
}

// Calls of the server to its client go the other way.
void tell_calls_of_the_server(ObservedRing& there, ObservedRing& back) {
  for (ObservedRecord& record : there.records) record.of_server = record.head.kind() == Kind::reply;
  for (ObservedRecord& record : back.records) record.of_server = record.head.kind() == Kind::request;
}

ObservedSide observe_side(const SegmentView* segment, bool processes) {
  ObservedSide side;
  if (segment == nullptr) return side;
  side.here = true;
  side.agreement = agreement_of(*segment);
  const int pid = static_cast<int>(side.agreement.pid);
  // A number may be somebody else's by now; who has the segment open is the one.
  side.out_of_sight = !processes;
  if (processes && pid > 0 && holds(pid, segment->inode).value_or(true)) side.process = process_info(pid);
  if (const memory::Region* region = segment->directory.find(RegionKind::counters, 0)) {
    const std::size_t count = std::min<std::uint64_t>(region->bytes, sizeof(rpc::Counters)) / sizeof(rpc::Counter);
    side.counters.resize(count);
    memory::opaque_copy(side.counters.data(), segment->segment.data() + region->offset, count * sizeof(rpc::Counter));
  }
  for (std::uint32_t lane = 0; lane != ring::kLaneCount; ++lane) {
    const auto* words = segment->at<ring::LaneWords>(RegionKind::lane_words, lane);
    if (words == nullptr) continue;
    // Relaxed: for people, and the words may be of two calls.
    side.taken[lane] = {
        words->taken.position.load(std::memory_order_relaxed), words->taken.call.load(std::memory_order_relaxed),
        words->taken.method.load(std::memory_order_relaxed), words->taken.since.load(std::memory_order_relaxed)};
  }
  return side;
}

}  // namespace

Result<SegmentView> SegmentView::open(MemoryFile& file) {
  const ino_t inode = file.inode;
  if (file.bytes <= 0) return make_error(Code::failed_precondition, 0, {}, "%s is empty", file.name.c_str());
  auto segment = memory::open_peer(std::move(file.fd), static_cast<std::size_t>(file.bytes), file.name);
  if (!segment) return segment.error();
  auto directory = memory::Directory::read({segment->data(), segment->bytes()}, file.name);
  if (!directory) return directory.error();
  segment->close_descriptor();
  return SegmentView{*std::move(segment), *std::move(directory), inode};
}

SharedAgreement agreement_of(const SegmentView& segment) noexcept {
  SharedAgreement agreement{};
  if (const auto* shared = segment.at<SharedAgreement>(RegionKind::agreement, 0)) {
    memory::opaque_copy(&agreement, shared, sizeof agreement);
  }
  return agreement;
}

ObservedLink observe_link(std::string service, std::uint64_t id, const SegmentView* client, const SegmentView* server,
                          const ObserveOptions& options) {
  ObservedLink link;
  link.service = std::move(service);
  link.id = id;
  link.client = observe_side(client, options.processes);
  link.server = observe_side(server, options.processes);
  for (std::uint32_t lane = 0; lane != ring::kLaneCount; ++lane) {
    ObservedRing& requests = link.requests[lane];
    ObservedRing& replies = link.replies[lane];
    const Direction there = direction(client, server, lane, requests.trouble);
    const Direction back = direction(server, client, lane, replies.trouble);
    if (there.ring != nullptr) requests = walk(there, options);
    if (back.ring != nullptr) replies = walk(back, options);
    mark_taken(requests, link.server.taken[lane]);
    mark_taken(replies, link.client.taken[lane]);
    name_methods(replies, link.server.taken[lane], there);
    name_methods(requests, link.client.taken[lane], back);
    tell_calls_of_the_server(requests, replies);
  }
  return link;
}

}  // namespace taut::shm
