#include "taut/base/status.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

namespace taut {
namespace {

TEST(status, is_fine_unless_somebody_says_otherwise) {
  const Status status{};
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.why(), Why::none);
  EXPECT_EQ(status.text(), "");
}

TEST(status, is_safe_to_retry_only_when_the_handler_did_not_run) {
  EXPECT_TRUE(Status(Code::unavailable, Ran::no, Why::not_connected).safe_to_retry());
  EXPECT_FALSE(Status(Code::unavailable, Ran::maybe, Why::peer_died).safe_to_retry());
  EXPECT_FALSE(Status(Code::aborted, Ran::yes, Why::reply_dropped).safe_to_retry());
  EXPECT_FALSE(Status().safe_to_retry()) << "a call that worked needs no second attempt";
}

TEST(status, cuts_a_text_that_is_too_long) {
  const std::string text(kStatusTextMax + 1, 'x');
  EXPECT_EQ(Status(Code::internal, Ran::yes, Why::none, text).text(), text.substr(0, kStatusTextMax));
}

TEST(status, keeps_its_text_when_copied_and_when_assigned_to_itself) {
  Status status(Code::not_found, Ran::no, Why::not_connected, "no server");
  Status copy = status;
  Status& same = status;
  status = same;
  EXPECT_EQ(copy.text(), "no server");
  EXPECT_EQ(status.text(), "no server");
}

TEST(status, forgets_the_old_text_when_a_shorter_one_is_set) {
  Status status(Code::internal, Ran::yes, Why::none, "a long sentence");
  status.set_text("short");
  EXPECT_EQ(status.text(), "short");
  status.set_text({});
  EXPECT_EQ(status.text(), "");
}

TEST(status, prints_code_ran_why_and_text) {
  std::ostringstream out;
  out << Status(Code::unavailable, Ran::maybe, Why::peer_died, "greeter is gone");
  EXPECT_EQ(out.str(), "unavailable (ran: maybe, why: peer_died): greeter is gone");
}

// Names stand in logs and in the tool's output: a value without one, or two with the same, would mislead.
TEST(status, every_code_has_a_name_of_its_own) {
  std::set<std::string_view> names;
  for (unsigned code = 0; code < kCodeCount; ++code) names.insert(to_text(static_cast<Code>(code)));
  EXPECT_EQ(names.size(), kCodeCount);
  EXPECT_EQ(names.count(""), 0u);
}

TEST(status, every_why_has_a_name_of_its_own) {
  constexpr auto count = static_cast<unsigned>(Why::count_);
  std::set<std::string_view> names;
  for (unsigned why = 0; why < count; ++why) names.insert(to_text(static_cast<Why>(why)));
  EXPECT_EQ(names.size(), count);
  EXPECT_EQ(names.count(""), 0u);
}

TEST(status, a_value_from_the_wire_that_is_out_of_range_still_prints) {
  EXPECT_EQ(to_text(static_cast<Code>(200)), "(out of range)");
  EXPECT_EQ(to_text(static_cast<Ran>(3)), "(out of range)");
  EXPECT_EQ(to_text(Why::count_), "(out of range)");
}

}  // namespace
}  // namespace taut
