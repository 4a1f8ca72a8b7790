#include "taut/base/thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace taut {
namespace {

TEST(thread, two_living_threads_differ_and_one_stays_the_same) {
  const ThreadId here = this_thread();
  ThreadId there = nullptr;
  std::thread([&] { there = this_thread(); }).join();
  EXPECT_EQ(here, this_thread());
  EXPECT_NE(here, there);
}

TEST(thread, a_description_holds_the_kernels_number) {
  EXPECT_THAT(describe_this_thread(), testing::HasSubstr(std::to_string(gettid())));
}

}  // namespace
}  // namespace taut
