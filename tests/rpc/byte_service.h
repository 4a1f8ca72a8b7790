// A service of untyped bytes with a description made by hand, and a client for it: what generated code does, without
// the schema. Handlers are replaced by the test; all of them echo at first.
#pragma once

#include <array>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "taut/rpc/call.h"
#include "taut/rpc/dispatcher.h"
#include "taut/rpc/served_call.h"
#include "taut/rpc/serving.h"

namespace taut::rpc::testing {

using namespace std::chrono_literals;

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The index of a method in the description.
enum Method : std::uint32_t {
  kEcho,    // the schema sets no bound: reply_max
  kSmall,   // an answer of one line: at most 48 bytes
  kBig,     // an answer of up to a quarter of the default ring
  kUrgent,  // on the urgent lane, an answer of one line
  kTell,    // one-way
  kDown,    // a stream from the server
  kUp,      // a stream from the client, an answer of one line
  kTalk,    // streams both ways
  kMethodCount
};

// Gives the answer that a generated `send` would give.
inline void answer(RawReply& reply, std::string_view text) {
  const auto bytes = static_cast<std::uint32_t>(text.size());
  std::byte* room = reply.claim(bytes);
  if (room == nullptr) return reply.refuse_too_big(bytes);
  if (bytes != 0) std::memcpy(room, text.data(), bytes);
  reply.send(bytes);
}

class ByteService final : public Service {
 public:
  using Handler = std::function<void(std::string_view request, RawReply reply)>;

  ByteService() {
    on.fill([](std::string_view request, RawReply reply) { answer(reply, request); });
  }
  [[nodiscard]] const ServiceDescription& description() const noexcept override { return described(); }
  void is_served(const Serving& serving) override {
    if (when_served) when_served(serving);
  }
  void drain_begins() override {
    if (when_drain_begins) when_drain_begins();
  }

  std::function<void(const Serving&)> when_served;
  std::function<void()> when_drain_begins;
  std::array<Handler, kMethodCount> on;
  std::array<std::function<void(ServedCall&)>, kMethodCount> instead;  // of all that generated code does
  std::array<int, kMethodCount> received{};                            // requests that came as far as the handler

  // As the clients see it too.
  static const ServiceDescription& described() noexcept {
    static const MethodDescription methods[kMethodCount] = {
        method<kEcho>("Echo", 0, false),
        method<kSmall>("Small", 48, false),
        method<kBig>("Big", 16 * 1024 - 16, false),
        method<kUrgent>("Urgent", 48, true),
        method<kTell>("Tell", 0, false, CallKind::oneway),
        method<kDown>("Down", 48, false, CallKind::server_stream),
        method<kUp>("Up", 48, false, CallKind::client_stream),
        method<kTalk>("Talk", 48, false, CallKind::both_ways),
    };
    static const ServiceDescription service{"test.Bytes", 0x5eed, methods, {}};
    return service;
  }

 private:
  template <Method kMethod>
  static MethodDescription method(std::string_view name, std::uint32_t reply_bound, bool urgent,
                                  CallKind kind = CallKind::unary) {
    return {.name = name,
            .id = static_cast<std::uint16_t>(kMethod + 1),
            .kind = kind,
            .urgent = urgent,
            .request_bound = 0,
            .reply_bound = reply_bound,
            .request = "test.Request",
            .reply = "test.Reply",
            .serve = [](Service& service, ServedCall& call) {
              auto& self = static_cast<ByteService&>(service);
              if (self.instead[kMethod]) return self.instead[kMethod](call);
              ++self.received[kMethod];
              call.taken();
              self.on[kMethod](as_text(call.payload()), call.reply());
            }};
  }
};

// The service of the tests as a client sees it whose schema says that kEcho is idempotent.
inline const ServiceDescription& with_idempotent_echo() {
  static const auto methods = [] {
    std::vector<MethodDescription> all(ByteService::described().methods.begin(),
                                       ByteService::described().methods.end());
    all[kEcho].idempotent = true;
    return all;
  }();
  static const ServiceDescription service{
      ByteService::described().name, ByteService::described().fingerprint, methods, {}};
  return service;
}

// Sends an item, as a typed writer does.
inline Sent send_item(StreamEnd& stream, std::string_view text) {
  Sent why = Sent::ok;
  std::byte* room = stream.claim(static_cast<std::uint32_t>(text.size()), why);
  if (room == nullptr) return why;
  if (!text.empty()) std::memcpy(room, text.data(), text.size());
  return stream.send(static_cast<std::uint32_t>(text.size()));
}

// Keeps every reply, so that the test answers when and in which order it likes.
struct Held {
  std::deque<RawReply> replies;
  std::deque<std::string> requests;
  [[nodiscard]] ByteService::Handler handler() {
    return [this](std::string_view request, RawReply reply) {
      requests.emplace_back(request);
      replies.push_back(std::move(reply));
    };
  }
  RawReply take(std::size_t i) {
    RawReply reply = std::move(replies[i]);
    replies.erase(replies.begin() + static_cast<std::ptrdiff_t>(i));
    requests.erase(requests.begin() + static_cast<std::ptrdiff_t>(i));
    return reply;
  }
};

// How one call ended, and how often: once is right.
struct Outcome {
  int ends = 0;
  Status status;
  std::string payload;
  [[nodiscard]] bool ended() const { return ends != 0; }
};

class Client {
 public:
  explicit Client(Link link) : link_(std::move(link)), binding_(&bind(link_->state(), ByteService::described())) {}

  Outcome& call(Method method, std::string_view payload = {}, CallOptions options = {}) {
    return call_then(method, payload, options, [](const Outcome&) {});
  }
  // `then` runs inside the callback.
  template <class F>
  Outcome& call_then(Method method, std::string_view payload, CallOptions options, F then) {
    Outcome& outcome = outcomes_.emplace_back();
    send_call(filled(method, payload), static_cast<std::uint32_t>(payload.size()), options)
        .then([&outcome, then](const RawAnswer& answer) noexcept(false) {
          ++outcome.ends;
          outcome.status = answer.status;
          outcome.payload = as_text(answer.payload);
          then(outcome);
        });
    return outcome;
  }
  Outcome wait(Method method, std::string_view payload = {}, Wait how = taut::wait) {
    AnswerBuffer buffer;
    Outcome outcome{1, wait_call(filled(method, payload), static_cast<std::uint32_t>(payload.size()), how, buffer), {}};
    if (outcome.status.ok()) outcome.payload = as_text(buffer.bytes());
    return outcome;
  }
  CallClaim claim(Method method, std::uint32_t bytes) { return claim_call(link_->state(), *binding_, method, bytes); }
  CallClaim filled(Method method, std::string_view payload) {
    CallClaim claimed = claim(method, static_cast<std::uint32_t>(payload.size()));
    if (claimed && !payload.empty()) std::memcpy(claimed.payload(), payload.data(), payload.size());
    return claimed;
  }

  Sent tell(Method method, std::string_view payload, MetadataArgument metadata = {}) {
    CallClaim claimed = claim_oneway(link_->state(), *binding_, method, static_cast<std::uint32_t>(payload.size()));
    if (claimed && !payload.empty()) std::memcpy(claimed.payload(), payload.data(), payload.size());
    const auto bytes = static_cast<std::uint32_t>(payload.size());
    return metadata.get() != nullptr ? send_oneway(std::move(claimed), bytes, metadata)
                                     : send_oneway(std::move(claimed), bytes);
  }
  // A call that streams; `outcome` is its end.
  StreamEnd stream(Method method, Outcome& outcome, std::string_view payload = {}, StreamOptions options = {}) {
    auto [stream, call] = open_stream(filled(method, payload), static_cast<std::uint32_t>(payload.size()), options);
    call.then([&outcome](const RawAnswer& answer) {
      ++outcome.ends;
      outcome.status = answer.status;
      outcome.payload = as_text(answer.payload);
    });
    return std::move(stream);
  }

  [[nodiscard]] Link& link() { return *link_; }
  void close() { link_.reset(); }
  // Every call made with call(), in order.
  [[nodiscard]] std::deque<Outcome>& outcomes() { return outcomes_; }

 private:
  std::deque<Outcome> outcomes_;  // goes after the link, whose callbacks write to it
  std::optional<Link> link_;
  Binding* binding_;
};

}  // namespace taut::rpc::testing
