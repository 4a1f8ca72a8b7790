#include "taut/memory/segment.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/forged_file.h"
#include "support/process.h"
#include "taut/memory/kernel.h"

namespace taut::memory {
namespace {

using taut::testing::Child;
using taut::testing::forged;
using taut::testing::kGoodSeals;
using taut::testing::Talk;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::size_t kBytes = 4 * kSegmentStep;

Descriptor copy_of(int fd) { return Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

std::string refusal(Descriptor fd, std::size_t bytes = kBytes) {
  auto opened = open_peer(std::move(fd), bytes, "the peer's segment");
  return opened ? "" : std::string(opened.error().what());
}

// How much this process has mapped.
rlim_t address_space() {
  rlim_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

TEST(segment, shows_its_bytes_to_a_peer) {
  auto own = Segment::create("taut:test:1:server", kBytes);
  ASSERT_TRUE(own) << own.error();
  auto peer = open_peer(copy_of(own->fd()), kBytes, "the peer's segment");
  ASSERT_TRUE(peer) << peer.error();
  own->data()[kBytes - 1] = std::byte{7};
  EXPECT_EQ(peer->data()[kBytes - 1], std::byte{7});
}

TEST(segment, is_named_so_that_tools_find_it) {
  auto own = Segment::create("taut:test:17:server", kBytes);
  ASSERT_TRUE(own);
  char target[128] = "";
  const std::string link = "/proc/self/fd/" + std::to_string(own->fd());
  ASSERT_GT(readlink(link.c_str(), target, sizeof target - 1), 0);
  EXPECT_THAT(target, HasSubstr("taut:test:17:server"));
}

// What a hostile holder of the descriptor tries; in another process, as it would be.
TEST(segment, cannot_be_changed_by_its_peer) {
  auto own = Segment::create("taut:test:1:server", kBytes);
  ASSERT_TRUE(own);
  Child peer([&](Talk&) {
    const int fd = own->fd();
    int failed = 0;
    const auto must_fail = [&](bool worked) { failed += worked ? 1 : 0; };
    must_fail(ftruncate(fd, 0) == 0);
    must_fail(ftruncate(fd, 2 * kBytes) == 0);
    must_fail(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kSegmentStep) == 0);
    must_fail(fallocate(fd, 0, 0, 2 * kBytes) == 0);
    must_fail(pwrite(fd, "x", 1, 0) == 1);
    must_fail(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
    void* readable = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd, 0);
    must_fail(readable == MAP_FAILED);
    must_fail(mprotect(readable, kBytes, PROT_READ | PROT_WRITE) == 0);
    must_fail(madvise(readable, kBytes, MADV_REMOVE) == 0);
    const std::string again = "/proc/self/fd/" + std::to_string(fd);
    const int reopened = open(again.c_str(), O_RDWR | O_CLOEXEC);  // root may; the seals hold all the same
    must_fail(pwrite(reopened, "x", 1, 0) == 1);
    must_fail(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, reopened, 0) != MAP_FAILED);
    must_fail(ftruncate(reopened, 0) == 0);
    must_fail(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    return failed;
  });
  EXPECT_EQ(peer.wait(), 0) << "so many attacks worked";
}

TEST(segment, that_lacks_a_seal_is_refused_with_the_seals_it_has) {
  EXPECT_THAT(refusal(forged(kBytes, kBytes, 0)),
              AllOf(HasSubstr("the peer's segment has the seals none"), HasSubstr("SHRINK|GROW|FUTURE_WRITE")));
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE}) {
    EXPECT_THAT(refusal(forged(kBytes, kBytes, kGoodSeals & ~missing)),
                HasSubstr("needed are SHRINK|GROW|FUTURE_WRITE"));
  }
  EXPECT_EQ(refusal(forged(kBytes, kBytes, kGoodSeals)), "");
  EXPECT_EQ(refusal(forged(kBytes, kBytes, kGoodSeals | F_SEAL_SEAL)), "");
}

TEST(segment, of_another_size_is_refused_with_both_numbers) {
  EXPECT_THAT(refusal(forged(2 * kBytes, 2 * kBytes, kGoodSeals)), HasSubstr("has 32768 bytes; 16384 were agreed"));
  EXPECT_THAT(refusal(forged(kSegmentStep, kSegmentStep, kGoodSeals)), HasSubstr("has 4096 bytes; 16384 were agreed"));
  EXPECT_THAT(refusal(forged(0, 0, kGoodSeals), 0), HasSubstr("has 0 bytes"));
}

TEST(segment, that_is_sparse_is_refused) {
  EXPECT_THAT(refusal(forged(kBytes, kSegmentStep, kGoodSeals)), HasSubstr("is sparse: 4096 of its 16384 bytes exist"));
}

TEST(segment, whose_blocks_lie_behind_its_end_is_refused) {
  // As many blocks as a whole segment has, but not where they are needed.
  Descriptor fd = forged(kBytes, kSegmentStep, 0);
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, kBytes, kBytes), 0);
  ASSERT_EQ(fcntl(fd.get(), F_ADD_SEALS, kGoodSeals), 0);
  EXPECT_THAT(refusal(std::move(fd)), HasSubstr("the first hole is at 4096"));
}

TEST(segment, must_be_a_memory_file) {
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  const Descriptor other_end(pipes[1]);
  EXPECT_THAT(refusal(Descriptor(pipes[0])), HasSubstr("is not a memory file"));
  EXPECT_THAT(refusal(Descriptor(open("/dev/zero", O_RDWR | O_CLOEXEC))), HasSubstr("is not a memory file"));
  EXPECT_THAT(refusal(Descriptor(open("/proc/self/status", O_RDONLY | O_CLOEXEC))), HasSubstr("is not a memory file"));
  Descriptor disk(open(std::filesystem::temp_directory_path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (disk) {
    EXPECT_THAT(refusal(std::move(disk)), HasSubstr("peer's segment"));
  }
}

TEST(segment, over_the_file_size_limit_is_an_error_that_names_bytes_and_limit) {
  Child limited([](Talk&) {
    const rlimit limit{8192, 8192};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto made = Segment::create("taut:test:1:server", 65536);  // must not raise SIGXFSZ
    if (made) return 1;
    const std::string what(made.error().what());
    return what.find("65536 bytes") != std::string::npos &&
                   what.find("RLIMIT_FSIZE is 8192 bytes") != std::string::npos &&
                   made.error().code() == Code::resource_exhausted
               ? 0
               : 2;
  });
  EXPECT_EQ(limited.wait(), 0);
}

TEST(segment, without_address_space_is_an_error_that_names_the_limit) {
  Child limited([](Talk&) {
    // What there is, a sanitizer's shadow too, and too little beside it.
    const rlim_t bytes = address_space() + (32 << 20);
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_AS, &limit);
    auto made = Segment::create("taut:test:1:server", 64 << 20);
    if (made) return 1;
    const std::string what(made.error().what());
    return what.find("mapping 67108864 bytes") != std::string::npos &&
                   what.find("RLIMIT_AS is " + std::to_string(bytes) + " bytes") != std::string::npos
               ? 0
               : 2;
  });
  EXPECT_EQ(limited.wait(), 0);
}

TEST(segment, without_a_descriptor_is_an_error_that_names_the_limit) {
  Child limited([](Talk&) {
    taut::testing::leave_descriptors(0);
    auto made = Segment::create("taut:test:1:server", 65536);
    if (made) return 1;
    return std::string(made.error().what()).find("RLIMIT_NOFILE allows this process") != std::string::npos ? 0 : 2;
  });
  EXPECT_EQ(limited.wait(), 0);
}

TEST(segment, is_not_there_in_a_child_and_the_childs_end_leaves_it_alone) {
  auto own = Segment::create("taut:test:1:server", kBytes);
  auto kept = Segment::create("taut:test:board", kSegmentStep, InChild::kept);
  ASSERT_TRUE(own && kept);
  Child child([&](Talk&) {
    unsigned char unused;
    if (mincore(own->data(), kSegmentStep, &unused) == 0) return 1;  // ENOMEM: nothing is mapped there
    if (mincore(kept->data(), kSegmentStep, &unused) != 0) return 2;
    // Something else of the child's may live at the same address by now.
    void* other =
        mmap(own->data(), kSegmentStep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    { const Segment gone = *std::move(own); }
    return mincore(other, kSegmentStep, &unused) == 0 ? 0 : 3;
  });
  EXPECT_EQ(child.wait(), 0);
  own->data()[0] = std::byte{1};
}

TEST(segment, is_left_out_of_core_dumps) {
  auto own = Segment::create("taut:test:1:server", kBytes);
  ASSERT_TRUE(own);
  // "dd" among the VmFlags of /proc/self/smaps; "dc": not copied on fork.
  std::FILE* maps = std::fopen("/proc/self/smaps", "re");
  ASSERT_NE(maps, nullptr);
  char line[512], flags[512] = "";
  bool here = false;
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    if (std::strstr(line, "taut:test:1:server") != nullptr) here = true;
    if (here && std::strncmp(line, "VmFlags:", 8) == 0) {
      std::strcpy(flags, line);
      break;
    }
  }
  std::fclose(maps);
  EXPECT_THAT(flags, AllOf(HasSubstr(" dd"), HasSubstr(" dc")));
}

TEST(segment, needs_a_size_in_steps) {
  EXPECT_FALSE(Segment::create("taut:test:1:server", 0));
  EXPECT_FALSE(Segment::create("taut:test:1:server", 5000));
}

}  // namespace
}  // namespace taut::memory
