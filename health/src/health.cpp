#include "taut/health.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

namespace taut {
namespace {

constexpr std::size_t kAll = ~std::size_t{0};  // in the place of a row: all services together

// Whole beside a reply's header, which has 48 bytes.
constexpr std::string_view kNotFound = "no service, or several, are called so";

std::string_view asked(const health::Which& which) noexcept {
  return which.service() != nullptr ? which.service()->string_view() : std::string_view();
}

std::string_view last_part(std::string_view name) noexcept { return name.substr(name.rfind('.') + 1); }

}  // namespace

// What copies share.
struct Health::Table {
  struct Row {
    std::string name;
    State state = State::serving;
    std::size_t served = 0;    // by so many of the copies
    std::size_t draining = 0;  // so many of these drain
  };

  // kAll for an empty name. None: no row, or several.
  [[nodiscard]] std::optional<std::size_t> find(std::string_view name) const {
    if (name.empty()) return kAll;
    std::optional<std::size_t> found;
    bool several = false;
    for (std::size_t i = 0; i != rows.size(); ++i) {
      if (rows[i].served == 0) continue;
      if (rows[i].name == name) return i;
      if (last_part(rows[i].name) == name) several = std::exchange(found, i).has_value();
    }
    return several ? std::nullopt : found;
  }
  std::size_t row_of(std::string_view name) {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
    if (found != rows.end()) return static_cast<std::size_t>(found - rows.begin());
    rows.push_back({std::string(name)});
    return rows.size() - 1;
  }
  [[nodiscard]] State state_of(const Health& asked, std::size_t row) const {
    if (row == kAll) {
      State worst = asked.draining_ ? State::draining : State::serving;
      for (std::size_t i = 0; i != rows.size(); ++i) {
        if (rows[i].served != 0) worst = std::max(worst, state_of(asked, i));
      }
      return worst;
    }
    const bool here = std::find(asked.rows_.begin(), asked.rows_.end(), row) != asked.rows_.end();
    const bool drains = here ? asked.draining_ : rows[row].draining == rows[row].served;
    return drains ? State::draining : rows[row].state;
  }
  void tell_copies() const {
    for (Health* const copy : copies) copy->tell_later();
  }

  mutable std::mutex mutex;
  std::vector<Row> rows;  // they stay, so that their indexes do
  std::vector<Health*> copies;
};

Health::Health() : table_(std::make_shared<Table>()) { table_->copies.push_back(this); }

Health::Health(const Health& other) : health::Health::Service(), table_(other.table_) {
  const std::lock_guard lock(table_->mutex);
  table_->copies.push_back(this);
}

Health::~Health() {
  const std::lock_guard lock(table_->mutex);
  leave();
  std::erase(table_->copies, this);
}

// It counts for nothing any more.
void Health::leave() {
  for (const std::size_t row : rows_) {
    --table_->rows[row].served;
    if (draining_) --table_->rows[row].draining;
  }
  rows_.clear();
  draining_ = false;
}

void Health::is_served(const rpc::Serving& serving) {
  const std::lock_guard lock(table_->mutex);
  if (draining_) leave();  // served again, behind a drain
  post_ = serving.post;
  telling_ = false;  // a dispatcher that is gone may have taken its post along
  for (taut::Service* const service : serving.services) {
    if (dynamic_cast<Health*>(service) != nullptr) continue;
    const std::size_t row = table_->row_of(service->description().name);
    if (std::find(rows_.begin(), rows_.end(), row) != rows_.end()) continue;
    rows_.push_back(row);
    ++table_->rows[row].served;
  }
  table_->tell_copies();
}

bool Health::set(std::string_view service, State state) {
  const std::lock_guard lock(table_->mutex);
  const std::optional<std::size_t> row = table_->find(service);
  if (!row) return false;
  for (std::size_t i = 0; i != table_->rows.size(); ++i) {
    if (i == *row || (*row == kAll && table_->rows[i].served != 0)) table_->rows[i].state = state;
  }
  table_->tell_copies();
  return true;
}

void Health::set(State state) { (void)set({}, state); }

std::optional<Health::State> Health::state(std::string_view service) const {
  const std::lock_guard lock(table_->mutex);
  const std::optional<std::size_t> row = table_->find(service);
  if (!row) return std::nullopt;
  return table_->state_of(*this, *row);
}

Health::State Health::state_of(std::size_t row) const {
  const std::lock_guard lock(table_->mutex);
  return table_->state_of(*this, row);
}

void Health::Check(const health::Which& which, Reply<health::Report> reply) {
  const std::optional<State> found = state(asked(which));
  if (!found) return reply.refuse(Code::not_found, kNotFound);
  reply.send({.state = *found});
}

void Health::Ready(const health::Which& which, Reply<health::Report> reply) {
  const std::optional<State> found = state(asked(which));
  if (!found) return reply.refuse(Code::not_found, kNotFound);
  if (*found != State::serving) return reply.refuse(Code::unavailable, health::EnumNameState(*found));
  reply.send({.state = *found});
}

void Health::Watch(const health::Which& which, Writer<health::Report> out) {
  const std::optional<std::size_t> row = [&] {
    const std::lock_guard lock(table_->mutex);
    return table_->find(asked(which));
  }();
  if (!row) return out.refuse(Code::not_found, kNotFound);
  const std::uint64_t id = ++last_watcher_;
  out.on_cancel([this, id] { watchers_.erase(id); });  // cancelled, dead, or without a link
  const auto watcher = watchers_.try_emplace(id, Watcher{std::move(out), *row}).first;
  if (!tell(id, watcher->second)) watchers_.erase(watcher);
}

void Health::drain_begins() {
  {
    const std::lock_guard lock(table_->mutex);
    if (std::exchange(draining_, true)) return;
    for (const std::size_t row : rows_) ++table_->rows[row].draining;
    table_->tell_copies();
  }
  // Who has no room for the state learns it from the end of the call, for which there always is some.
  for (auto& [id, watcher] : watchers_) {
    (void)tell(id, watcher);
    watcher.out.refuse({Code::unavailable, Ran::yes, Why::draining, "the server drains"});
  }
  watchers_.clear();
}

void Health::tell_later() {
  if (telling_) return;
  telling_ = post_([this] {
    {
      const std::lock_guard lock(table_->mutex);
      telling_ = false;
    }
    tell();
  });
}

void Health::tell() {
  for (auto next = watchers_.begin(); next != watchers_.end();) {
    const auto watcher = next++;
    if (!tell(watcher->first, watcher->second)) watchers_.erase(watcher);
  }
}

// Sends the state, unless it was the last that was sent. False: nobody watches any more.
bool Health::tell(std::uint64_t id, Watcher& watcher) {
  const State state = state_of(watcher.row);
  if (watcher.said == state) return true;
  const Sent sent = watcher.out.send({.state = state});
  if (sent == Sent::ok) {
    watcher.said = state;
  } else if (sent != Sent::over) {
    watcher.out.on_ready([this, id] {  // by number, since the watcher may have gone by then
      const auto still = watchers_.find(id);
      if (still != watchers_.end() && !tell(id, still->second)) watchers_.erase(still);
    });
  }
  return sent != Sent::over;
}

}  // namespace taut
