// A trace through three processes: a client, a server that calls another one in its handler, and that other. Their
// spans are collected in shared memory, as an exporter would send them to one place, and must make one tree.
#include "taut/rpc/tracing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "orders.taut.h"
#include "support/child_process.h"
#include "support/service_folder.h"
#include "support/shared_value.h"
#include "taut/taut.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

struct Recorded {
  std::atomic<bool> whole;
  TraceContext context;
  std::array<std::uint8_t, 8> parent;
  Span::Kind kind;
  pid_t process;
  char name[32];
  Code code;
  Nanoseconds took, queued;
};
struct Records {
  std::atomic<unsigned> count;
  Recorded spans[64];
};

class Collector final : public SpanExporter {
 public:
  explicit Collector(Records& records) : records_(records) {}
  void ended(const Span& span) override {
    Recorded& to = records_.spans[records_.count.fetch_add(1) % std::size(records_.spans)];
    to.context = span.context;
    to.parent = span.parent_id;
    to.kind = span.kind;
    to.process = getpid();
    to.code = span.status.code();
    to.took = span.took;
    to.queued = span.queued;
    std::snprintf(to.name, sizeof to.name, "%.*s", static_cast<int>(span.method.size()), span.method.data());
    to.whole.store(true, std::memory_order_release);
  }

 private:
  Records& records_;
};

// Answers, or refuses an order without a price.
struct Back final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    if (order.price() == 0) return reply.refuse(Code::invalid_argument, "no price");
    reply.send({.id = order.id()});
  }
};

// Asks the back before it answers.
struct Front final : desk::Orders::Service {
  explicit Front(Link& to) : back(to) {}
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override {
    back.Place({.id = order.id(), .price = order.price(), .party = {}})
        .then([reply = std::move(reply)](const Answer<desk::Ack>& ack) mutable {
          if (ack) return reply.send({.id = ack->id()});
          reply.refuse(ack.status().code(), "the back said no");
        });
  }
  desk::Orders::Client back;
};

class TracingTest : public ::testing::Test {
 protected:
  ChildProcess start_back() {
    return ChildProcess([this](ChildProcess::Ready ready) {
      Back back;
      Dispatcher loop;
      Collector collector(*records);
      Tracing tracing(collector);
      if (!loop.intercept(tracing.server())) _exit(1);
      auto listener = loop.serve("shm://back", back);
      if (!listener) _exit(report(listener.error()));
      ready();
      loop.run_until(Signals{SIGTERM});
    });
  }
  ChildProcess start_front() {
    return ChildProcess([this](ChildProcess::Ready ready) {
      Dispatcher loop;
      Collector collector(*records);
      Tracing tracing(collector);
      if (!loop.intercept(tracing.server()) || !loop.intercept(tracing.client())) _exit(1);
      auto link = loop.connect("shm://back?timeout=60s&connect_timeout=60s");
      if (!link) _exit(report(link.error()));
      Front front(*link);
      auto listener = loop.serve("shm://front", front);
      if (!listener) _exit(report(listener.error()));
      ready();
      loop.run_until(Signals{SIGTERM});
    });
  }
  // Of this process, or of another; the only one with this kind and place.
  const Recorded& span(Span::Kind kind, pid_t process) {
    const Recorded* found = nullptr;
    for (unsigned i = 0; i != records->count; ++i) {
      const Recorded& each = records->spans[i];
      if (each.kind != kind || each.process != process) continue;
      EXPECT_EQ(found, nullptr) << "two spans of one call";
      found = &each;
    }
    if (found == nullptr) throw std::runtime_error("a span is missing");
    return *found;
  }
  void wait_for_spans(unsigned count) {
    const auto whole = [&] {
      if (records->count < count) return false;
      for (unsigned i = 0; i != count; ++i) {
        if (!records->spans[i].whole.load(std::memory_order_acquire)) return false;
      }
      return true;
    };
    while (!whole()) sched_yield();  // ctest's timeout ends a hang
  }

  ServiceFolder folder;
  SharedValue<Records> records;
};

TEST_F(TracingTest, SpansOfThreeProcessesMakeOneTree) {
  ChildProcess back = start_back();
  ASSERT_TRUE(back.ready());
  ChildProcess front = start_front();
  ASSERT_TRUE(front.ready());
  for (const std::int32_t price : {0, 7}) {
    records->count = 0;
    for (Recorded& each : records->spans) each.whole = false;
    Collector collector(*records);
    Tracing tracing(collector);
    Dispatcher loop;
    ASSERT_TRUE(loop.intercept(tracing.client()));
    auto link = loop.connect("shm://front?timeout=60s&connect_timeout=60s");
    ASSERT_TRUE(link) << link.error();
    desk::Orders::Client orders(*link);
    const auto ack = orders.Place({.id = 1, .price = price, .party = {}}, taut::wait);
    EXPECT_EQ(static_cast<bool>(ack), price != 0);
    wait_for_spans(4);

    const Recorded& root = span(Span::Kind::client, getpid());
    const Recorded& front_serves = span(Span::Kind::server, front.pid());
    const Recorded& front_calls = span(Span::Kind::client, front.pid());
    const Recorded& back_serves = span(Span::Kind::server, back.pid());
    EXPECT_EQ(root.parent, (std::array<std::uint8_t, 8>{})) << "nobody caused it";
    EXPECT_EQ(front_serves.parent, root.context.span_id);
    EXPECT_EQ(front_calls.parent, front_serves.context.span_id);
    EXPECT_EQ(back_serves.parent, front_calls.context.span_id);
    for (const Recorded* each : {&root, &front_serves, &front_calls, &back_serves}) {
      EXPECT_EQ(each->context.trace_id, root.context.trace_id);
      EXPECT_TRUE(each->context.valid());
      EXPECT_STREQ(each->name, "Place");
      EXPECT_EQ(each->code, price != 0 ? Code::ok : Code::invalid_argument);
      EXPECT_GE(each->took, 0ns);
      EXPECT_LE(each->took, root.took) << "whoever causes a span waits for it";
      EXPECT_GE(each->queued, 0ns);
    }
  }
}

TEST_F(TracingTest, WhatIsNotSampledIsNotRecordedAnywhere) {
  ChildProcess back = start_back();
  ChildProcess front = start_front();
  ASSERT_TRUE(back.ready() && front.ready());
  Collector collector(*records);
  Tracing none(collector, 0);
  Dispatcher loop;
  ASSERT_TRUE(loop.intercept(none.client()));
  auto link = loop.connect("shm://front?timeout=60s&connect_timeout=60s");
  ASSERT_TRUE(link) << link.error();
  desk::Orders::Client orders(*link);
  for (std::uint64_t id = 1; id <= 100; ++id)
    EXPECT_TRUE(orders.Place({.id = id, .price = 7, .party = {}}, taut::wait));
  front.signal(SIGTERM);
  back.signal(SIGTERM);
  EXPECT_EQ(front.wait(), 0);
  EXPECT_EQ(back.wait(), 0);
  EXPECT_EQ(records->count, 0u);
}

}  // namespace
}  // namespace taut::testing
