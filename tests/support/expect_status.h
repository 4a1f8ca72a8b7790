// One line for all that a failed call says: code, ran, why, and a part of the text.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "taut/base/status.h"

#define EXPECT_STATUS(status, a_code, a_ran, a_why, a_text)              \
  do {                                                                   \
    const taut::Status seen = (status);                                  \
    EXPECT_EQ(seen.code(), taut::Code::a_code) << seen;                  \
    EXPECT_EQ(seen.ran(), taut::Ran::a_ran) << seen;                     \
    EXPECT_EQ(seen.why(), taut::Why::a_why) << seen;                     \
    EXPECT_THAT(std::string(seen.text()), ::testing::HasSubstr(a_text)); \
  } while (false)
