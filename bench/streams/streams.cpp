// Question   how many messages a second do the kinds of calls carry that are not answered one by one?
// One op     one message, over shm with default options: a one-way message of 48 raw bytes; a one-way message of a
//            table (40 bytes, written and checked by its stubs); an item of a server stream, of the same table.
// Held still both ends pinned; the three take turns, round by round, in one pair of processes. A round sends 2^18
//            messages as fast as they are taken and ends when the other side has said that it saw them all: it sums
//            them up, and the sum is compared. A figure is the median over the rounds of a pair, then over fresh pairs.
//
// Run        streams_bench [--pairs 7] [--rounds 40] [--cpus 0,1]
#include <cstring>
#include <string>

#include "../parts.h"
#include "kinds.taut.h"
#include "taut/taut.h"

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::uint64_t kBatch = 1 << 18;
constexpr int kWarmup = 5;
constexpr std::uint32_t kRawBytes = 48;

struct Setup : bench::Arguments {
  Setup() : Arguments{7, 40} {}
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "streams_bench: %s\n", what);
  std::exit(1);
}

// What has arrived since it was asked last.
struct Seen {
  std::uint64_t count = 0, sum = 0;
  void add(std::uint64_t number) {
    ++count;
    sum += number;
  }
};
// The numbers 1 to kBatch.
constexpr std::uint64_t kSum = kBatch * (kBatch + 1) / 2;

// One-way messages as bytes.
class Raw final : public taut::Service {
 public:
  static const taut::rpc::ServiceDescription& described() {
    static constexpr taut::rpc::MethodDescription kMethods[] = {{.name = "Put",
                                                                 .id = 1,
                                                                 .kind = taut::rpc::CallKind::oneway,
                                                                 .request_bound = kRawBytes,
                                                                 .reply_bound = 0,
                                                                 .request = "bytes",
                                                                 .reply = "bytes",
                                                                 .serve = &serve}};
    static constexpr taut::rpc::ServiceDescription kService{"bench.Raw", 1, kMethods, {}};
    return kService;
  }
  explicit Raw(Seen& seen) : seen_(seen) {}
  [[nodiscard]] const taut::rpc::ServiceDescription& description() const noexcept override { return described(); }

 private:
  static void serve(taut::Service& service, taut::rpc::ServedCall& call) {
    if (call.payload().size() != kRawBytes) return;
    call.taken();
    std::uint64_t number;
    std::memcpy(&number, call.payload().data(), sizeof number);
    static_cast<Raw&>(service).seen_.add(number);
  }
  Seen& seen_;
};

class Desk final : public kinds::Kinds::Service {
 public:
  explicit Desk(Seen& seen) : seen_(seen) {}
  void Ask(const kinds::Item&, taut::Reply<kinds::Item> reply) override {
    reply.send({.number = seen_.count, .sum = seen_.sum});
    seen_ = {};
  }
  void Tell(const kinds::Item& message, const taut::Told&) override { seen_.add(message.number()); }
  void Watch(const kinds::Wanted& wanted, taut::Writer<kinds::Item> out) override {
    next_ = 1;
    end_ = wanted.count() + 1;
    out_.emplace(std::move(out));
    send();
  }

 private:
  void send() {
    while (next_ != end_) {
      if (!out_->send({.number = next_})) return out_->on_ready([this] { send(); });
      ++next_;
    }
    out_->finish();
  }
  Seen& seen_;
  std::optional<taut::Writer<kinds::Item>> out_;
  std::uint64_t next_ = 0, end_ = 0;
};

bench::Child start_server(const std::string& url, const Setup& setup) {
  return bench::Child([&](const auto& ready) {
    const taut::Signals stop{SIGTERM};
    bench::pin(setup.cpu_server);
    taut::Dispatcher loop;
    Seen seen;
    Raw raw(seen);
    Desk desk(seen);
    auto listener = loop.serve(url, raw, desk);
    if (!listener) return taut::report(listener.error());
    ready();
    loop.run_until(stop);
    return 0;
  });
}

class Client {
 public:
  explicit Client(taut::Link& link)
      : link_(link), calls_(link), binding_(taut::rpc::bind(link.state(), Raw::described())) {}

  void send_raw() {
    for (std::uint64_t number = 1; number <= kBatch; ++number) {
      while (!put(number)) link_.poll();
    }
    expect_seen();
  }
  void send_typed() {
    for (std::uint64_t number = 1; number <= kBatch; ++number) {
      while (!calls_.Tell({.stream = 1, .number = number, .sum = number})) link_.poll();
    }
    expect_seen();
  }
  void stream() {
    Seen seen;
    bool over = false;
    calls_.Watch({.count = kBatch}, {.credit = 4096, .credit_bytes = 256 * 1024})
        .each([&seen](const kinds::Item& item) { seen.add(item.number()); })
        .then([&over](const taut::Status& status) {
          if (!status.ok()) std::exit(taut::report(status));
          over = true;
        });
    while (!over) link_.poll();
    if (seen.count != kBatch || seen.sum != kSum) fail("items were lost");
  }

 private:
  // Written in place, word by word.
  bool put(std::uint64_t number) {
    taut::rpc::CallClaim claim = taut::rpc::claim_oneway(link_.state(), binding_, 0, kRawBytes);
    if (!claim) return false;
    std::byte* const payload = claim.payload();
    for (std::uint32_t at = 0; at != kRawBytes; at += sizeof number) std::memcpy(payload + at, &number, sizeof number);
    return taut::rpc::send_oneway(std::move(claim), kRawBytes) == taut::Sent::ok;
  }
  // Answered behind everything that was sent before.
  void expect_seen() {
    const auto seen = calls_.Ask({}, taut::wait);
    if (!seen) std::exit(taut::report(seen.status()));
    if (seen->number() != kBatch || seen->sum() != kSum) fail("messages were lost");
  }

  taut::Link& link_;
  kinds::Kinds::Client calls_;
  const taut::rpc::Binding& binding_;
};

struct Rates {
  std::vector<double> raw, typed, stream;
};

Rates measure_pair(const Setup& setup) {
  const std::string url = "shm://streams-bench-" + std::to_string(getpid());
  const bench::Child server = start_server(url, setup);
  auto link = taut::connect(url);
  if (!link) std::exit(taut::report(link.error()));
  Client client(*link);
  Rates rates;
  for (int round = 0; round < setup.rounds + kWarmup; ++round) {
    const auto timed = [&](std::vector<double>& to, auto&& run) {
      const auto begin = Steady::now();
      run();
      const double us = std::chrono::duration<double, std::micro>(Steady::now() - begin).count();
      if (round >= kWarmup) to.push_back(static_cast<double>(kBatch) / us);
    };
    timed(rates.raw, [&] { client.send_raw(); });
    timed(rates.typed, [&] { client.send_typed(); });
    timed(rates.stream, [&] { client.stream(); });
  }
  return rates;
}

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  setup.read(argc, argv);
  bench::pin(setup.cpu_client);
  std::vector<double> raw, typed, stream;
  for (int pair = 0; pair < setup.pairs; ++pair) {
    const Rates rates = measure_pair(setup);
    raw.push_back(bench::median(rates.raw));
    typed.push_back(bench::median(rates.typed));
    stream.push_back(bench::median(rates.stream));
  }
  bench::print_head(setup);
  bench::print_row("one-way messages, 48 raw bytes", raw, "M/s");
  bench::print_row("one-way messages, typed", typed, "M/s");
  bench::print_row("items of a server stream, typed", stream, "M/s");
  return 0;
}
