// The client of the accounting run over all kinds of calls: makes them at random, cancels some, gives some a deadline
// that they will miss, and holds every outcome against what the server's journal says.
//
// Threads  the link's. Memory  allocates for streams, and for what went wrong.
#pragma once

#include <array>
#include <map>
#include <ostream>
#include <string>

#include "kinds_service.h"
#include "support/seed.h"
#include "taut/taut.h"

namespace taut::testing {

class KindsLoad {
 public:
  KindsLoad(Link& link, Journal& journal, Random& random)
      : link_(link), binding_(rpc::bind(link.state(), KindsService::described())), journal_(journal), random_(random) {}

  // Makes a call of some kind. False: something refuses it at present, so the link had better be polled.
  bool step() {
    const std::uint64_t dice = random_.below(64);
    if (dice < 36) return tell();
    if (dice < 62) return ask();
    return streams_.size() == kStreamsMax || start_stream(static_cast<KindsMethod>(kDown + random_.below(3)));
  }
  // Lets open streams send what they have still to send, and cancels something now and then.
  void go_on() {
    if (calls_ - calls_at_cancel_ > random_.below(8192)) {
      calls_at_cancel_ = calls_;
      cancel_something();
    }
    for (auto& [id, stream] : streams_) go_on(stream);
  }

  [[nodiscard]] std::size_t open() const { return asks_open_ + streams_.size(); }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  [[nodiscard]] std::uint64_t told() const { return told_; }
  [[nodiscard]] bool books_balance() const { return wrong_.empty() && calls_ == ended_ + told_ + open(); }
  // How many ended in which way: every kind of end should have occurred in a run of some length.
  [[nodiscard]] std::uint64_t ends(Code code) const {
    const auto found = by_code_.find(code);
    return found != by_code_.end() ? found->second : 0;
  }

  friend std::ostream& operator<<(std::ostream& out, const KindsLoad& load) {
    out << load.calls_ << " calls: " << load.told_ << " one-way, " << load.ended_ << " ended, " << load.open()
        << " open, " << load.items_ << " items, " << load.refused_ << " refused;";
    for (const auto& [code, count] : load.by_code_) out << " " << to_text(code) << " " << count;
    out << "; why";
    for (const auto& [why, count] : load.by_why_) out << " " << to_text(why) << " " << count;
    for (const std::string& wrong : load.wrong_) out << "\n  " << wrong;
    return out;
  }

 private:
  static constexpr std::size_t kStreamsMax = 12;
  static constexpr std::size_t kAsksMax = 48;

  struct Ask {
    std::uint64_t id = 0;  // 0: free
    CallRef ref;
  };
  struct Stream {
    std::uint64_t id;
    KindsMethod method;
    std::uint64_t count;  // items to be sent, or wanted
    rpc::StreamEnd end;
    std::uint64_t sent = 0, received = 0;
    bool closed = false;
  };

  void wrong(const std::string& what) {
    if (wrong_.size() < 20) wrong_.push_back(what);
  }

  // Nothing was sent, which is an answer, but no call to account for.
  bool refused(const Status& status) {
    if (status.ran() != Ran::no) wrong("a call was refused with ran: " + std::string(to_text(status.ran())));
    ++refused_;
    return false;
  }

  bool tell() {
    rpc::CallClaim claim = rpc::claim_oneway(link_.state(), binding_, kTell, sizeof(std::uint64_t));
    const std::uint64_t number = numbers_ + 1;
    if (claim) std::memcpy(claim.payload(), &number, sizeof number);
    if (rpc::send_oneway(std::move(claim), sizeof number) != Sent::ok) {
      ++refused_;
      return false;
    }
    numbers_ = number;
    ++told_;
    ++calls_;
    return true;
  }

  bool ask() {
    if (asks_open_ == kAsksMax) return false;
    std::size_t at = 0;
    while (asks_[at].id != 0) ++at;
    const std::uint64_t id = ids_ + 1;
    rpc::CallClaim claim = rpc::claim_call(link_.state(), binding_, kAsk, sizeof id);
    if (claim) std::memcpy(claim.payload(), &id, sizeof id);
    CallOptions options{.timeout = std::chrono::seconds(60)};
    if (random_.one_in(64)) options.timeout = Nanoseconds{random_.below(30'000)};
    if (options.timeout == Nanoseconds{0}) options.timeout = Nanoseconds{-1};  // a point in time that has passed
    rpc::PendingCall call = rpc::send_call(std::move(claim), sizeof id, options);
    if (call.refused()) return refused(call.take_refusal());
    ids_ = id;  // no id is skipped: the journal knows the last 65536
    asks_[at] = {id, call.ref()};
    ++asks_open_;
    ++calls_;
    call.then([this, at, id](const rpc::RawAnswer& answer) {
      if (asks_[at].id != id) return wrong("call " + std::to_string(id) + " ended twice");
      asks_[at].id = 0;
      --asks_open_;
      if (answer.status.ok() &&
          (read<std::uint64_t>(answer.payload) != id || read<std::uint64_t>(answer.payload, 8) != ~id)) {
        wrong("call " + std::to_string(id) + " got another one's answer");
      }
      ended(id, answer.status);
    });
    return true;
  }

  bool start_stream(KindsMethod method) {
    const std::uint64_t id = ids_ + 1;
    const std::uint64_t request[] = {id, random_.below(random_.one_in(8) ? 3000 : 100)};
    rpc::CallClaim claim = rpc::claim_call(link_.state(), binding_, method, sizeof request);
    if (claim) std::memcpy(claim.payload(), request, sizeof request);
    StreamOptions options{.credit = 1u << random_.below(9), .credit_bytes = 64u << random_.below(9)};
    if (random_.one_in(16)) options.timeout = Nanoseconds{1 + random_.below(300'000)};
    auto [end, call] = rpc::open_stream(std::move(claim), sizeof request, options);
    if (call.refused()) return refused(call.take_refusal());
    ids_ = id;  // no id is skipped: the journal knows the last 65536
    ++calls_;
    Stream& stream = streams_.emplace(id, Stream{id, method, request[1], std::move(end)}).first->second;
    stream.end.each([this, &stream](std::span<const std::byte> item) {
      if (read<std::uint64_t>(item) != stream.received) wrong("stream " + std::to_string(stream.id) + " out of order");
      ++stream.received;
      ++items_;
    });
    call.then([this, id](const rpc::RawAnswer& answer) {
      const auto found = streams_.find(id);
      if (found == streams_.end()) return wrong("stream " + std::to_string(id) + " ended twice");
      if (answer.status.ok()) complete(found->second, answer.payload);
      ended(id, answer.status);
      streams_.erase(found);
    });
    return true;
  }
  void complete(const Stream& stream, std::span<const std::byte> answer) {
    const std::uint64_t arrived = stream.method == kUp ? read<std::uint64_t>(answer) : stream.received;
    if (arrived != stream.count) {
      wrong("stream " + std::to_string(stream.id) + " of " + std::to_string(stream.count) + " items ended ok behind " +
            std::to_string(arrived));
    }
  }
  static void go_on(Stream& stream) {
    if (stream.method == kDown || stream.closed) return;
    while (stream.sent != stream.count) {
      if (send_item(stream.end, stream.sent) != Sent::ok) return;
      ++stream.sent;
    }
    stream.closed = stream.end.close() == Sent::ok;
  }

  void cancel_something() {
    if (random_.one_in(2)) {
      Ask& ask = asks_[random_.below(kAsksMax)];
      if (ask.id != 0) ask.ref.cancel();
    } else if (!streams_.empty()) {
      auto at = streams_.begin();
      std::advance(at, random_.below(streams_.size()));
      at->second.end.cancel();
    }
  }

  void ended(std::uint64_t id, const Status& status) {
    ++ended_;
    ++by_code_[status.code()];
    ++by_why_[status.why()];
    const bool entered = journal_.entered(id);
    if (status.ok() ? !entered : (status.ran() == Ran::no && entered) || (status.ran() == Ran::yes && !entered)) {
      wrong("call " + std::to_string(id) + (entered ? " ran" : " did not run") + ", but ended " +
            std::string(to_text(status.code())) + ", ran: " + std::string(to_text(status.ran())) + ", " +
            std::string(to_text(status.why())));
    }
  }

  Link& link_;
  rpc::Binding& binding_;
  Journal& journal_;
  Random& random_;
  std::array<Ask, kAsksMax> asks_;
  std::map<std::uint64_t, Stream> streams_;
  std::size_t asks_open_ = 0;
  std::uint64_t ids_ = 0, numbers_ = 0;
  std::uint64_t calls_at_cancel_ = 0, calls_ = 0, told_ = 0, refused_ = 0, ended_ = 0, items_ = 0;
  std::map<Code, std::uint64_t> by_code_;
  std::map<Why, std::uint64_t> by_why_;
  std::vector<std::string> wrong_;
};

}  // namespace taut::testing
