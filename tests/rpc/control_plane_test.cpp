#include "taut/rpc/control_plane.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "support/process.h"
#include "taut/memory/descriptor.h"

namespace taut::rpc {
namespace {

using namespace std::chrono_literals;
using memory::Descriptor;

struct TestSource final : ControlPlane::Source {
  std::function<void(int)> ready = [](int) {};
  std::function<void()> time = [] {};
  std::function<void()> gone = [] {};
  int readies = 0, times = 0;
  ~TestSource() override { gone(); }
  void on_ready(int fd, std::uint32_t) override { ++readies, ready(fd); }
  void on_time() override { ++times, time(); }
};

Descriptor readable() { return Descriptor(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); }
std::unique_ptr<ControlPlane> make() {
  auto made = ControlPlane::create();
  EXPECT_TRUE(made) << made.error();
  return *std::move(made);
}

TEST(control_plane, tells_a_source_as_long_as_its_descriptor_is_ready) {
  auto control = make();
  const Descriptor fd = readable();
  TestSource source;
  ASSERT_TRUE(control->add(fd.get(), EPOLLIN, source));
  EXPECT_EQ(control->poll(0ns), 1);
  EXPECT_EQ(control->poll(0ns), 1);
  control->remove(fd.get());
  EXPECT_EQ(control->poll(0ns), 0);
  EXPECT_EQ(source.readies, 2);
}

TEST(control_plane, lets_a_source_remove_another_that_is_ready_too) {
  auto control = make();
  const Descriptor fds[] = {readable(), readable()};
  TestSource sources[2];
  for (int i : {0, 1}) {
    ASSERT_TRUE(control->add(fds[i].get(), EPOLLIN, sources[i]));
    sources[i].ready = [&, i](int) { control->remove(fds[1 - i].get()); };
  }
  EXPECT_EQ(control->poll(0ns), 1);
}

TEST(control_plane, does_not_take_a_new_descriptor_for_an_old_one_of_its_number) {
  auto control = make();
  Descriptor first = readable(), second = readable();
  TestSource opener, closed, opened;
  opener.ready = [&](int) {
    if (!second) return;
    const int number = second.get();
    control->remove(number);
    second.reset();
    const Descriptor moved(fcntl(first.get(), F_DUPFD_CLOEXEC, number));
    ASSERT_EQ(moved.get(), number);
    ASSERT_TRUE(control->add(number, EPOLLIN, opened));
    control->remove(number);
  };
  closed.ready = [&](int) { ADD_FAILURE() << "told of a descriptor that was removed"; };
  opened.ready = [&](int) { ADD_FAILURE() << "told of an event of the descriptor before it"; };
  ASSERT_TRUE(control->add(first.get(), EPOLLIN, opener));
  ASSERT_TRUE(control->add(second.get(), EPOLLIN, closed));
  control->poll(0ns);
  EXPECT_EQ(opener.readies, 1);
}

TEST(control_plane, keeps_time) {
  auto control = make();
  TestSource source;
  const auto begin = std::chrono::steady_clock::now();
  control->call_at(begin + 5ms, source);
  while (source.times == 0) control->poll(10s);  // wakes for the timer, not for the ten seconds
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 5ms);
  EXPECT_LT(std::chrono::steady_clock::now(), begin + 9s);
  control->poll(0ns);
  EXPECT_EQ(source.times, 1) << "once";
}

TEST(control_plane, replaces_and_forgets_times) {
  auto control = make();
  TestSource replaced, forgotten;
  control->call_at(std::chrono::steady_clock::now() + 1h, replaced);
  control->call_at(std::chrono::steady_clock::now(), replaced);
  control->call_at(std::chrono::steady_clock::now(), forgotten);
  control->forget(forgotten);
  control->poll(0ns);
  EXPECT_EQ(replaced.times, 1);
  EXPECT_EQ(forgotten.times, 0);
}

TEST(control_plane, runs_a_timer_that_sets_itself_again_once_a_poll) {
  auto control = make();
  TestSource source;
  source.time = [&] { control->call_at(std::chrono::steady_clock::time_point::min(), source); };
  control->call_at(std::chrono::steady_clock::now(), source);
  control->poll(0ns);
  EXPECT_EQ(source.times, 1);
  control->poll(0ns);
  EXPECT_EQ(source.times, 2);
}

TEST(control_plane, destroys_what_it_owns_behind_the_poll_that_runs) {
  auto control = make();
  const Descriptor fd = readable();
  bool gone = false;
  auto own = std::make_unique<TestSource>();
  own->gone = [&] { gone = true; };
  own->ready = [&, source = own.get()](int number) {
    control->remove(number);
    control->dismiss(*source);
    EXPECT_FALSE(gone) << "its function runs";
  };
  ASSERT_TRUE(control->add(fd.get(), EPOLLIN, *own));
  control->adopt(std::move(own));
  control->poll(0ns);
  EXPECT_TRUE(gone);

  bool other_gone = false;
  auto other = std::make_unique<TestSource>();
  other->gone = [&] { other_gone = true; };
  control->adopt(std::move(other));
  control.reset();
  EXPECT_TRUE(other_gone);
}

TEST(control_plane, is_woken_and_stopped_from_another_thread) {
  auto control = make();
  std::thread runner([&] { control->run(); });
  control->stop();
  runner.join();
}

// Parent and child share one set of watched descriptors.
TEST(control_plane, of_a_parent_is_out_of_reach_of_a_child_that_only_ends) {
  auto control = make();
  const Descriptor fd = readable();
  TestSource source;
  ASSERT_TRUE(control->add(fd.get(), EPOLLIN, source));
  taut::testing::Child child([&](taut::testing::Talk&) {
    if (!control->forked()) return 1;
    control->remove(fd.get());
    control.reset();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_FALSE(control->forked());
  EXPECT_EQ(control->poll(0ns), 1) << "still watched";
}

TEST(control_plane, goes_on_in_a_child_that_polls) {
  auto control = make();
  const Descriptor fd = readable();
  TestSource source;
  ASSERT_TRUE(control->add(fd.get(), EPOLLIN, source));
  taut::testing::Child child([&](taut::testing::Talk&) {
    if (control->poll(0ns) != 1 || control->forked()) return 1;
    control->remove(fd.get());
    return control->poll(0ns) == 0 ? 0 : 2;
  });
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace taut::rpc
