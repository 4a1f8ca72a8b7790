#include "taut/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <sstream>
#include <string>

namespace taut {
namespace {

TEST(result, holds_a_value_that_can_only_be_moved) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  ASSERT_TRUE(result);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 7);
}

TEST(result, without_a_value_works_or_says_why) {
  EXPECT_TRUE(Result<void>().ok());
  const Result<void> refused(make_error(Code::not_found, 0, "start it", "no server called %s", "greeter"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::not_found);
}

TEST(result_death, asking_a_refusal_for_its_value_stops_the_process) {
  Result<int> refused(make_error(Code::internal, 0, "", "no"));
  EXPECT_DEATH((void)*refused, "assertion failed");
}

TEST(error, names_the_errno_and_its_meaning) {
  const Error error = make_error(Code::permission_denied, EACCES, "run as its owner", "cannot open %s", "/x");
  EXPECT_EQ(error.os_errno(), EACCES);
  EXPECT_EQ(error.what(), "cannot open /x: EACCES (Permission denied)");
}

TEST(error, prints_the_hint_behind_the_sentence_and_nothing_when_there_is_none) {
  std::ostringstream with, without;
  with << make_error(Code::not_found, 0, "start it", "no server");
  without << make_error(Code::not_found, 0, {}, "no server");
  EXPECT_EQ(with.str(), "no server; start it");
  EXPECT_EQ(without.str(), "no server");
}

TEST(error, cuts_what_is_too_long_and_lives_on) {
  const std::string text(2000, 'x');
  const Error error = make_error(Code::internal, ENOMEM, text, "%s", text.c_str());
  EXPECT_LT(error.what().size(), text.size());
  EXPECT_EQ(error.what().find_first_not_of('x'), std::string_view::npos);
  EXPECT_LT(error.hint().size(), text.size());
}

TEST(error, survives_an_errno_that_has_no_name) {
  EXPECT_EQ(make_error(Code::internal, 9999, "", "odd").what(), "odd: errno (unknown)");
}

}  // namespace
}  // namespace taut
