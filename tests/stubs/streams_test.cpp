// Typed streams from end to end, over the loopback: who may let go of what, what ends a call, and items that are none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <vector>

#include "everything.taut.h"
#include "kinds.taut.h"
#include "support/expect_status.h"
#include "taut/loopback/loopback.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Numbers = std::vector<std::uint64_t>;

// Keeps what its handlers were given, so that the test decides.
struct Keeper final : kinds::Kinds::Service {
  void Tell(const kinds::Item& message, const Told&) override { told.push_back(message.number()); }
  void Watch(const kinds::Wanted&, Writer<kinds::Item> out) override {
    if (watching) return watching(std::move(out));
    watch.emplace(std::move(out));
  }
  void Load(Reader<kinds::Item> in, Reply<kinds::Total> reply) override {
    if (loading) return loading(std::move(in), std::move(reply));
    in.each([this](const kinds::Item& item) { loaded.push_back(item.number()); });
    in.on_close([this](bool all) { complete = all; });
    load.emplace(std::move(reply));
  }
  void Talk(Reader<kinds::Line> in, Writer<kinds::Line> out) override {
    in.each([this](const kinds::Line& line) { lines.push_back(line.text()->str()); });
    talk.emplace(std::move(out));
  }
  std::function<void(Writer<kinds::Item>)> watching;
  std::function<void(Reader<kinds::Item>, Reply<kinds::Total>)> loading;
  std::optional<Writer<kinds::Item>> watch;
  std::optional<Reply<kinds::Total>> load;
  std::optional<Writer<kinds::Line>> talk;
  Numbers told, loaded;
  std::vector<std::string> lines;
  std::optional<bool> complete;
};

struct Kitchen final : everything::Kitchen::Service {
  void Serve(Reader<everything::Dish> in, Writer<everything::Dish> out) override {
    auto plates = std::make_shared<Writer<everything::Dish>>(std::move(out));
    in.each([plates](const everything::Dish& dish) {
      if (auto plate = plates->claim(2000)) {
        plate->number(dish.number() + 1);
        const auto bytes = plate->bytes(dish.bytes()->size());
        std::copy(dish.bytes()->begin(), dish.bytes()->end(), bytes.begin());
        EXPECT_TRUE(plate.send());
      }
    });
    in.on_close([plates](bool) { plates->finish(); });
  }
};

class Streams : public ::testing::Test {
 protected:
  Streams() {
    network.drive(server);
    listener.emplace(server.serve("loopback://all", keeper, kitchen));
    EXPECT_TRUE(*listener) << listener->error().what();
    link.emplace(*client.connect("loopback://all"));
    calls.emplace(*link);
  }
  static std::vector<std::unique_ptr<rpc::Transport>> transports(loopback::Network& network) {
    std::vector<std::unique_ptr<rpc::Transport>> list;
    list.push_back(network.transport());
    return list;
  }
  static LogCallback silent() {
    return [](Severity, std::string_view) {};
  }
  void turn() {
    for (int i = 0; i != 20; ++i) {
      client.poll();
      server.poll();
    }
  }
  // How a call ended: it does so once.
  auto ending() {
    return [this](const Status& status) {
      ++ends;
      ended = status;
    };
  }
  auto numbering() {
    return [this](const kinds::Item& item) { numbers.push_back(item.number()); };
  }

  loopback::Network network;
  Keeper keeper;
  Kitchen kitchen;
  rpc::Dispatcher server{transports(network), {.log = silent()}};
  rpc::Dispatcher client{transports(network), {.log = silent()}};
  std::optional<Result<Listener>> listener;
  std::optional<Link> link;
  std::optional<kinds::Kinds::Client> calls;
  int ends = 0;
  Status ended;
  Numbers numbers;
};

// ---- handles

TEST_F(Streams, a_stream_with_each_goes_on_without_its_handle) {
  calls->Watch({}).each(numbering()).then(ending());
  turn();
  ASSERT_TRUE(keeper.watch);
  EXPECT_TRUE(keeper.watch->send({.number = 1}));
  EXPECT_TRUE(keeper.watch->send({.number = 2}));
  keeper.watch->finish();
  turn();
  EXPECT_THAT(numbers, ElementsAre(1, 2));
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(Streams, a_stream_in_pull_mode_is_cancelled_when_its_handle_goes) {
  {
    auto stream = calls->Watch({});
    stream.then(ending());
    ASSERT_TRUE(stream.pull());
    turn();
    EXPECT_TRUE(keeper.watch->send({.number = 1}));
    turn();
    ASSERT_NE(stream.next(), nullptr);
    EXPECT_FALSE(keeper.watch->cancelled());
  }
  turn();
  EXPECT_TRUE(keeper.watch->cancelled());
  EXPECT_EQ(keeper.watch->send({.number = 2}), Sent::over);
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(ended.code(), Code::cancelled);
}

TEST_F(Streams, a_stream_that_nobody_receives_is_cancelled) {
  (void)calls->Watch({});
  turn();
  EXPECT_FALSE(keeper.watch && !keeper.watch->cancelled());
}

TEST_F(Streams, a_handle_that_is_assigned_to_lets_its_old_call_go) {
  auto stream = calls->Watch({});
  stream.then(ending());
  turn();
  keeper.watch.reset();
  keeper.watching = [this](Writer<kinds::Item> out) { keeper.watch.emplace(std::move(out)); };
  auto second = calls->Load();
  turn();
  second = calls->Load();
  turn();
  EXPECT_EQ(keeper.complete, false) << "of the first one";
  EXPECT_EQ(ended.code(), Code::aborted);
}

TEST_F(Streams, a_duplex_that_is_not_closed_is_cancelled_when_its_handle_goes) {
  {
    auto talk = calls->Talk();
    talk.each([](const kinds::Line&) {});
    talk.then(ending());
    turn();
  }
  turn();
  EXPECT_TRUE(keeper.talk->cancelled());
  EXPECT_EQ(ended.code(), Code::cancelled);
}

TEST_F(Streams, a_duplex_that_is_closed_goes_on_without_its_handle) {
  std::vector<std::string> heard;
  {
    auto talk = calls->Talk();
    talk.each([&](const kinds::Line& line) { heard.push_back(line.text()->str()); });
    talk.then(ending());
    EXPECT_TRUE(talk.send({.text = "one"}));
    talk.close();
    EXPECT_EQ(talk.send({.text = "two"}), Sent::over) << "it was closed";
    talk.close();
  }
  turn();
  EXPECT_THAT(keeper.lines, ElementsAre("one"));
  EXPECT_FALSE(keeper.talk->cancelled());
  EXPECT_TRUE(keeper.talk->send({.text = "late"}));
  keeper.talk->finish();
  turn();
  EXPECT_THAT(heard, ElementsAre("late"));
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(Streams, handles_stay_valid_when_their_link_is_gone) {
  auto stream = calls->Watch({});
  stream.then(ending());
  ASSERT_TRUE(stream.pull());
  auto load = calls->Load();
  auto talk = calls->Talk();
  talk.each([](const kinds::Line&) {});
  turn();
  calls.reset();
  link.reset();
  turn();
  EXPECT_FALSE(stream);
  EXPECT_EQ(stream.next(), nullptr);
  EXPECT_TRUE(stream.closed());
  EXPECT_EQ(load.send({}), Sent::over);
  EXPECT_EQ(talk.send({.text = "x"}), Sent::over);
  talk.close();
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(ended.code(), Code::cancelled);
  EXPECT_TRUE(keeper.watch->cancelled());
  EXPECT_EQ(keeper.watch->send({}), Sent::over);
  keeper.watch->finish();
  EXPECT_EQ(keeper.complete, false);
  EXPECT_TRUE(keeper.load->cancelled());
}

// ---- writers and readers

TEST_F(Streams, a_writer_that_is_dropped_ends_its_call_with_aborted) {
  calls->Watch({}).each(numbering()).then(ending());
  turn();
  EXPECT_TRUE(keeper.watch->send({.number = 1}));
  keeper.watch.reset();
  turn();
  EXPECT_THAT(numbers, ElementsAre(1));
  EXPECT_STATUS(ended, aborted, yes, reply_dropped, "");
}

TEST_F(Streams, a_writer_ends_its_call_once) {
  calls->Watch({}).each(numbering()).then(ending());
  turn();
  EXPECT_TRUE(*keeper.watch);
  keeper.watch->refuse(Code::not_found, "no such feed");
  EXPECT_FALSE(*keeper.watch);
  EXPECT_EQ(keeper.watch->send({.number = 1}), Sent::over);
  keeper.watch->finish();
  keeper.watch->refuse(Code::internal, "twice");
  turn();
  EXPECT_EQ(ends, 1);
  EXPECT_STATUS(ended, not_found, yes, none, "no such feed");
  EXPECT_TRUE(numbers.empty());
}

TEST_F(Streams, slow_watchers_can_be_let_go_in_one_line) {
  std::vector<Writer<kinds::Item>> watchers;
  keeper.watching = [&](Writer<kinds::Item> out) { watchers.push_back(std::move(out)); };
  calls->Watch({}, {.credit = 2}).each(numbering()).then(ending());
  auto slow = calls->Watch({}, {.credit = 2});
  Status slow_ended;
  slow.then([&](const Status& status) { slow_ended = status; });
  ASSERT_TRUE(slow.pull());
  turn();
  for (std::uint64_t n = 1; n <= 5; ++n) {
    std::erase_if(watchers, [&](auto& out) { return !out.send({.number = n}); });
    turn();
  }
  EXPECT_THAT(numbers, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(watchers.size(), 1u);
  EXPECT_EQ(slow_ended.code(), Code::aborted);
  EXPECT_EQ(ends, 0);
}

TEST_F(Streams, a_handler_may_answer_an_upload_before_it_is_whole) {
  auto load = calls->Load();
  std::uint64_t count = 0;
  load.then([&](const Answer<kinds::Total>& total) { count = total ? total->count() : 99; });
  EXPECT_TRUE(load.send({.number = 5}));
  turn();
  keeper.load->send({.count = 1});
  turn();
  EXPECT_THAT(keeper.loaded, ElementsAre(5));
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(keeper.complete, false);
  EXPECT_EQ(load.send({.number = 6}), Sent::over);
}

TEST_F(Streams, kinds_that_are_not_overridden_are_unimplemented) {
  everything::Kitchen::Client dishes{*link};
  auto duplex = calls->Swap();
  duplex.each([](const kinds::Item&) {});
  duplex.then(ending());
  turn();
  EXPECT_STATUS(ended, unimplemented, yes, none, "method 'Swap' is not implemented");
}

// ---- the end

TEST_F(Streams, then_is_told_also_when_the_call_has_ended_before_and_never_inside_then) {
  auto load = calls->Load();
  turn();
  keeper.load->send({.stream = 3, .count = 4});
  turn();
  EXPECT_FALSE(load);
  std::uint64_t count = 0;
  load.close().then([&](const Answer<kinds::Total>& total) { count = total ? total->count() : 99; });
  EXPECT_EQ(count, 0u);
  turn();
  EXPECT_EQ(count, 4u);
}

TEST_F(Streams, a_refused_stream_says_so_in_a_later_turn) {
  listener.reset();
  network.cut();
  turn();
  calls->Watch({}).each(numbering()).then(ending());
  auto load = calls->Load();
  EXPECT_EQ(load.send({}), Sent::over);
  EXPECT_EQ(ends, 0);
  turn();
  EXPECT_EQ(ends, 1);
  EXPECT_STATUS(ended, unavailable, no, not_connected, "");
}

TEST_F(Streams, a_request_over_its_cap_opens_no_stream) {
  auto talk = calls->Talk();
  EXPECT_EQ(talk.send({.text = std::string(4097, 'x')}), Sent::too_big);
  EXPECT_TRUE(talk.send({.text = "short"})) << "the stream goes on";
  turn();
  EXPECT_THAT(keeper.lines, ElementsAre("short"));
}

TEST_F(Streams, one_way_messages_have_no_answer) {
  EXPECT_TRUE(calls->Tell({.number = 1}));
  EXPECT_TRUE(calls->Tell({.number = 2}));
  turn();
  EXPECT_THAT(keeper.told, ElementsAre(1, 2));
}

// ---- items that are written field by field

TEST_F(Streams, items_are_written_in_the_ring_through_a_claim) {
  everything::Kitchen::Client dishes{*link};
  auto serve = dishes.Serve();
  std::vector<std::size_t> sizes;
  serve.each([&](const everything::Dish& dish) { sizes.push_back(dish.bytes()->size() + dish.number()); });
  serve.then(ending());
  EXPECT_TRUE(serve.send({.number = 100, .bytes = {1, 2, 3}}));
  auto dish = serve.claim(1500);
  ASSERT_TRUE(dish);
  EXPECT_EQ(serve.send({}), Sent::open_claim) << "one claim a lane";
  dish->number(200);
  EXPECT_EQ(dish->bytes(1000).size(), 1000u);
  EXPECT_TRUE(dish.send());
  EXPECT_FALSE(dish.send());
  auto small = serve.claim(600);
  EXPECT_TRUE(small->bytes(1000).empty());
  EXPECT_EQ(small.send(), Sent::too_big);
  { const auto dropped = serve.claim(600); }
  EXPECT_EQ(serve.claim(1 << 20).why(), Sent::too_big);
  serve.close();
  turn();
  EXPECT_THAT(sizes, ElementsAre(104, 1201));
  EXPECT_TRUE(ended.ok()) << ended;
}

// ---- items that are none

TEST_F(Streams, an_item_that_is_none_is_refused_by_the_handlers_side_and_the_handler_never_sees_it) {
  for (const bool pulls : {false, true}) {
    keeper.loaded.clear();
    std::optional<Reader<kinds::Item>> reader;
    if (pulls) {
      keeper.loading = [&](Reader<kinds::Item> in, Reply<kinds::Total> reply) {
        ASSERT_TRUE(in.pull());
        in.on_close([this, reply = std::move(reply)](bool all) mutable { keeper.complete = all; });
        reader.emplace(std::move(in));
      };
    }
    rpc::Binding& binding = rpc::bind(link->state(), kinds::Kinds::description());
    rpc::StreamCall opened = rpc::open_stream(rpc::claim_call(link->state(), binding, 3, 0), 0, {});
    ended = {};
    opened.call.then([&](const rpc::RawAnswer& answer) { ended = answer.status; });
    Sent why = Sent::ok;
    const Message<kinds::Item> good(kinds::ItemInit{.number = 1});
    const auto send = [&](std::span<const std::byte> bytes) {
      std::byte* const to = opened.stream.claim(static_cast<std::uint32_t>(bytes.size()), why);
      ASSERT_NE(to, nullptr);
      std::copy(bytes.begin(), bytes.end(), to);
      EXPECT_EQ(opened.stream.send(static_cast<std::uint32_t>(bytes.size())), Sent::ok);
    };
    const std::vector<std::byte> bad(good.bytes().size(), std::byte{0xee});
    send(good.bytes());
    send(bad);
    send(good.bytes());
    turn();
    while (reader) {
      const kinds::Item* const next = reader->next();
      if (next == nullptr) break;
      keeper.loaded.push_back(next->number());
    }
    turn();
    if (!pulls) keeper.load.reset();  // the duty to answer stays with the handler; what it says no longer matters
    reader.reset();
    turn();
    EXPECT_STATUS(ended, invalid_argument, yes, bad_message, "points outside of the message");
    EXPECT_THAT(keeper.loaded, ElementsAre(1)) << "nothing behind the bad one is handed over";
    EXPECT_EQ(keeper.complete, false);
    keeper.complete.reset();
  }
}

// A server of the same name and id whose items are any bytes.
struct AnyBytes final : Service {
  [[nodiscard]] const rpc::ServiceDescription& description() const noexcept override {
    static const rpc::MethodDescription methods[] = {{.name = "Watch",
                                                      .id = 3,
                                                      .kind = rpc::CallKind::server_stream,
                                                      .request_bound = 0,
                                                      .reply_bound = 0,
                                                      .request = "kinds.Wanted",
                                                      .reply = "kinds.Item",
                                                      .serve = &serve}};
    static const rpc::ServiceDescription service{"kinds.Kinds", 1, methods, {}};
    return service;
  }
  static void serve(Service& service, rpc::ServedCall& call) {
    auto& self = static_cast<AnyBytes&>(service);
    self.stream.emplace(call.stream());
    self.reply.emplace(call.reply());
    const Message<kinds::Item> good(kinds::ItemInit{.number = 1});
    self.send(good.bytes());
    self.send(std::vector<std::byte>(good.bytes().size(), std::byte{0xee}));
    self.send(good.bytes());
  }
  void send(std::span<const std::byte> bytes) {
    Sent why = Sent::ok;
    std::byte* const to = stream->claim(static_cast<std::uint32_t>(bytes.size()), why);
    ASSERT_NE(to, nullptr);
    std::copy(bytes.begin(), bytes.end(), to);
    EXPECT_EQ(stream->send(static_cast<std::uint32_t>(bytes.size())), Sent::ok);
  }
  std::optional<rpc::StreamEnd> stream;
  std::optional<rpc::RawReply> reply;
};

TEST_F(Streams, an_item_that_is_none_ends_its_call_at_the_caller_and_the_server_is_told) {
  AnyBytes service;
  auto other = server.serve("loopback://other", service);
  ASSERT_TRUE(other);
  auto other_link = client.connect("loopback://other");
  ASSERT_TRUE(other_link);
  kinds::Kinds::Client other_calls(*other_link);
  for (const bool pulls : {false, true}) {
    numbers.clear();
    ended = {};
    auto stream = other_calls.Watch({});
    stream.then(ending());
    if (pulls) {
      ASSERT_TRUE(stream.pull());
    } else {
      stream.each(numbering());
    }
    turn();
    if (pulls) {
      while (const kinds::Item* const item = stream.next()) numbers.push_back(item->number());
    }
    turn();
    EXPECT_THAT(numbers, ElementsAre(1));
    EXPECT_STATUS(ended, internal, yes, bad_message, "(item kinds.Item)");
    EXPECT_STATUS(stream.status(), internal, yes, bad_message, "");
    EXPECT_TRUE(service.reply->cancelled());
    EXPECT_TRUE(service.stream->over());
    EXPECT_EQ(stream.next(), nullptr) << "nothing behind the bad one is handed over";
    service.reply.reset();
  }
  EXPECT_EQ(ends, 2);
}

TEST_F(Streams, a_method_of_another_kind_is_refused_when_the_schemas_meet) {
  static constexpr rpc::MethodDescription kMethods[] = {{.name = "Watch",
                                                         .id = 3,
                                                         .request_bound = 0,
                                                         .reply_bound = 0,
                                                         .request = "kinds.Wanted",
                                                         .reply = "kinds.Item"}};
  static constexpr rpc::ServiceDescription kUnary{"kinds.Kinds", 1, kMethods, {}};
  const auto fits = (*link).fits(kUnary);
  ASSERT_FALSE(fits);
  EXPECT_THAT(std::string(fits.error().what()),
              HasSubstr("the method 'Watch' (id 3) of kinds.Kinds is unary here and server stream at the server"));
}

}  // namespace
}  // namespace taut::testing
