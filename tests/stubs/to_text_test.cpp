// A message as a line of text. Run under the address sanitizer the last test says that it reads nothing that the check
// of the message did not cover.
#include "taut/stubs/to_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "everything.taut.h"
#include "greeter.taut.h"
#include "orders.taut.h"
#include "support/seed.h"
#include "taut/stubs/message.h"
#include "taut/stubs/text.h"

namespace taut::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(ToText, an_order_is_one_line_with_names_of_fields_and_enums) {
  const Message<desk::Order> order(
      {.id = 7, .price = -10150, .quantity = 100, .side = desk::Side::sell, .party = {text("AAPL"), text("ACME")}});
  EXPECT_EQ(to_text<desk::Orders>(*order),
            R"({id: 7, price: -10150, quantity: 100, side: sell, party: {symbol: "AAPL", client: "ACME"}})");
}

TEST(ToText, vectors_are_cut_with_the_number_of_those_left_out_and_absent_fields_are_left_out) {
  const std::vector<desk::Level> bids(10, desk::Level(101, 5));
  const Message<desk::Book> book({.seq = 1, .bids = bids});
  EXPECT_EQ(to_text<desk::Orders>(*book, {.elements = 2}),
            "{seq: 1, bids: [{price: 101, quantity: 5}, {price: 101, quantity: 5}, 8 more]}");
}

TEST(ToText, what_is_not_printable_is_escaped_and_long_texts_are_cut) {
  const Message<greeter::HelloRequest> request({.name = "a\n\x1b[2J\"\\\xc3\xa9"});
  EXPECT_EQ(to_text<greeter::Greeter>(*request), R"({name: "a\x0a\x1b[2J\"\\\xc3\xa9"})");
  const Message<greeter::HelloRequest> large({.name = std::string(100, 'x')});
  EXPECT_EQ(to_text<greeter::Greeter>(*large, {.text = 3}), "{name: \"xxx\"...97 more}");
}

TEST(ToText, scalars_of_all_kinds_with_their_defaults) {
  const std::uint8_t three[] = {1, 2, 3};
  const Message<everything::Scalars> scalars(
      {.three = everything::Bytes3(flatbuffers::span<const std::uint8_t, 3>(three, 3))});
  const std::string line = to_text<everything::Kitchen>(*scalars);
  for (const char* part :
       {"i8: -3", "u8: 200", "i16: -300", "u16: 60000", "i32: -70000", "u32: 4000000000", "i64: -5000000000",
        "u64: 9223372036854775807", "f32: 1.5", "f64: -2.25", "flag: true", "colour: green", "grade: bad",
        "sparse: big", "rights: write", "last: 0", R"(three: {data: "\x01\x02\x03"})"}) {
    EXPECT_THAT(line, HasSubstr(part));
  }
  EXPECT_THAT(line, Not(HasSubstr("gone"))) << "a deprecated field was not checked, so it is not read";
}

TEST(ToText, structs_within_structs_and_fixed_arrays) {
  const everything::Inner inner(everything::Colour::blue, -5);
  const everything::Colour colours[] = {everything::Colour::red, everything::Colour::green, everything::Colour::blue};
  const everything::Inner pair[] = {inner, inner};
  const everything::Outer outer(inner, flatbuffers::span<const everything::Colour, 3>(colours, 3),
                                flatbuffers::span<const everything::Inner, 2>(pair, 2), 9);
  const everything::LeafInit leaves[] = {{.text = "leaf"}};
  const Message<everything::Everything> message({.text = "t", .outer = outer, .leaves = leaves});
  const std::string line = to_text<everything::Kitchen>(*message, {.bytes = 4096});
  EXPECT_THAT(line, HasSubstr("outer: {inner: {colour: blue, small: -5}, colours: [red, green, blue], "
                              "pair: [{colour: blue, small: -5}, {colour: blue, small: -5}], value: 9}"));
  EXPECT_THAT(line, HasSubstr("leaves: [{text: \"leaf\", sixteen: {low: 0, high: 0}}]"));
}

TEST(ToText, the_whole_line_and_the_depth_are_bounded) {
  std::vector<everything::TreeInit> leaf(1), level1(1);
  leaf[0].value = 3;
  level1[0].value = 2;
  level1[0].children = leaf;
  const Message<everything::Tree> tree({.value = 1, .children = level1});
  EXPECT_EQ(to_text<everything::Kitchen>(*tree), "{value: 1, children: [{value: 2, children: [{value: 3}]}]}");
  EXPECT_EQ(to_text<everything::Kitchen>(*tree, {.depth = 2}), "{value: 1, children: [{value: 2, children: [{...}]}]}");
  const std::string line = to_text<everything::Kitchen>(*tree, {.bytes = 20});
  EXPECT_EQ(line.size(), 20u);
  EXPECT_THAT(line, StartsWith("{value: 1, childr"));
  EXPECT_TRUE(line.ends_with("..."));
}

TEST(ToText, any_message_is_one_line_within_its_bound) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{2}, std::size_t{100}, std::size_t{100'000}}) {
    const Message<desk::Book> book({.seq = 1, .bids = std::vector<desk::Level>(64, desk::Level(1, 1))});
    const std::string line = to_text<desk::Orders>(*book, {.bytes = bytes, .elements = 100});
    EXPECT_LE(line.size(), bytes);
    EXPECT_EQ(line.find('\n'), std::string::npos);
  }
}

TEST(ToText, a_table_of_another_schema_is_said_to_be_one) {
  const Message<desk::Cancel> cancel({.id = 1});
  EXPECT_EQ(to_text<greeter::Greeter>(*cancel), "(not a message of this service)");
}

TEST(ToText, broken_messages_that_pass_their_check_are_read_within_their_bytes) {
  Random random;
  const std::vector<everything::LeafInit> leaves(3, everything::LeafInit{.text = "leaf"});
  const std::vector<std::string_view> words{"one", "two"};
  const Message<everything::Everything> whole({.text = "t", .note = "n", .words = words, .leaves = leaves});
  const TextLimits all{.bytes = 1 << 20, .text = 1 << 20, .elements = 1 << 20, .depth = 64};
  int passed = 0;
  for (int round = 0; round != 20'000; ++round) {
    // In memory of its own, to the byte: the sanitizer sees a step beyond it.
    const std::size_t bytes = whole.bytes().size();
    const auto copy = std::make_unique<std::byte[]>(bytes);
    std::memcpy(copy.get(), whole.bytes().data(), bytes);
    for (std::uint64_t flips = 1 + random.below(3); flips != 0; --flips) {
      copy[random.below(bytes)] = static_cast<std::byte>(random.word());
    }
    const std::span<const std::byte> message(copy.get(), bytes);
    if (!stubs::check<everything::Everything>(message)) continue;
    ++passed;
    (void)to_text<everything::Kitchen>(*stubs::root<everything::Everything>(message), all);
  }
  EXPECT_GT(passed, 100);
}

}  // namespace
}  // namespace taut::testing
