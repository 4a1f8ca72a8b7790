#include "taut/rpc/url.h"

#include <gmock/gmock.h>

#include "taut/rpc/transport.h"

namespace taut::rpc {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string url_refusal(std::string_view text) {
  auto url = Url::parse(text);
  return url ? "" : std::string(url.error().what());
}

Result<LinkOptions> read(const std::string& options) {
  auto url = Url::parse("shm://orders?" + options);
  if (!url) return url.error();
  return read_options(*url, LinkOptions{});
}
std::string refusal(const std::string& options) {
  auto read_ones = read(options);
  if (read_ones) return "";
  return std::string(read_ones.error().what()) + "; " + std::string(read_ones.error().hint());
}

TEST(url, is_taken_apart) {
  auto url = Url::parse("tcp://host:80?ring=1MiB&inflight=4096");
  ASSERT_TRUE(url) << url.error();
  EXPECT_EQ(url->scheme, "tcp");
  EXPECT_EQ(url->rest, "host:80");
  EXPECT_THAT(url->options, ::testing::ElementsAre(std::pair{"ring", "1MiB"}, std::pair{"inflight", "4096"}));
  EXPECT_EQ(url->name(), "tcp://host:80");
}

TEST(url, that_is_a_bare_word_means_shared_memory) {
  EXPECT_EQ(Url::parse("orders")->name(), "shm://orders");
  EXPECT_EQ(Url::parse("orders?ring=8KiB")->options.size(), 1u);
  EXPECT_EQ(Url::parse("unix:///run/x")->rest, "/run/x");
}

TEST(url, that_cannot_be_read_is_refused) {
  EXPECT_THAT(url_refusal(""), HasSubstr("nothing is named"));
  EXPECT_THAT(url_refusal("shm://"), HasSubstr("nothing is named"));
  EXPECT_THAT(url_refusal("shm://?ring=1MiB"), HasSubstr("nothing is named"));
  EXPECT_THAT(url_refusal("://orders"), HasSubstr("scheme"));
  EXPECT_THAT(url_refusal("SHM://orders"), HasSubstr("scheme"));
  EXPECT_THAT(url_refusal("shm://or ders"), HasSubstr("spaces or control characters"));
  EXPECT_THAT(url_refusal("shm://orders?ring"), HasSubstr("not name=value"));
  EXPECT_THAT(url_refusal("shm://orders?=1"), HasSubstr("not name=value"));
  EXPECT_THAT(url_refusal("shm://orders?ring=8KiB&ring=8KiB"), HasSubstr("twice"));
}

TEST(link_options, are_read_with_their_units) {
  auto options = read(
      "ring=1MiB&inflight=4096&urgent_ring=1MiB&reply_max=8KiB&check=copy&schema=exact&timeout=50us&reconnect=2s&"
      "reconnect_budget=5&"
      "connect_timeout="
      "2s");
  ASSERT_TRUE(options) << options.error();
  EXPECT_EQ(options->ring_bytes, 1u << 20);
  EXPECT_EQ(options->urgent_ring_bytes, 1u << 20);
  EXPECT_EQ(options->inflight, 4096u);
  EXPECT_EQ(options->reply_bytes_max, 8192u);
  EXPECT_EQ(options->check, Check::copy);
  EXPECT_TRUE(options->schema_exact);
  EXPECT_EQ(options->timeout, 50us);
  EXPECT_EQ(options->connect_timeout, 2s);
  EXPECT_EQ(options->reconnect, 2s);
  EXPECT_EQ(options->reconnect_budget, 5u);
  EXPECT_EQ(read("ring=131072")->ring_bytes, 131072u);
  EXPECT_EQ(read("timeout=forever")->timeout, Nanoseconds::max());
}

TEST(link_options, allow_other_users_by_uid_and_by_group) {
  EXPECT_FALSE(read("inflight=16")->allow.any()) << "nobody, unless it is said";
  EXPECT_THAT(read("allow=uid:1001")->allow.uids, ElementsAre(1001u));
  EXPECT_THAT(read("allow=uid:0,uid:4294967294")->allow.uids, ElementsAre(0u, 4294967294u));
  EXPECT_FALSE(read("allow=uid:1001")->allow.group);
  const auto both = read("allow=group,uid:7");
  EXPECT_TRUE(both->allow.group);
  EXPECT_THAT(both->allow.uids, ElementsAre(7u));
  for (const char* wrong : {"", "uid", "uid:", "1001", "uid:-1", "uid:4294967295", "uid:1001,", ",group", "everyone"}) {
    EXPECT_THAT(refusal(std::string("allow=") + wrong), HasSubstr("names no user")) << wrong;
  }
}

TEST(link_options, that_are_unknown_are_refused_with_the_known_ones) {
  EXPECT_THAT(refusal("rong=1MiB"), AllOf(HasSubstr("unknown option 'rong'"), HasSubstr("known are ring")));
}

TEST(link_options, of_impossible_rings_are_refused) {
  EXPECT_THAT(refusal("ring=0"), HasSubstr("option ring=0"));
  EXPECT_THAT(refusal("ring=48KiB"), AllOf(HasSubstr("ring=48KiB"), HasSubstr("is not a power of two")));
  EXPECT_THAT(refusal("ring=2KiB"), HasSubstr("smaller than 4KiB"));
  EXPECT_THAT(refusal("ring=2GiB"), HasSubstr("larger than 1GiB"));
  EXPECT_THAT(refusal("ring=16777216TiB"), HasSubstr("is not a size"));
  EXPECT_THAT(refusal("ring=99999999999999999999"), HasSubstr("is not a size"));
  EXPECT_THAT(refusal("ring=18014398509481984KiB"), HasSubstr("is not a size"));
  EXPECT_THAT(refusal("ring=-1"), HasSubstr("is not a size"));
  EXPECT_THAT(refusal("ring="), HasSubstr("is not a size"));
  EXPECT_THAT(refusal("urgent_ring=3KiB"), HasSubstr("not a power of two"));
  EXPECT_THAT(refusal("inflight=0"), HasSubstr("not a number of calls"));
  EXPECT_THAT(refusal("check=maybe"), HasSubstr("neither in_place nor copy"));
  EXPECT_THAT(refusal("reconnect=10us"), HasSubstr("no way to look for a server"));
  EXPECT_THAT(refusal("reconnect=forever"), HasSubstr("no way to look for a server"));
  EXPECT_THAT(refusal("reconnect_budget=0"), HasSubstr("no way to look for a server"));
  EXPECT_THAT(refusal("reconnect_budget=1001"), HasSubstr("not a number of attempts"));
  EXPECT_THAT(refusal("timeout=5"), HasSubstr("is not a duration"));
  EXPECT_THAT(refusal("timeout=0s"), HasSubstr("no time at all"));
  EXPECT_THAT(refusal("timeout=9999999999s"), HasSubstr("is not a duration"));
}

TEST(link_options, that_promise_more_answers_than_a_ring_holds_are_refused_with_the_numbers) {
  EXPECT_THAT(refusal("inflight=513"),
              AllOf(HasSubstr("65536 bytes"), HasSubstr("513 calls"),
                    HasSubstr("64 x inflight + 2 x (ring / 4) = 65600"), HasSubstr("ring=128KiB")));
  EXPECT_EQ(refusal("inflight=512"), "");
  EXPECT_THAT(refusal("inflight=512&urgent_ring=8KiB"), HasSubstr("urgent_ring of 8192 bytes"));
  EXPECT_EQ(read("inflight=512")->urgent_ring_bytes, 65536u) << "the urgent ring follows, unless it was given";
  EXPECT_EQ(read("inflight=64")->urgent_ring_bytes, 8192u);
  EXPECT_THAT(refusal("reply_max=16KiB"), HasSubstr("16368 at most"));
}

TEST(link_options, of_a_struct_are_checked_too) {
  LinkOptions filled;
  filled.ring_bytes = 1000;
  EXPECT_FALSE(read_options(*Url::parse("shm://orders"), filled));
}

}  // namespace
}  // namespace taut::rpc
