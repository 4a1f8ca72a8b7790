// What a service is told by a listener that serves it: Service::is_served(). For services that are about the others,
// or that have to do something in a turn because of what happened on another thread; most need neither.
//
// Threads  a TurnPost may be copied, kept and used anywhere, also when its dispatcher is gone.
// Memory   a post may allocate.
// Waits    never.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "taut/rpc/dispatcher.h"
#include "taut/rpc/service.h"

namespace taut::rpc {

struct Turn;

// post() for what must not get lost when many others post: not counted against posts_max. To be bounded, whoever uses
// it has one function under way at a time.
class TurnPost {
 public:
  TurnPost() = default;
  // `f` runs in a later turn. False: the dispatcher is gone, and `f` with it.
  template <class F>
  bool operator()(F&& f) const noexcept {
    Posted posted(std::forward<F>(f));
    return post_function(posted);
  }

 private:
  friend class Core;
  explicit TurnPost(std::shared_ptr<Turn> turn) noexcept : turn_(std::move(turn)) {}
  bool post_function(Posted& posted) const noexcept;
  std::shared_ptr<Turn> turn_;
};

struct Serving {
  std::span<Service* const> services;  // of the listener, in its order; until is_served() returns
  TurnPost post;
};

}  // namespace taut::rpc
