// The pages that are shared beside links: boards, control pages, and the word that notices fork().
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "support/process.h"
#include "taut/memory/board.h"
#include "taut/memory/control_page.h"
#include "taut/memory/copy.h"
#include "taut/memory/fork_guard.h"

namespace taut::memory {
namespace {

using taut::testing::Child;
using taut::testing::Talk;
using ::testing::HasSubstr;

Descriptor copy_of(int fd) { return Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

TEST(board, shows_its_state_to_peers_who_cannot_write_it) {
  auto board = Board::create(2);
  ASSERT_TRUE(board) << board.error();
  auto peer = PeerBoard::open(copy_of(board->fd()), "the peer's board");
  ASSERT_TRUE(peer) << peer.error();
  EXPECT_EQ(peer->state()->load(), 2u);
  board->state().store(1);
  EXPECT_EQ(peer->state()->load(), 1u);
  EXPECT_EQ(mmap(nullptr, kSegmentStep, PROT_READ | PROT_WRITE, MAP_SHARED, board->fd(), 0), MAP_FAILED);
}

TEST(board, is_kept_by_a_server_that_goes_into_the_background) {
  auto board = Board::create(0);
  ASSERT_TRUE(board);
  Child child([&](Talk&) { return board->state().store(5), 0; });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(board->state().load(), 5u);
}

TEST(control_page, tells_clients_who_halted_and_why) {
  auto page = ControlPage::create("taut:test:control");
  ASSERT_TRUE(page) << page.error();
  auto fd = page->open_read_only();
  ASSERT_TRUE(fd) << fd.error();
  auto client = PeerControlPage::open(*std::move(fd), "the server's control page");
  ASSERT_TRUE(client) << client.error();
  EXPECT_EQ(client->words()->halt.load(), 0u);
  page->halt("fat finger");
  EXPECT_NE(client->words()->halt.load(), 0u);
  EXPECT_EQ(client->words()->set_by_pid, static_cast<std::uint64_t>(getpid()));
  EXPECT_STREQ(client->words()->why, "fat finger");
  page->resume();
  EXPECT_EQ(client->words()->halt.load(), 0u);
}

TEST(control_page, cannot_be_written_through_a_clients_descriptor) {
  auto page = ControlPage::create("taut:test:control");
  ASSERT_TRUE(page);
  auto fd = page->open_read_only();
  ASSERT_TRUE(fd);
  EXPECT_EQ(mmap(nullptr, kSegmentStep, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0), MAP_FAILED);
  EXPECT_EQ(pwrite(fd->get(), "x", 1, 0), -1);
  EXPECT_EQ(ftruncate(fd->get(), 0), -1);
  EXPECT_EQ(fcntl(fd->get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  void* readable = mmap(nullptr, kSegmentStep, PROT_READ, MAP_SHARED, fd->get(), 0);
  ASSERT_NE(readable, MAP_FAILED);
  EXPECT_EQ(mprotect(readable, kSegmentStep, PROT_READ | PROT_WRITE), -1);
  munmap(readable, kSegmentStep);
}

TEST(control_page, cannot_be_opened_again_for_writing_by_another_user) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  auto page = ControlPage::create("taut:test:control");
  ASSERT_TRUE(page);
  auto fd = page->open_read_only();
  ASSERT_TRUE(fd);
  struct stat status {};
  ASSERT_EQ(fstat(page->fd(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  Child other([&](Talk&) {
    // Becoming another user makes a process undumpable, and its /proc/self/fd root's: open it up, as a real client's
    // is.
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return 1;
    prctl(PR_SET_DUMPABLE, 1);
    const std::string path = "/proc/self/fd/" + std::to_string(fd->get());
    if (open(path.c_str(), O_RDWR) >= 0) return 2;
    return errno == EACCES ? 0 : 3;
  });
  EXPECT_EQ(other.wait(), 0);
}

TEST(control_page, can_be_written_by_a_tool_of_the_same_user) {
  auto page = ControlPage::create("taut:test:control");
  ASSERT_TRUE(page);
  Child tool([&](Talk&) {
    const std::string path = "/proc/" + std::to_string(getppid()) + "/fd/" + std::to_string(page->fd());
    auto found = ControlPage::adopt(Descriptor(open(path.c_str(), O_RDWR | O_CLOEXEC)));
    if (!found) return 1;
    found->halt("from outside");
    return 0;
  });
  EXPECT_EQ(tool.wait(), 0);
  EXPECT_NE(page->words().halt.load(), 0u);
}

TEST(control_page, that_a_client_could_write_or_that_could_vanish_is_refused) {
  auto page = ControlPage::create("taut:test:control");
  ASSERT_TRUE(page);
  auto writable = PeerControlPage::open(copy_of(page->fd()), "the server's control page");
  ASSERT_FALSE(writable);
  EXPECT_THAT(std::string(writable.error().what()), HasSubstr("with the right to write it"));

  auto unsealed = create_memory_file("forged", kSegmentStep);
  ASSERT_TRUE(unsealed);
  const std::string path = "/proc/self/fd/" + std::to_string(unsealed->get());
  auto refused =
      PeerControlPage::open(Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)), "the server's control page");
  ASSERT_FALSE(refused);
  EXPECT_THAT(std::string(refused.error().what()), HasSubstr("needed are SHRINK|GROW"));
}

TEST(fork_guard, tells_a_child_from_its_parent) {
  auto guard = ForkGuard::create();
  ASSERT_TRUE(guard) << guard.error();
  EXPECT_FALSE(guard->forked());
  Child child([&](Talk&) {
    if (!guard->forked()) return 1;
    guard->take_over();
    return guard->forked() ? 2 : 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_FALSE(guard->forked());
}

TEST(opaque_copy, copies_every_size) {
  std::vector<unsigned char> from(5000), to(5000);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<unsigned char>(i * 7 + 1);
  for (const std::size_t bytes : {0, 1, 8, 48, 63, 64, 65, 128, 192, 256, 257, 320, 4096, 4999}) {
    std::fill(to.begin(), to.end(), 0);
    opaque_copy(to.data(), from.data(), bytes);
    EXPECT_TRUE(std::equal(from.begin(), from.begin() + static_cast<long>(bytes), to.begin())) << bytes;
    EXPECT_EQ(to[bytes], 0) << bytes << ": wrote behind its end";
  }
}

}  // namespace
}  // namespace taut::memory
