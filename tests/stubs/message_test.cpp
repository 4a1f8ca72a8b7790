// Messages that we write are FlatBuffers as any other: held equal, field by field, to those of the stock builder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "flatbuffers/idl.h"
#include "greeter.taut.h"
#include "message_bytes.h"
#include "orders.taut.h"
#include "random_messages.h"

namespace taut::testing {
namespace {

// Messages as text, by the schema that the library embedded.
class Texts {
 public:
  explicit Texts(const rpc::ServiceDescription& service) {
    parser_.opts.output_default_scalars_in_json = true;
    parser_.opts.strict_json = true;
    EXPECT_TRUE(
        parser_.Deserialize(reinterpret_cast<const std::uint8_t*>(service.schema.data()), service.schema.size()));
  }
  std::string of(std::string_view table, std::span<const std::byte> message) {
    EXPECT_TRUE(parser_.SetRootType(std::string(table).c_str()));
    std::string text;
    EXPECT_TRUE(flatbuffers::GenerateText(parser_, message.data(), &text));
    return text;
  }

 private:
  flatbuffers::Parser parser_;
};

Texts& kitchen_texts() {
  static Texts texts(everything::Kitchen::description());
  return texts;
}

bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) { return std::ranges::equal(a, b); }

// Everything that must hold for one value and the two ways to write it.
template <class T>
void expect_equal(const typename Schema<T>::Init& init) {
  const Bytes ours = written<T>(init);
  ASSERT_TRUE(stock_verifies<T>(ours.view())) << Schema<T>::kName;
  ASSERT_TRUE(stubs::check<T>(ours.view())) << reason<T>(ours.view());
  EXPECT_EQ(compares<T>(ours.view()), Schema<T>::kComparable);
  EXPECT_TRUE(stubs::check_any_layout<T>(ours.view())) << reason<T>(ours.view());
  EXPECT_TRUE(same_bytes(keep(*stubs::root<T>(ours.view())).bytes(), ours.view()));
  if (Schema<T>::kBound != 0) {
    EXPECT_LE(ours.view().size(), Schema<T>::kBound);
  }
  for (const bool force_defaults : {false, true}) {
    StockBuilder builder(force_defaults);
    const Bytes stock(builder.finish(builder.add(init)));
    EXPECT_TRUE(stubs::check<T>(stock.view())) << reason<T>(stock.view());
    EXPECT_EQ(kitchen_texts().of(Schema<T>::kName, ours.view()), kitchen_texts().of(Schema<T>::kName, stock.view()));
    // Copied by the schema, the stock message is ours, byte for byte.
    EXPECT_TRUE(same_bytes(keep(*stubs::root<T>(stock.view())).bytes(), ours.view()));
  }
}

TEST(Messages, equal_those_of_the_stock_builder) {
  Random random;
  for (int i = 0; i != 400; ++i) {
    RandomMessages messages(random);
    expect_equal<everything::Scalars>(messages.scalars());
    expect_equal<everything::Nullable>(messages.nullable());
    expect_equal<everything::Leaf>(messages.leaf());
    expect_equal<everything::Tree>(messages.tree());
    expect_equal<everything::Everything>(messages.everything());
    if (HasFailure()) return;
  }
}

TEST(Messages, hold_the_values_they_were_given) {
  const Bytes bytes = written<desk::Order>(
      {.id = 8, .price = -101, .quantity = 5, .side = desk::Side::sell, .party = {text("AAPL"), text("ACME")}});
  const auto* order = stubs::root<desk::Order>(bytes.view());
  EXPECT_EQ(order->id(), 8u);
  EXPECT_EQ(order->price(), -101);
  EXPECT_EQ(order->quantity(), 5u);
  EXPECT_EQ(order->side(), desk::Side::sell);
  EXPECT_EQ(text(order->party()->symbol()), "AAPL");
  EXPECT_EQ(text(order->party()->client()), "ACME");
}

TEST(Messages, an_order_and_its_header_are_two_lines_an_ack_and_its_header_one) {
  EXPECT_EQ(stubs::size<desk::Order>({}), 56u);
  EXPECT_EQ(stubs::size<desk::Ack>({}), 40u);
}

TEST(Messages, an_absent_field_reads_as_null_and_an_empty_one_does_not) {
  const Bytes absent = written<desk::Book>({.bids = {}});
  EXPECT_EQ(stubs::root<desk::Book>(absent.view())->asks(), nullptr);
  EXPECT_EQ(stubs::root<desk::Book>(absent.view())->note(), nullptr);
  ASSERT_NE(stubs::root<desk::Book>(absent.view())->bids(), nullptr);

  const std::vector<desk::Level> none;
  const Bytes empty = written<desk::Book>({.asks = none, .note = ""});
  ASSERT_NE(stubs::root<desk::Book>(empty.view())->asks(), nullptr);
  EXPECT_EQ(stubs::root<desk::Book>(empty.view())->asks()->size(), 0u);
  EXPECT_EQ(stubs::root<desk::Book>(empty.view())->note()->str(), "");
}

TEST(Messages, views_may_come_from_many_containers) {
  const std::vector<std::string> strings = {"a", "bc", ""};
  const std::array<std::byte, 3> bytes = {std::byte{1}, std::byte{2}, std::byte{3}};
  const std::array<double, 2> doubles = {1, 2};
  const Bytes message = written<everything::Everything>({.bytes = bytes, .doubles = doubles, .words = strings});
  const auto* read = stubs::root<everything::Everything>(message.view());
  EXPECT_EQ(read->bytes()->Get(2), 3);
  EXPECT_EQ(read->doubles()->Get(1), 2);
  EXPECT_EQ(read->words()->Get(1)->str(), "bc");
  const Bytes text = written<everything::Everything>({.bytes = std::string_view("xyz"), .words = {"one", "two"}});
  EXPECT_EQ(stubs::root<everything::Everything>(text.view())->bytes()->size(), 3u);
  EXPECT_EQ(stubs::root<everything::Everything>(text.view())->words()->Get(1)->str(), "two");
}

TEST(Messages, that_do_not_fit_are_refused_and_nothing_is_stored) {
  Random random;
  RandomMessages messages(random);
  const auto init = messages.everything();
  const std::uint32_t bytes = stubs::size<everything::Everything>(init);
  for (std::uint32_t room = 0; room != bytes; ++room) {
    Bytes place(std::vector<std::byte>(room, std::byte{0xcd}));
    ASSERT_EQ(stubs::write<everything::Everything>(place.span(), init), 0u);
    ASSERT_TRUE(std::ranges::all_of(place.view(), [](std::byte b) { return b == std::byte{0xcd}; }));
  }
  Bytes place(std::vector<std::byte>(bytes, std::byte{0xcd}));
  EXPECT_EQ(stubs::write<everything::Everything>(place.span(), init), bytes);
}

TEST(Messages, that_break_a_cap_have_no_size) {
  EXPECT_NE(stubs::size<everything::Everything>({.text = std::string(40, 'x')}), 0u);
  EXPECT_EQ(stubs::size<everything::Everything>({.text = std::string(41, 'x')}), 0u);
  EXPECT_EQ(stubs::size<everything::Everything>({.shorts = std::vector<std::int16_t>(10)}), 0u);
  EXPECT_EQ(stubs::size<desk::Book>({.asks = std::vector<desk::Level>(65)}), 0u);
}

TEST(Messages, bounds_follow_from_caps) {
  const std::vector<desk::Level> full(64);
  const std::string note(64, 'n');
  EXPECT_EQ(Schema<desk::Book>::kBound, stubs::size<desk::Book>({.bids = full, .asks = full, .note = note}));
  EXPECT_EQ(Schema<desk::Order>::kBound, 56u);
  EXPECT_EQ(Schema<greeter::HelloRequest>::kBound, 0u);
}

TEST(Messages, kept_ones_outlive_what_they_were_made_of) {
  Message<desk::Book> kept;
  EXPECT_FALSE(kept);
  {
    const Bytes bytes = written<desk::Book>({.seq = 4, .bids = {{100, 5}}, .note = "open"});
    kept = keep(*stubs::root<desk::Book>(bytes.view()));
  }
  const Message<desk::Book> moved = std::move(kept);
  EXPECT_EQ(moved->seq(), 4u);
  EXPECT_EQ(moved->bids()->Get(0)->price(), 100);
  EXPECT_EQ(moved->note()->str(), "open");
}

TEST(Messages, kept_nested_tables_become_messages_of_their_own) {
  const everything::LeafInit leaves[] = {{.text = "first"}, {.text = "second", .sixteen = {1, 2}}};
  const Bytes bytes = written<everything::Everything>({.leaves = leaves});
  const auto kept = keep(*stubs::root<everything::Everything>(bytes.view())->leaves()->Get(1));
  EXPECT_TRUE(compares<everything::Leaf>(kept.bytes()));
  EXPECT_EQ(kept->text()->str(), "second");
  EXPECT_EQ(kept->sixteen()->high(), 2u);
}

}  // namespace
}  // namespace taut::testing
