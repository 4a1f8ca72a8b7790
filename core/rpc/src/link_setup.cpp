// The set-up side of a link: bindings, connecting, reconnecting. May allocate.
#include <algorithm>

#include "core.h"
#include "link_state.h"
#include "schema_fit.h"

namespace taut::rpc {
namespace {

using namespace std::chrono_literals;

// Attempts follow each other at once, then after 1 ms, doubled up to this.
constexpr Nanoseconds kBackoffFirst = 1ms;
constexpr Nanoseconds kBackoffMax = 100ms;

}  // namespace

LinkState::LinkState(std::shared_ptr<Core> core, std::uint64_t endpoint, std::string url, LinkOptions options)
    : core_(std::move(core)), turn_(&core_->turn()), endpoint_(endpoint), url_(std::move(url)), options_(options) {}

LinkState::~LinkState() {
  if (connector_ != nullptr) stop_connecting();
  core_->forget(*this);
  if (!turn_->inside && !turn_->calling_user && !turn_->waiting) core_->control_turn(0ns);
}

void LinkState::core_gone() noexcept {
  stop_connecting();
  end_ = nullptr;
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

Result<void> LinkState::fits(const ServiceDescription& service) const {
  if (end_ == nullptr) {
    return make_error(Code::unavailable, 0, "ask when the link is up", "%s has no server at present", url_.c_str());
  }
  if (auto refused = misfit(service, end_->wire().agreement().peer_methods, options_.schema_exact, url_)) {
    return *refused;
  }
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
    bound.index = fit ? BoundMethod::kMissing : BoundMethod::kMisfit;
    for (std::size_t k = 0; fit && peer != nullptr && k < peer->methods.size(); ++k) {
      if (peer->methods[k].id == method.id) bound.index = static_cast<ring::u16>(peer->first_index + k);
    }
  }
}

Status LinkState::no_such_call(Why why, const BoundMethod& method) const noexcept {
  const auto holds = [&](const auto& binding) {
    return &method >= binding->methods.data() && &method < binding->methods.data() + binding->methods.size();
  };
  const Binding& binding = **std::find_if(bindings_.begin(), bindings_.end(), holds);
  const MethodTable none;  // the server may have gone between claim and call
  const MethodTable& server = end_ != nullptr ? end_->wire().agreement().peer_methods : none;
  if (why == Why::schema_mismatch) {
    const auto refused = misfit(binding.service, server, options_.schema_exact, url_);
    return {Code::failed_precondition, Ran::no, why, refused ? refused->what() : "the schemas did not fit"};
  }
  const auto index = static_cast<std::size_t>(&method - binding.methods.data());
  return {Code::unimplemented, Ran::no, why, missing_text(binding.service, binding.service.methods[index], server)};
}

void LinkState::connected(LinkEnd& end) {
  end_ = &end;
  last_error_.reset();
  backoff_ = 0ns;
  for (const auto& binding : bindings_) fill(*binding);
  news_.push_back(true);
}

void LinkState::disconnected() {
  end_ = nullptr;
  news_.push_back(false);
  backoff_ = kBackoffFirst;
  if (connector_ != nullptr) attempt_after(0ns);
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
  backoff_ = backoff_ == 0ns ? kBackoffFirst : std::min(2 * backoff_, kBackoffMax);
  attempt_after(backoff_);
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
