// Listeners and links as they are made: what a dispatcher serves, and what it connects to. May allocate and log.
#include <algorithm>

#include "core.h"
#include "taut/rpc/serving.h"

namespace taut::rpc {
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

// Before the services that a link offers: those of its dispatcher, and then its own.
Result<std::shared_ptr<const ServerChain>> chain_of(std::shared_ptr<const ServerChain> chain,
                                                    const LinkOptions& options) {
  for (ServerInterceptor* const interceptor : options.serve_interceptors.list()) {
    auto made = longer(chain, *interceptor);
    if (!made) return made.error();
    chain = *std::move(made);
  }
  return chain;
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

  std::unique_ptr<Offered> offered;
  if (!options->serve.empty()) {
    auto made = Offered::of(options->serve.list(), options->reply_bytes_max);
    if (!made) return made.error();
    offered = *std::move(made);
    auto chain = chain_of(server_chain_, *options);
    if (!chain) return chain.error();
    offered->chain = *std::move(chain);
  } else if (!options->serve_interceptors.list().empty()) {
    return make_error(Code::invalid_argument, 0, "name the services in `serve`",
                      "serve_interceptors of a link that serves nothing, to %s", url->name().c_str());
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

Result<std::unique_ptr<Offered>> Offered::of(std::span<Service* const> services, ring::u32 reply_bytes_max) {
  auto offered = std::make_unique<Offered>();
  for (const Service* service : services) offered->descriptions.push_back(&service->description());
  auto table = MethodTable::of(offered->descriptions);
  if (!table) return table.error();
  offered->table = *std::move(table);
  offered->methods = std::make_shared<const ServedMethods>(services, reply_bytes_max);
  return offered;
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

}  // namespace taut::rpc
