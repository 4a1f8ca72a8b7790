// The claim form: messages filled in the record itself, in any order, in room of any size.
#include <gtest/gtest.h>

#include <algorithm>

#include "everything.taut.h"
#include "message_bytes.h"
#include "orders.taut.h"

namespace taut::testing {
namespace {

using Book = Schema<desk::Book>::Setters;
using Everything = Schema<everything::Everything>::Setters;

TEST(Setters, fill_a_message_that_passes_its_check) {
  Bytes room(std::vector<std::byte>(256, std::byte{0xcd}));
  Book book(room.span().data(), 256);
  book.note("open");  // not in the order of the schema
  book.seq(9);
  auto bids = book.bids(2);
  ASSERT_EQ(bids.size(), 2u);
  bids[0] = desk::Level(100, 5);
  bids[1] = desk::Level(99, 7);
  const std::uint32_t bytes = book.finish();
  ASSERT_NE(bytes, 0u);

  const auto message = room.view().first(bytes);
  ASSERT_TRUE(stock_verifies<desk::Book>(message));
  ASSERT_TRUE(stubs::check<desk::Book>(message)) << reason<desk::Book>(message);
  const auto* read = stubs::root<desk::Book>(message);
  EXPECT_EQ(read->seq(), 9u);
  EXPECT_EQ(read->bids()->Get(1)->quantity(), 7u);
  EXPECT_EQ(read->note()->str(), "open");
  EXPECT_EQ(read->asks(), nullptr);
}

TEST(Setters, called_in_the_order_of_the_schema_pass_by_comparison) {
  Bytes room(std::vector<std::byte>(256, std::byte{0xcd}));
  Book book(room.span().data(), 256);
  book.bids(3)[0] = desk::Level(1, 1);
  book.asks(1)[0] = desk::Level(2, 2);
  book.note("n");
  EXPECT_TRUE(compares<desk::Book>(room.view().first(book.finish())));
}

TEST(Setters, what_is_not_set_has_its_default_or_is_absent_and_required_parts_are_empty) {
  Bytes room(std::vector<std::byte>(512, std::byte{0xcd}));
  Everything setters(room.span().data(), 512);
  const auto message = room.view().first(setters.finish());
  ASSERT_TRUE(stubs::check<everything::Everything>(message)) << reason<everything::Everything>(message);
  const auto* read = stubs::root<everything::Everything>(message);
  EXPECT_EQ(read->scalars()->i8(), -3);
  EXPECT_EQ(read->text()->str(), "");
  EXPECT_EQ(read->leaves()->size(), 0u);
  EXPECT_EQ(read->nullable(), nullptr);
  EXPECT_EQ(read->words(), nullptr);
}

TEST(Setters, take_every_kind_of_field) {
  Bytes room(std::vector<std::byte>(1024, std::byte{0xcd}));
  Everything setters(room.span().data(), 1024);
  setters.scalars({.i8 = 4});
  setters.nullable({.u64 = 12});
  setters.flags(2)[1] = true;
  setters.words({"one", "two"});
  setters.leaf({.text = "leaf"});
  setters.leaves({{.text = "a"}, {.text = "b"}});
  setters.maybe_outer(everything::Outer());
  setters.number(77);
  std::ranges::fill(setters.doubles(3), 2.5);
  std::ranges::fill(setters.flags(2), true);  // again: the last one counts
  const auto message = room.view().first(setters.finish());
  ASSERT_TRUE(stubs::check<everything::Everything>(message)) << reason<everything::Everything>(message);
  const auto* read = stubs::root<everything::Everything>(message);
  EXPECT_EQ(read->scalars()->i8(), 4);
  EXPECT_EQ(*read->nullable()->u64(), 12u);
  EXPECT_EQ(read->flags()->Get(0), 1);
  EXPECT_EQ(read->words()->Get(1)->str(), "two");
  EXPECT_EQ(read->leaves()->Get(1)->text()->str(), "b");
  EXPECT_EQ(read->doubles()->Get(2), 2.5);
  EXPECT_NE(read->maybe_outer(), nullptr);
  EXPECT_EQ(read->number(), 77u);
}

TEST(Setters, running_past_the_room_is_remembered_and_nothing_is_stored_behind_it) {
  const std::string note(20, 'x');
  const std::uint32_t needed = stubs::size<desk::Book>({.bids = {{1, 1}, {2, 2}}, .note = note});
  for (std::uint32_t room = 0; room != needed; ++room) {
    Bytes place(std::vector<std::byte>(room, std::byte{0xcd}));  // the sanitizer watches its end
    Book book(place.span().data(), room);
    auto bids = book.bids(2);
    std::ranges::fill(bids, desk::Level(3, 3));
    book.note(note);
    book.seq(1);
    EXPECT_FALSE(book.fits());
    EXPECT_EQ(book.finish(), 0u);
  }
}

TEST(Setters, a_broken_cap_or_an_absurd_count_does_not_fit) {
  Bytes room(std::vector<std::byte>(4096, std::byte{0}));
  Book capped(room.span().data(), 4096);
  EXPECT_TRUE(capped.bids(65).empty());
  EXPECT_EQ(capped.finish(), 0u);
  Everything absurd(room.span().data(), 4096);
  EXPECT_TRUE(absurd.doubles(~std::size_t{0} / 8).empty());
  EXPECT_EQ(absurd.finish(), 0u);
  Book nowhere(nullptr, 0);
  nowhere.seq(1);
  EXPECT_TRUE(nowhere.bids(1).empty());
  EXPECT_EQ(nowhere.finish(), 0u);
}

}  // namespace
}  // namespace taut::testing
