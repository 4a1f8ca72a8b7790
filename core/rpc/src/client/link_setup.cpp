// The set-up side of a link: bindings, connecting, reconnecting. May allocate.
#include <algorithm>

#include "../dispatcher/core.h"
#include "link_state.h"

namespace taut::rpc {
namespace {

using namespace std::chrono_literals;

// Attempts are no part of a call: they keep the real time, as the control plane does.
Nanoseconds real_now() noexcept { return std::chrono::steady_clock::now().time_since_epoch(); }

}  // namespace

LinkState::LinkState(std::shared_ptr<Core> core, std::uint64_t endpoint, std::string url, LinkOptions options,
                     std::unique_ptr<const Offered> offered)
    : core_(std::move(core)),
      turn_(&core_->turn()),
      endpoint_(endpoint),
      url_(std::move(url)),
      options_(std::move(options)),
      offered_(std::move(offered)),
      attempts_({options_.reconnect, options_.reconnect_budget, core_->seed() + endpoint}) {}

LinkState::~LinkState() {
  tell_users();
  if (connector_ != nullptr) stop_connecting();
  towards_client_ ? core_->forget_caller(*this) : core_->forget(*this);
  if (turn_->inside || turn_->calling_user || turn_->waiting) return;
  if (turn_->gone.load(std::memory_order_relaxed)) return;  // and with it, perhaps, what its clock reads
  core_->control_turn(0ns);
  turn_->timers.run_due(0);
}

void LinkState::core_gone() noexcept {
  tell_users();
  stop_connecting();
  end_ = nullptr;
}

void LinkState::tell_users() noexcept {
  while (!users_.empty()) users_.back()->link_gone(*this);
}

void LinkState::stop_connecting() {
  core_->control().perform([this] {
    core_->control().forget(*this);
    connector_.reset();
  });
}

void LinkState::attempt_after(Nanoseconds delay) {
  // Timers of the control plane run by the real clock. Where a test moves the time, its next turn tries again.
  if (turn_->clock.source() == ClockSource::manual) delay = 0ns;
  core_->control().perform(
      [this, delay] { core_->control().call_at(std::chrono::steady_clock::now() + delay, *this); });
}

void LinkState::start(std::unique_ptr<Connector> connector) {
  connector_ = std::move(connector);
  connector_->attempt();
}

Binding& LinkState::bind(const ServiceDescription& service) {
  for (const auto& binding : bindings_) {
    if (&binding->service == &service) return *binding;
  }
  bindings_.push_back(std::make_unique<Binding>(service));
  fill(*bindings_.back());
  return *bindings_.back();
}

PeerMethods LinkState::peer() const noexcept {
  const MethodTable& table = end_->wire().agreement().peer_methods;
  if (towards_client_) return {table, options_.schema_exact, "client", "server"};
  return {table, options_.schema_exact};
}

Result<void> LinkState::fits(const ServiceDescription& service) const {
  if (end_ == nullptr) {
    return make_error(Code::unavailable, 0, "ask when the link is up",
                      towards_client_ ? "%s is gone" : "%s has no server at present", url_.c_str());
  }
  if (auto refused = misfit(service, peer(), url_)) return *refused;
  return {};
}

// Finds the peer's index of each method by the service's name and the method's id. Of a service that does not fit,
// none has one: a call would run another method than its caller means.
void LinkState::fill(Binding& binding) const {
  const ServiceEntry* peer =
      end_ == nullptr ? nullptr : end_->wire().agreement().peer_methods.find(binding.service.name);
  const Result<void> fit = end_ == nullptr ? Result<void>{} : fits(binding.service);
  if (!fit) turn_->log(Severity::warning, "no call is sent to " + std::string(fit.error().what()));
  for (std::size_t i = 0; i < binding.methods.size(); ++i) {
    const MethodDescription& method = binding.service.methods[i];
    BoundMethod& bound = binding.methods[i];
    prepare(bound, method);
    bound.index = fit ? index_of(peer, method.id) : BoundMethod::kMisfit;
  }
}

// What does not depend on the server.
void LinkState::prepare(BoundMethod& bound, const MethodDescription& method) const {
  const bool streams = method.kind != CallKind::unary && method.kind != CallKind::oneway;
  const Nanoseconds timeout = method.timeout_ns != 0 ? Nanoseconds{method.timeout_ns}
                              : streams              ? forever
                                                     : options_.timeout;
  bound.lane = method.urgent ? ring::Lane::urgent : ring::Lane::normal;
  bound.timeout = timeout >= kPracticallyForever ? kNever : turn_->clock.to_ticks(timeout);
  const auto steps = (static_cast<std::uint64_t>(timeout.count()) + ring::kBudgetStepNs - 1) / ring::kBudgetStepNs;
  bound.budget = timeout >= kPracticallyForever ? ring::kBudgetNone
                 : steps >= ring::kBudgetLonger ? ring::kBudgetLonger
                                                : static_cast<ring::u32>(steps);
}

std::uint16_t LinkState::index_of(const ServiceEntry* service, std::uint16_t id) noexcept {
  for (std::size_t k = 0; service != nullptr && k < service->methods.size(); ++k) {
    if (service->methods[k].id == id) return static_cast<std::uint16_t>(service->first_index + k);
  }
  return BoundMethod::kMissing;
}

Status LinkState::no_such_call(Why why, const BoundMethod& method) const noexcept {
  if (const RawBinding* raw = raw_binding_of(method)) return no_such_raw_call(why, method, *raw);
  const auto holds = [&](const auto& binding) {
    return &method >= binding->methods.data() && &method < binding->methods.data() + binding->methods.size();
  };
  const Binding& binding = **std::find_if(bindings_.begin(), bindings_.end(), holds);
  const MethodTable none;  // the peer may have gone between claim and call
  const PeerMethods theirs = end_ != nullptr ? peer() : PeerMethods{none};
  if (why == Why::schema_mismatch) {
    const auto refused = misfit(binding.service, theirs, url_);
    return {Code::failed_precondition, Ran::no, why, refused ? refused->what() : "the schemas did not fit"};
  }
  const auto index = static_cast<std::size_t>(&method - binding.methods.data());
  return {Code::unimplemented, Ran::no, why, missing_text(binding.service, binding.service.methods[index], theirs)};
}

void LinkState::connected(LinkEnd& end) {
  end_ = &end;
  last_error_.reset();
  for (const auto& binding : bindings_) fill(*binding);
  for (const auto& binding : raw_bindings_) fill(*binding);
  news_.push_back(true);
}

void LinkState::disconnected() {
  end_ = nullptr;
  news_.push_back(false);
  if (connector_ != nullptr) attempt_after(attempts_.lost(real_now()));
}

void LinkState::tell_news() {
  const auto tell = on_link;  // a copy: the user may destroy this link in it
  std::vector<bool> news;
  news.swap(news_);
  if (!tell) return;
  const std::shared_ptr<Core> core = core_;
  core->turn().calling_user = true;
  for (const bool up : news) {
    try {
      tell(up);
    } catch (...) {
      core->turn().log(Severity::error, "an on_link() function threw");
    }
  }
  core->turn().calling_user = false;
}

void LinkState::attempt_failed(const Error& error) {
  last_error_ = error;
  attempt_after(attempts_.failed(real_now()));
}

// Records with the bit that lets the peer step over them, each as large as may be.
void LinkEnd::fill_rings() noexcept {
  for (LaneEnd& lane : lanes_) {
    if (lane.claimed != nullptr || broken_) continue;
    for (ring::u32 bytes = lane.out.ring_bytes() / 4; bytes >= ring::kStep;) {
      if (lane.claim_record(bytes, lane.admission.reserve())) {
        lane.out.send(lane.claim, ring::Head::make(bytes, ring::Kind{ring::kKindMayBeSkipped}));
      } else {
        bytes /= 2;
      }
    }
  }
}

void fill_rings(LinkState& link) noexcept {
  if (LinkEnd* end = link.end()) end->fill_rings();
}

// On the control plane's thread, like everything that touches the connector.
void LinkState::on_time() { connector_->attempt(); }

}  // namespace taut::rpc

namespace taut {

Link::Link(std::unique_ptr<rpc::LinkState> state) noexcept : state_(std::move(state)) {}
Link::Link(Link&&) noexcept = default;
Link& Link::operator=(Link&&) noexcept = default;

Link::~Link() {
  if (state_ == nullptr) return;
  const auto own = std::move(state_->own_dispatcher);  // goes last
  state_.reset();
}

bool Link::up() const noexcept { return state_->end() != nullptr; }
Result<void> Link::fits(const rpc::ServiceDescription& service) const { return state_->fits(service); }
void Link::on_link(std::function<void(bool up)> f) { state_->on_link = std::move(f); }
Result<void> Link::intercept(ClientInterceptor& interceptor) { return state_->intercept(interceptor); }
int Link::poll() noexcept { return state_->core()->poll(rpc::Dispatcher::kPollDefault); }
void Link::adopt_thread() noexcept { state_->core()->adopt_thread(); }

}  // namespace taut
