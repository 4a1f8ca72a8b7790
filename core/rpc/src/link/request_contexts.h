// What is known of those requests that came with trace or metadata, or that interceptors stand before. An end that
// never meets either has none of this, and asks for it with one branch.
//
// Threads  the dispatcher's; metadata() of a Reply on any thread, as long as the Reply is held.
// Memory   allocated with the first such request; a context each for as many as were open at once, kept for the next.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "blocks_beside.h"
#include "served_methods.h"
#include "taut/rpc/interceptor.h"

namespace taut::rpc {

class LinkEnd;
struct OpenRequest;

struct RequestContext {
  IncomingBlocks blocks;
  const ServedMethods::Method* method = nullptr;
  Ticks entered_at = 0;
  std::size_t entered = 0;  // so many interceptors let it in
  std::array<std::uint64_t, kInterceptorsMax> notes;
  Status refusal;           // what it was refused with, if it was
  bool in_handler = false;  // the handler may still ask, and its calls inherit
  bool over = false;        // answered within its handler

  [[nodiscard]] const TraceContext* trace() const noexcept { return blocks.traced ? &blocks.trace : nullptr; }
};

// The one-way message whose handler runs. It has no row; what its Told may be asked is found from here.
struct OneWayInHandler {
  bool ran;  // first: a ServedCall points to it
  const std::byte* header;
  const RequestContext* context;  // null: it came without trace and metadata, and no interceptor stands before it
  LinkEnd* const end;

  [[nodiscard]] Ticks sent() const noexcept {
    Ticks sent;
    std::memcpy(&sent, header + offsetof(ring::ReplyHeader, call), sizeof sent);
    return sent;
  }
};
static_assert(std::is_standard_layout_v<OneWayInHandler> && offsetof(OneWayInHandler, ran) == 0);

// The interceptors of a listener, in their order. It only grows, at its end: a call that is under way knows how many of
// them it met.
using ServerChain = std::vector<ServerInterceptor*>;

class RequestContexts {
 public:
  explicit RequestContexts(std::size_t rows) : of_row_(rows) {}

  // One that is free and belongs to no request yet.
  [[nodiscard]] RequestContext& take() {
    if (free_.empty()) {
      all_.push_back(std::make_unique<RequestContext>());
      free_.reserve(all_.size());
      free_.push_back(all_.back().get());
    }
    RequestContext& context = *free_.back();
    free_.pop_back();
    context.blocks.traced = false;
    context.blocks.metadata_bytes = 0;
    context.blocks.wrong = nullptr;
    context.entered = 0;
    context.refusal = Status();
    context.in_handler = context.over = false;
    return context;
  }
  void put_back(RequestContext& context) noexcept { free_.push_back(&context); }

  [[nodiscard]] RequestContext*& of_row(std::size_t row) noexcept { return of_row_[row]; }

  std::shared_ptr<const ServerChain> chain;  // null: none
  RequestContext* arriving = nullptr;        // of the request that is being opened

 private:
  std::vector<RequestContext*> of_row_;
  std::vector<std::unique_ptr<RequestContext>> all_;
  std::vector<RequestContext*> free_;
};

}  // namespace taut::rpc
