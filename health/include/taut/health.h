// The health service of a server: what `taut call NAME Health/Check` and supervisors ask. Served beside the others, it
// knows their names by itself:
//
//   taut::Health health;
//   auto listener = loop.serve("shm://orders", orders, health);
//   health.set(taut::Health::State::not_serving);  // or of one of them: set("Orders", ...)
//
// A service is `serving` until set() says something else, and `draining` as soon as all listeners that serve it drain.
// What such a drain does to watchers, and what supervisors make of it: docs/health.md.
//
// One object for each listener, and for each dispatcher that shares one. Its copies share what set() said, and a copy
// that is served alone, under a name of its own, tells of the others while they drain.
//
// Threads  set() and state(): any. The methods: the dispatcher's.
// Memory   a watcher has an entry here, and its call's grant bounds how many there are; set() may allocate a post.
// Waits    never, but for a lock that is held while a name is looked up. Watchers are told in the dispatcher's next
// turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "taut/rpc/serving.h"
#include "taut_health.taut.h"

namespace taut {

class Health final : public health::Health::Service {
 public:
  using State = health::State;

  Health();
  Health(const Health& other);
  Health& operator=(const Health&) = delete;
  ~Health() override;

  // Of one service, named as in its schema: desk.Orders, or Orders where no other is called so; of all that are served
  // now, where the name is empty. False: none is called so, or several are.
  [[nodiscard]] bool set(std::string_view service, State state);
  void set(State state);  // of all
  // As Check() answers. None: no service, or several, are called so. Of all together: `draining` where one is, else
  // `not_serving` where one is.
  [[nodiscard]] std::optional<State> state(std::string_view service = {}) const;

  // --- what clients and the listener call
  void Check(const health::Which& which, Reply<health::Report> reply) override;
  void Ready(const health::Which& which, Reply<health::Report> reply) override;
  void Watch(const health::Which& which, Writer<health::Report> out) override;
  void is_served(const rpc::Serving& serving) override;
  void drain_begins() override;

 private:
  struct Table;
  struct Watcher {
    Writer<health::Report> out;
    std::size_t row;
    std::optional<State> said = {};
  };

  [[nodiscard]] State state_of(std::size_t row) const;
  void tell();
  void tell_later();
  [[nodiscard]] bool tell(std::uint64_t id, Watcher& watcher);
  void leave();

  const std::shared_ptr<Table> table_;
  // Of the table's lock, as what stands in it.
  rpc::TurnPost post_;
  std::vector<std::size_t> rows_;  // that its listeners serve
  bool draining_ = false;
  bool telling_ = false;  // a post is under way
  // Of the dispatcher.
  std::map<std::uint64_t, Watcher> watchers_;
  std::uint64_t last_watcher_ = 0;
};

}  // namespace taut
