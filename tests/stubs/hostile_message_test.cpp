// Messages from a peer that errs or lies. Run under the address and undefined-behaviour sanitizers, these tests say
// that no check and no reader behind it looks outside of the message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "greeter.taut.h"
#include "message_bytes.h"
#include "orders.taut.h"
#include "random_messages.h"

namespace taut::testing {
namespace {

using ::testing::HasSubstr;

// Whatever passed a check can be read to the last byte, by our copy as by FlatBuffers' accessors.
template <class T>
void read_all(std::span<const std::byte> message) {
  const auto kept = keep(*stubs::root<T>(message));
  ASSERT_TRUE(stubs::check<T>(kept.bytes()));
}

// The check accepts nothing that the verifier refuses; and where it refuses more, it says why.
template <class T>
void expect_agreement(std::span<const std::byte> message) {
  const bool verified = message.size() < (1u << 30) && stock_verifies<T>(message);
  const bool checked = stubs::check<T>(message);
  ASSERT_TRUE(verified || !checked);
  ASSERT_EQ(checked, stubs::check_any_layout<T>(message)) << "comparing and walking differ";
  if (checked) return read_all<T>(message);
  const std::string why = reason<T>(message);
  ASSERT_NE(why, "");
  if (!verified) return;
  // Enums, caps and the alignment of vector elements are ours alone, and nested offsets that point at themselves.
  const bool known = why.find("enum '") != std::string::npos || why.find("more than its cap") != std::string::npos ||
                     why.find("is not aligned") != std::string::npos || why.find("too often") != std::string::npos ||
                     why.find("points outside") != std::string::npos;
  ASSERT_TRUE(known) << why;
}

template <class T>
void expect_flips_are_safe(std::span<const std::byte> valid) {
  Bytes bytes(valid);
  for (std::size_t at = 0; at != valid.size(); ++at) {
    const std::byte original = bytes.span()[at];
    for (const unsigned change : {0x01u, 0x04u, 0x80u, 0xffu}) {
      bytes.span()[at] = original ^ std::byte{static_cast<unsigned char>(change)};
      expect_agreement<T>(bytes.view());
      if (::testing::Test::HasFatalFailure()) return;
    }
    bytes.span()[at] = original;
  }
}

template <class T>
void expect_truncations_are_safe(std::span<const std::byte> valid) {
  for (std::size_t size = 0; size != valid.size(); ++size) {
    const Bytes bytes(valid.first(size));
    expect_agreement<T>(bytes.view());
    if (::testing::Test::HasFatalFailure()) return;
  }
}

template <class T>
void expect_wild_bytes_are_safe(std::span<const std::byte> valid, Random& random) {
  for (int i = 0; i != 300; ++i) {
    Bytes bytes(valid);
    for (std::uint64_t changes = 1 + random.below(4); changes != 0; --changes) {
      const std::size_t at = random.below(valid.size() / 4) * 4;
      const std::uint32_t value = random.one_in(2) ? static_cast<std::uint32_t>(random.below(valid.size() + 8))
                                                   : static_cast<std::uint32_t>(random.word());
      if (at + 4 <= valid.size()) std::memcpy(bytes.span().data() + at, &value, 4);
    }
    expect_agreement<T>(bytes.view());
    if (::testing::Test::HasFatalFailure()) return;
  }
}

template <class T>
void expect_all_safe(const typename Schema<T>::Init& init, Random& random) {
  const Bytes ours = written<T>(init);
  StockBuilder builder;
  const Bytes stock(builder.finish(builder.add(init)));
  for (const Bytes* bytes : {&ours, &stock}) {
    expect_flips_are_safe<T>(bytes->view());
    expect_truncations_are_safe<T>(bytes->view());
    expect_wild_bytes_are_safe<T>(bytes->view(), random);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(HostileMessages, one_changed_byte_is_never_read_outside) {
  Random random;
  for (int i = 0; i != 4; ++i) {
    RandomMessages messages(random);
    expect_all_safe<everything::Scalars>(messages.scalars(), random);
    expect_all_safe<everything::Nullable>(messages.nullable(), random);
    expect_all_safe<everything::Leaf>(messages.leaf(), random);
    expect_all_safe<everything::Tree>(messages.tree(), random);
    expect_all_safe<everything::Everything>(messages.everything(), random);
    if (HasFatalFailure()) return;
  }
}

TEST(HostileMessages, an_absent_required_field_is_named) {
  flatbuffers::FlatBufferBuilder fbb;
  const auto start = fbb.StartTable();
  fbb.Finish(flatbuffers::Offset<greeter::HelloRequest>(fbb.EndTable(start)));
  const Bytes bytes(std::as_bytes(std::span(fbb.GetBufferPointer(), fbb.GetSize())));
  EXPECT_FALSE(stubs::check<greeter::HelloRequest>(bytes.view()));
  EXPECT_EQ(reason<greeter::HelloRequest>(bytes.view()), "field 'name' is missing");
}

TEST(HostileMessages, an_enum_out_of_range_is_named_in_every_place) {
  const auto wrong = static_cast<desk::Side>(7);
  const Bytes order = written<desk::Order>({.side = wrong});
  EXPECT_FALSE(stubs::check<desk::Order>(order.view()));
  EXPECT_EQ(reason<desk::Order>(order.view()), "enum 'side' holds 7, which desk.Side does not have");

  const auto red = static_cast<everything::Colour>(9);
  const auto refused = [](const everything::EverythingInit& init) {
    const Bytes bytes = written<everything::Everything>(init);
    EXPECT_FALSE(stubs::check<everything::Everything>(bytes.view()));
    return reason<everything::Everything>(bytes.view());
  };
  EXPECT_EQ(refused({.scalars = {.colour = red}}),
            "enum 'scalars.colour' holds 9, which everything.Colour does not have");
  EXPECT_EQ(refused({.scalars = {.grade = static_cast<everything::Grade>(-3)}}),
            "enum 'scalars.grade' holds -3, which everything.Grade does not have");
  EXPECT_EQ(refused({.scalars = {.sparse = static_cast<everything::Sparse>(2)}}),
            "enum 'scalars.sparse' holds 2, which everything.Sparse does not have");
  EXPECT_EQ(refused({.scalars = {.rights = static_cast<everything::Rights>(9)}}),
            "enum 'scalars.rights' holds 9, which everything.Rights does not have");
  EXPECT_EQ(refused({.colours = {everything::Colour::red, red}}),
            "enum 'colours[1]' holds 9, which everything.Colour does not have");
  const everything::Colour colours[3] = {};
  const everything::Inner pair[2] = {};
  const everything::Outer outer({red, 0}, flatbuffers::make_span(colours), flatbuffers::make_span(pair), 0);
  EXPECT_EQ(refused({.outer = outer}), "enum 'outer.inner.colour' holds 9, which everything.Colour does not have");
  EXPECT_EQ(refused({.outers = {everything::Outer(), outer}}),
            "enum 'outers[1].inner.colour' holds 9, which everything.Colour does not have");
}

TEST(HostileMessages, the_stock_builder_does_not_get_around_caps) {
  flatbuffers::FlatBufferBuilder fbb;
  const std::vector<desk::Level> levels(65);
  fbb.Finish(desk::CreateBook(fbb, 1, fbb.CreateVectorOfStructs(levels)));
  const Bytes bytes(std::as_bytes(std::span(fbb.GetBufferPointer(), fbb.GetSize())));
  EXPECT_FALSE(stubs::check<desk::Book>(bytes.view()));
  EXPECT_EQ(reason<desk::Book>(bytes.view()), "field 'bids' holds 65, more than its cap 64");
}

TEST(HostileMessages, nesting_ends_somewhere) {
  // The innermost first: each node is a table with one child.
  flatbuffers::FlatBufferBuilder fbb;
  auto node = everything::CreateTree(fbb, 1);
  for (std::uint32_t depth = 1; depth != stubs::kDepthMax; ++depth)
    node = everything::CreateTree(fbb, 1, fbb.CreateVector(&node, 1));
  const auto deepest = node;
  fbb.Finish(deepest);
  EXPECT_TRUE(stubs::check<everything::Tree>(std::as_bytes(std::span(fbb.GetBufferPointer(), fbb.GetSize()))));

  flatbuffers::FlatBufferBuilder deeper;
  node = everything::CreateTree(deeper, 1);
  for (std::uint32_t depth = 0; depth != stubs::kDepthMax; ++depth) {
    node = everything::CreateTree(deeper, 1, deeper.CreateVector(&node, 1));
  }
  deeper.Finish(node);
  const auto bytes = std::as_bytes(std::span(deeper.GetBufferPointer(), deeper.GetSize()));
  EXPECT_FALSE(stubs::check<everything::Tree>(bytes));
  EXPECT_THAT(reason<everything::Tree>(bytes), HasSubstr("nests too deep"));
}

TEST(HostileMessages, that_reach_the_same_bytes_over_and_over_are_refused) {
  // 2^40 nodes in a few hundred bytes: each level holds the level below twice.
  flatbuffers::FlatBufferBuilder fbb;
  auto node = everything::CreateTree(fbb, 1);
  for (int level = 0; level != 40; ++level) {
    const flatbuffers::Offset<everything::Tree> twice[] = {node, node};
    node = everything::CreateTree(fbb, 1, fbb.CreateVector(twice, 2));
  }
  fbb.Finish(node);
  const auto bytes = std::as_bytes(std::span(fbb.GetBufferPointer(), fbb.GetSize()));
  EXPECT_FALSE(stubs::check<everything::Tree>(bytes));
  EXPECT_THAT(reason<everything::Tree>(bytes), HasSubstr("reaches the same bytes too often"));
}

TEST(HostileMessages, strings_without_their_zero_are_refused) {
  Bytes bytes = written<greeter::HelloRequest>({.name = "World"});
  const auto end =
      std::string_view(reinterpret_cast<const char*>(bytes.view().data()), bytes.view().size()).find("World") + 5;
  bytes.span()[end] = std::byte{'!'};
  EXPECT_FALSE(stubs::check<greeter::HelloRequest>(bytes.view()));
  EXPECT_EQ(reason<greeter::HelloRequest>(bytes.view()), "field 'name' does not end with a zero");
}

TEST(HostileMessages, nothing_and_noise_are_no_messages) {
  EXPECT_FALSE(stubs::check<desk::Order>({}));
  EXPECT_EQ(reason<desk::Order>({}), "the message is shorter than any message");
  const Bytes zeros(std::vector<std::byte>(64, std::byte{0}));
  EXPECT_FALSE(stubs::check<desk::Order>(zeros.view()));
  EXPECT_EQ(reason<desk::Order>(zeros.view()), "the message points outside of the message");
}

}  // namespace
}  // namespace taut::testing
