// The set-up side of the dispatcher: serving, connecting, and what the control plane reports. May allocate and log.
#include <sys/random.h>

#include <algorithm>

#include "core.h"
#include "taut/rpc/serving.h"

namespace taut::rpc {
namespace {

// Whose log takes what is thrown where no link is at hand: see log_thrown().
thread_local std::weak_ptr<Turn> turn_of_thread;
// Clients that start together shall not draw alike, whatever their pids are: in containers all of them are 1.
std::uint64_t fresh_seed() noexcept {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
    seed = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return seed;
}

}  // namespace

Core::Core(std::vector<std::unique_ptr<Transport>> transports, DispatcherOptions options)
    : transports_(std::move(transports)),
      options_(std::move(options)),
      turn_(std::make_shared<Turn>(options_.clock ? *options_.clock : Clock::system())) {
  if (options_.log) turn_->log = options_.log;
  if (options_.seed == 0) options_.seed = fresh_seed();
  if (options_.control != nullptr) {
    control_ = options_.control;
  } else if (auto control = ControlPlane::create()) {
    own_control_ = std::move(*control);
    control_ = own_control_.get();
  } else {
    control_error_ = control.error();
  }
  control_period_ = turn_->clock.to_ticks(options_.control_period);
  spin_ticks_ = turn_->clock.to_ticks(kSpinFor);
  turn_->core = this;
  turn_->wake = [this] { wake(); };
  turn_->finished.reserve(64);
  running_finished_.reserve(64);
  posts_.reserve(options_.posts_max);
  running_posts_.reserve(options_.posts_max);
}

Core::~Core() = default;

void Core::close() noexcept {
  if (turn_->owner == nullptr) adopt_thread();
  for (auto& [endpoint, link] : links_) link->core_gone();
  links_.clear();
  for (const auto& served : served_) stop_listening(served.first);
  served_.clear();
  take_inbox();  // links that nobody has taken yet: their peers are told
  for (const auto& end : ends_) {
    if (end->ended == nullptr) end_link(*end, {Why::link_closed, "the dispatcher was destroyed"});
  }
  bury_the_ended(true);
  // Calls that were refused, and those that the callbacks of the ended ones made. Not for ever: a callback may retry.
  for (int round = 0; round != 3 && !turn_->finished.empty(); ++round) run_finished();
  for (int round = 0; round != 3; ++round) turn_->timers.run_due(kNever);  // what is told may set the next
  leave_to_replies(*turn_, std::move(husks_));
}

bool Core::on_owner() noexcept {
  if (turn_->owner == nullptr) adopt_thread();
  return turn_->on_owner();
}

void Core::adopt_thread() noexcept {
  turn_->owner = this_thread();
  turn_->owner_name = describe_this_thread();
  turn_of_thread = turn_;
}

std::string Core::wrong_thread_text() const {
  return "called on thread " + describe_this_thread() + ", but this dispatcher belongs to thread " + turn_->owner_name +
         "; hand the work over with post()";
}

Transport* Core::transport_of(const Url& url) const noexcept {
  for (const auto& transport : transports_) {
    if (transport->scheme() == url.scheme) return transport.get();
  }
  return nullptr;
}

void Turn::log_thrown(const std::string& whose) const noexcept {
  std::string text = whose + " threw";
  try {
    throw;
  } catch (const std::exception& thrown) {
    text += std::string(": ") + thrown.what();
  } catch (...) {
  }
  log(Severity::error, text);
}

void log_thrown(const char* by_whom) noexcept {
  if (const auto turn = turn_of_thread.lock()) return turn->log_thrown(by_whom);
  Turn(Clock::system()).log_thrown(by_whom);
}

Result<void> Core::be_ready() {
  if (control_error_) return *control_error_;
  if (!turn_->fork_guard) {
    auto guard = memory::ForkGuard::create();
    if (!guard) return guard.error();
    turn_->fork_guard = std::move(*guard);
    turn_->fork_word = turn_->fork_guard->word();
  }
  if (!board_) {
    auto board = memory::Board::create(options_.idle == Idle::spin ? ring::board::never_sleeps : 0);
    if (!board) return board.error();
    board_ = std::make_shared<memory::Board>(std::move(*board));
  }
  return {};
}

namespace {

Error unknown_scheme(const Url& url, const std::vector<std::unique_ptr<Transport>>& transports) {
  std::string known;
  for (const auto& transport : transports)
    known += (known.empty() ? "" : ", ") + std::string(transport->scheme()) + "://";
  return make_error(Code::invalid_argument, 0, "use one of: " + known, "no transport is called '%s' in %s",
                    url.scheme.c_str(), url.name().c_str());
}

std::shared_ptr<ServedMethods> methods_of(std::span<Service* const> services, const LinkOptions& options,
                                          const Clock& clock) {
  auto methods = std::make_shared<ServedMethods>(services, options.reply_bytes_max);
  if (options.open_max != 0) methods->limit().all.allow(options.open_max);
  if (options.delay_max.count() != 0) methods->limit().delay.allow(clock.to_ticks(options.delay_max));
  return methods;
}

}  // namespace

Result<Listener> Core::serve(std::string_view text, std::span<Service* const> services) {
  auto url = Url::parse(text);
  if (!url) return url.error();
  auto limits = read_options(*url, LinkOptions{});
  if (!limits) return limits.error();
  if (limits->schema_exact) {
    return make_error(Code::invalid_argument, 0, "write it in the URL of the client that asks for it",
                      "schema=exact in %s: a server takes every client whose methods fit", url->name().c_str());
  }
  Transport* transport = transport_of(*url);
  if (transport == nullptr) return unknown_scheme(*url, transports_);
  if (auto ready = be_ready(); !ready) return ready.error();

  std::vector<const ServiceDescription*> descriptions;
  for (const Service* service : services) descriptions.push_back(&service->description());
  auto table = MethodTable::of(descriptions);
  if (!table) return table.error();
  const std::uint64_t endpoint = next_endpoint_++;
  const auto seats = std::make_shared<Seats>(services, turn_->clock, *limits);
  Served served{url->name(),
                std::make_unique<MethodTable>(std::move(*table)),
                methods_of(services, *limits, turn_->clock),
                seats,
                seats->found({endpoint, *this, *control_, board_, {services.begin(), services.end()}}),
                nullptr};
  const ListenContext context{endpoint, *control_,    *this, board_->fd(), *served.table, std::move(descriptions),
                              *limits,  turn_->clock, seats};
  std::optional<Result<std::unique_ptr<Acceptor>>> acceptor;
  control_->perform([&] { acceptor.emplace(transport->listen(*url, context)); });
  if (!*acceptor) return acceptor->error();
  served.acceptor = std::move(**acceptor);
  served.chain = server_chain_;
  std::string name = served.acceptor->url();
  seats->open(name, served.acceptor->deals());
  served_.emplace(endpoint, std::move(served));
  tell_served(services);
  return Listener(weak_from_this(), endpoint, std::move(name), seats);
}

Result<Listener> Core::share(const Listener& listener, std::span<Service* const> services) {
  if (turn_->owner != nullptr && !on_owner()) {
    return make_error(Code::failed_precondition, 0, "share before the dispatcher runs, or from a post()", "share() %s",
                      wrong_thread_text().c_str());
  }
  if (auto ready = be_ready(); !ready) return ready.error();
  const std::uint64_t endpoint = next_endpoint_++;
  auto seat =
      listener.seats_->join({endpoint, *this, *control_, board_, {services.begin(), services.end()}}, turn_->clock);
  if (!seat) return seat.error();
  auto methods = methods_of(services, listener.seats_->limits(), turn_->clock);
  served_.emplace(endpoint, Served{listener.url_, nullptr, std::move(methods), listener.seats_, *std::move(seat),
                                   nullptr, server_chain_});
  tell_served(services);
  return Listener(weak_from_this(), endpoint, listener.url_, listener.seats_);
}

// When nothing can refuse the listener any more, and before a link of it is taken from the inbox.
void Core::tell_served(std::span<Service* const> services) {
  const Serving serving{services, TurnPost(turn_)};
  for (Service* const service : services) {
    try {
      service->is_served(serving);
    } catch (...) {
      turn_->log_thrown("is_served() of " + std::string(service->description().name));
    }
  }
}

// The dispatcher stays while the mutex is held: as in drop_elsewhere().
bool TurnPost::post_function(Posted& posted) const noexcept {
  if (turn_ == nullptr || turn_->forked()) return false;
  const std::lock_guard lock(turn_->foreign_mutex);
  return turn_->core != nullptr && turn_->core->post(posted, true);
}

Result<void> Core::limit(std::uint64_t endpoint, std::string_view method, std::uint32_t calls_max) {
  const auto served = served_.find(endpoint);
  if (served == served_.end() || !on_owner()) {
    return make_error(Code::failed_precondition, 0, "limit methods on the dispatcher's thread", "limit() %s",
                      served == served_.end() ? "of a listener that is gone" : wrong_thread_text().c_str());
  }
  ServedMethods& methods = *served->second.methods;
  const std::optional<std::uint32_t> index = methods.find(method);
  if (!index) {
    return make_error(Code::not_found, 0,
                      "write it as in the schema, with its service where two have one: desk.Orders.Place",
                      "no method, or more than one, is called '%.*s'", static_cast<int>(method.size()), method.data());
  }
  methods.limit().of(*index).allow(calls_max);
  return {};
}

Result<Link> Core::connect(std::string_view text, const LinkOptions& defaults) {
  auto url = Url::parse(text);
  if (!url) return url.error();
  auto options = read_options(*url, defaults);
  if (!options) return options.error();
  if (options->open_max != 0 || options->delay_max.count() != 0) {
    return make_error(Code::invalid_argument, 0, "write it in the URL of the server",
                      "open_max or delay_max in %s: limits are the server's", url->name().c_str());
  }
  Transport* transport = transport_of(*url);
  if (transport == nullptr) return unknown_scheme(*url, transports_);
  if (!on_owner()) {
    return make_error(Code::failed_precondition, 0, "connect from the thread that polls", "connect() %s",
                      wrong_thread_text().c_str());
  }
  if (turn_->calling_user || turn_->waiting) {
    return make_error(Code::failed_precondition, 0, "connect before the dispatcher runs, or from a post()",
                      "connect() was called inside a handler or callback, where nothing may wait");
  }
  if (auto ready = be_ready(); !ready) return ready.error();

  std::unique_ptr<const Offered> offered;
  if (!options->serve.empty()) {
    auto made = Offered::of(options->serve.list(), options->reply_bytes_max);
    if (!made) return made.error();
    offered = *std::move(made);
  }
  const std::uint64_t endpoint = next_endpoint_++;
  ConnectContext context{endpoint, *control_, *this, board_->fd(), *options, turn_->clock};
  if (offered != nullptr) {
    context.methods = &offered->table;
    context.services = offered->descriptions;
  }
  auto state = std::make_unique<LinkState>(shared_from_this(), endpoint, url->name(), *options, std::move(offered));
  links_.emplace(endpoint, state.get());
  for (ClientInterceptor* const interceptor : client_chain_) {
    if (auto set = state->intercept(*interceptor); !set) return set.error();
  }
  std::optional<Result<std::unique_ptr<Connector>>> connector;
  control_->perform([&] {
    connector.emplace(transport->connect(*url, context));
    if (*connector) state->start(std::move(**connector));
  });
  if (!*connector) return connector->error();
  const auto give_up = std::chrono::steady_clock::now() + options->connect_timeout;
  while (state->end() == nullptr) {
    const Error* error = state->last_error();
    // Refused for good: trying again would not help. A server that is not there yet may still come.
    const bool for_good = error != nullptr && error->code() != Code::unavailable && error->code() != Code::not_found;
    const auto left = give_up - std::chrono::steady_clock::now();
    if (for_good || left <= Nanoseconds{0}) {
      if (error != nullptr) return *error;
      return make_error(Code::deadline_exceeded, 0, "see whether the server is stopped or busy; `taut ls` shows it",
                        "no answer from %s within the connect timeout", url->name().c_str());
    }
    control_turn(std::min<Nanoseconds>(left, std::chrono::milliseconds(10)));
  }
  state->forget_news();  // that it is up is what connect() says
  return Link(std::move(state));
}

Result<std::unique_ptr<const Offered>> Offered::of(std::span<Service* const> services, ring::u32 reply_bytes_max) {
  auto offered = std::make_unique<Offered>();
  for (const Service* service : services) offered->descriptions.push_back(&service->description());
  auto table = MethodTable::of(offered->descriptions);
  if (!table) return table.error();
  offered->table = *std::move(table);
  offered->methods = std::make_shared<const ServedMethods>(services, reply_bytes_max);
  return std::unique_ptr<const Offered>(std::move(offered));
}

void Core::stop_listening(std::uint64_t endpoint) noexcept {
  const auto found = served_.find(endpoint);
  if (found == served_.end()) return;
  Served& served = found->second;
  served.seat->leave();
  if (served.acceptor == nullptr) return;  // its links keep the methods
  served.seats->close();
  control_->perform([&] { served.acceptor.reset(); });
}

void Core::forget(LinkState& link) noexcept {
  const auto found = std::find_if(links_.begin(), links_.end(), [&](auto& entry) { return entry.second == &link; });
  if (found == links_.end()) return;
  const std::uint64_t endpoint = found->first;
  links_.erase(found);
  // More than one when its server drains.
  for (const auto& end : ends_) {
    if (end->endpoint == endpoint) end_link(*end, {Why::link_closed, "the link was closed by this side"});
  }
}

namespace {

// A chain only grows at its end, and by a copy: calls that are under way go on with as many as they met.
Result<std::shared_ptr<const ServerChain>> longer(const std::shared_ptr<const ServerChain>& chain,
                                                  ServerInterceptor& interceptor) {
  auto made = chain == nullptr ? std::make_shared<ServerChain>() : std::make_shared<ServerChain>(*chain);
  if (made->size() == kInterceptorsMax) {
    return make_error(Code::resource_exhausted, 0, "let one interceptor do the work of two",
                      "more than %zu interceptors before a service", kInterceptorsMax);
  }
  made->push_back(&interceptor);
  return std::shared_ptr<const ServerChain>(std::move(made));
}

}  // namespace

Result<void> Core::intercept(std::uint64_t endpoint, ServerInterceptor& interceptor) {
  const auto served = served_.find(endpoint);
  if (served == served_.end()) {
    return make_error(Code::failed_precondition, 0, "set it before the listener goes", "the listener is gone");
  }
  auto chain = longer(served->second.chain, interceptor);
  if (!chain) return chain.error();
  served->second.chain = *chain;
  for (const auto& end : ends_) {
    if (end->endpoint == endpoint) end->intercept(*chain);
  }
  return {};
}

Result<void> Core::intercept(ServerInterceptor& interceptor) {
  auto chain = longer(server_chain_, interceptor);
  if (!chain) return chain.error();
  server_chain_ = *chain;
  return {};
}

Result<void> Core::intercept(ClientInterceptor& interceptor) {
  if (client_chain_.size() == kInterceptorsMax) {
    return make_error(Code::resource_exhausted, 0, "let one interceptor do the work of two",
                      "more than %zu interceptors before the calls of a link", kInterceptorsMax);
  }
  client_chain_.push_back(&interceptor);
  return {};
}

// --- the inbox

void Core::deliver(Event event) {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(event));
    turn_->came_from_outside(Turn::kInbox);
  }
  wake();  // another dispatcher may have accepted the link
}

void Core::link_up(std::uint64_t endpoint, std::unique_ptr<Wire> wire) { deliver(LinkUp{endpoint, std::move(wire)}); }
void Core::link_ended(std::uint64_t endpoint, std::uint64_t link_id, LinkEnded ended) {
  deliver(LinkDown{endpoint, link_id, std::move(ended)});
}
void Core::connect_failed(std::uint64_t endpoint, Error error) { deliver(ConnectFailed{endpoint, error}); }
void Core::log(Severity severity, std::string_view text) { deliver(Logged{severity, std::string(text)}); }

void Core::take_inbox() {
  std::vector<Event> events;
  {
    const std::lock_guard lock(inbox_mutex_);
    events.swap(inbox_);
  }
  for (Event& event : events) {
    std::visit([this](auto& what) { happened(what); }, event);
  }
}

void Core::happened(LinkUp& up) {
  const auto served = served_.find(up.endpoint);
  const auto link = links_.find(up.endpoint);
  if (served == served_.end() && link == links_.end()) return up.wire->close();  // nobody waits for it any more
  if (up.wire->unwatched() && !watched(*up.wire)) return up.wire->close();
  if (link != links_.end() && std::any_of(ends_.begin(), ends_.end(), [&](const auto& end) {
        return end->endpoint == up.endpoint && end->claim_open();
      })) {
    // A call is still being written into the ring that went: sent now, it must not end up in the new one.
    return deliver(LinkUp{up.endpoint, std::move(up.wire)});
  }
  auto end = served != served_.end()
                 ? std::make_unique<LinkEnd>(turn_, std::move(up.wire), LinkEnd::Side::server, served->second.methods)
                 : std::make_unique<LinkEnd>(turn_, std::move(up.wire), LinkEnd::Side::client, link->second->served());
  end->endpoint = up.endpoint;
  if (served != served_.end() && served->second.chain != nullptr) end->intercept(served->second.chain);
  hot_.push_back(end.get());
  if (end->wire().needs_pump()) pumped_.push_back(end.get());
  ends_by_link_.emplace(end->wire().agreement().link_id, end.get());
  ends_.push_back(std::move(end));
  cold_.reserve(ends_.capacity());
  hot_.reserve(ends_.capacity());
  if (served != served_.end() && served->second.draining) ends_.back()->drain();
  if (link != links_.end()) {
    link->second->connected(*ends_.back());
    any_news_ = true;
    next_control_ = 0;
  }
}

bool Core::watched(Wire& wire) {
  Result<void> watched;
  control_->perform([&] { watched = wire.watch(*control_); });
  if (!watched) turn_->log(Severity::warning, "closing a link that was dealt: " + std::string(watched.error().what()));
  return static_cast<bool>(watched);
}

void Core::happened(LinkDown& down) {
  const auto [first, last] = ends_by_link_.equal_range(down.link_id);
  const auto found =
      std::find_if(first, last, [&](const auto& entry) { return entry.second->endpoint == down.endpoint; });
  if (found != last) end_link(*found->second, std::move(down.ended));
}

void Core::happened(ConnectFailed& failed) {
  const auto link = links_.find(failed.endpoint);
  if (link != links_.end()) link->second->attempt_failed(failed.error);
}

void Core::happened(Logged& logged) { turn_->log(logged.severity, logged.text); }

// The link is over for new calls at once; what was under way is ended outside of any turn, wait or callback.
void Core::end_link(LinkEnd& end, LinkEnded ended) noexcept {
  if (end.ended != nullptr) return;
  if (ended.why == Why::peer_violation) {
    turn_->log(Severity::warning, "closing a link to process " + std::to_string(end.wire().agreement().peer_pid) +
                                      ", which broke the rules: " + ended.text);
  }
  if (ended.why == Why::link_closed && forked())
    ended = {Why::forked, "the link belongs to the parent of this process"};
  end.ended = std::make_shared<LinkEnded>(std::move(ended));
  const auto [first, last] = ends_by_link_.equal_range(end.wire().agreement().link_id);
  ends_by_link_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == &end; }));
  end.goodbye_may_be_of_a_drain();
  std::erase(hot_, &end);
  cold_.remove(end);
  std::erase(pumped_, &end);
  some_ended_ = true;
  part_from_callers(end);
  const auto link = links_.find(end.endpoint);
  if (link != links_.end() && link->second->end() == &end) {
    link->second->disconnected();
    any_news_ = true;
  }
  next_control_ = 0;
}

void Core::tell_news() {
  any_news_ = false;
  std::vector<std::uint64_t> endpoints;
  for (const auto& [endpoint, link] : links_) {
    if (link->has_news()) endpoints.push_back(endpoint);
  }
  for (const std::uint64_t endpoint : endpoints) {
    const auto link = links_.find(endpoint);  // whoever was told before may have destroyed it
    if (link != links_.end()) link->second->tell_news();
  }
  tell_callers_news();
}

void Core::drop_claim(std::uint64_t endpoint, ring::Lane lane, const std::byte* payload) noexcept {
  for (const auto& end : ends_) {
    if (end->endpoint == endpoint && end->claimed(lane, payload)) end->drop_request(lane);
  }
}

// Clients that go all at once would hold up those that stay: to unmap two segments takes some 40 us.
constexpr std::size_t kServedBuriedPerTurn = 16;

// An end in whose ring a call is being written stays until that is over, unless the dispatcher goes.
void Core::bury_the_ended(bool all) noexcept {
  some_ended_ = false;
  std::vector<std::unique_ptr<LinkEnd>> ended;
  std::size_t served_count = 0;
  for (auto& end : ends_) {
    if (end == nullptr || end->ended == nullptr) continue;
    if (end->claim_open() && !all) {
      some_ended_ = true;
    } else if (end->side() == LinkEnd::Side::server && ++served_count > kServedBuriedPerTurn && !all) {
      some_ended_ = true;
      next_control_ = 0;
    } else {
      ended.push_back(std::move(end));
    }
  }
  std::erase(ends_, nullptr);
  for (auto& end : ended) {
    end->bury();
    if (end->held_by_replies()) husks_.push_back(std::move(end));
  }
}

}  // namespace taut::rpc
