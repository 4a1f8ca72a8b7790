#include "taut/rpc/method_table.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "support/seed.h"

namespace taut::rpc {
namespace {

using ::testing::HasSubstr;

MethodDescription method(std::string_view name, std::uint16_t id) {
  return {.name = name, .id = id, .request_bound = 0, .reply_bound = 0, .request = "In", .reply = "Out"};
}

struct Described {
  std::vector<MethodDescription> greets = {method("SayHello", 1), method("SayBye", 7)};
  std::vector<MethodDescription> adds = {method("Add", 1)};
  ServiceDescription greeter{.name = "greeter.Greeter", .fingerprint = 11, .methods = greets, .schema = {}};
  ServiceDescription calculator{.name = "calc.Calculator", .fingerprint = 22, .methods = adds, .schema = {}};
  Result<MethodTable> table() {
    const ServiceDescription* both[] = {&greeter, &calculator};
    return MethodTable::of(both);
  }
};

TEST(method_table, numbers_the_methods_of_all_services) {
  Described described;
  auto table = described.table();
  ASSERT_TRUE(table) << table.error();
  EXPECT_EQ(table->method_count(), 3);
  EXPECT_EQ(table->find("greeter.Greeter")->first_index, 0);
  EXPECT_EQ(table->find("calc.Calculator")->first_index, 2);
  EXPECT_EQ(table->find("greeter"), nullptr);
}

TEST(method_table, survives_its_bytes) {
  Described described;
  auto parsed = MethodTable::parse(described.table()->serialize());
  ASSERT_TRUE(parsed) << parsed.error();
  ASSERT_EQ(parsed->services().size(), 2u);
  const ServiceEntry& greeter = *parsed->find("greeter.Greeter");
  EXPECT_EQ(greeter.fingerprint, 11u);
  EXPECT_EQ(greeter.methods[1].name, "SayBye");
  EXPECT_EQ(greeter.methods[1].id, 7);
  EXPECT_EQ(parsed->find("calc.Calculator")->first_index, 2);
}

TEST(method_table, that_contradicts_itself_is_refused) {
  Described twice;
  twice.calculator.name = twice.greeter.name;
  EXPECT_THAT(std::string(twice.table().error().what()), HasSubstr("two services have the name greeter.Greeter"));
  Described same_id;
  same_id.greets[1].id = 1;
  EXPECT_THAT(std::string(same_id.table().error().what()), HasSubstr("one id means two methods"));
  Described same_name;
  same_name.greets[1].name = "SayHello";
  EXPECT_THAT(std::string(same_name.table().error().what()), HasSubstr("two methods of a service have one name"));
  Described unprintable;
  unprintable.greets[1].name = "Say\x1b[2J";
  EXPECT_FALSE(unprintable.table());
}

TEST(method_table, is_limited) {
  std::vector<std::string> names;
  std::vector<MethodDescription> methods;
  for (unsigned i = 0; i <= MethodTable::kMethodsMax; ++i) names.push_back(std::to_string(i).insert(0, 1, 'M'));
  for (unsigned i = 0; i <= MethodTable::kMethodsMax; ++i)
    methods.push_back(method(names[i], static_cast<std::uint16_t>(i)));
  const ServiceDescription large{.name = "Large", .fingerprint = 1, .methods = methods, .schema = {}};
  const ServiceDescription* one[] = {&large};
  EXPECT_THAT(std::string(MethodTable::of(one).error().what()), HasSubstr("more than 4096 methods"));
}

TEST(method_table, cut_off_anywhere_is_refused) {
  Described described;
  const std::vector<std::byte> bytes = described.table()->serialize();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(MethodTable::parse(std::span(bytes).first(length))) << length;
  }
  std::vector<std::byte> longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_THAT(std::string(MethodTable::parse(longer).error().what()), HasSubstr("bytes follow its end"));
  std::vector<std::byte> newer = bytes;
  newer[0] = std::byte{3};
  EXPECT_THAT(std::string(MethodTable::parse(newer).error().what()), HasSubstr("version 3; this side knows 1"));
}

TEST(method_table, of_random_bytes_is_parsed_or_refused) {
  taut::testing::Random random;
  Described described;
  const std::vector<std::byte> good = described.table()->serialize();
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes = good;
    for (int flips = 0; flips < 4; ++flips)
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
    auto parsed = MethodTable::parse(bytes);
    if (parsed) {
      EXPECT_EQ(parsed->serialize(), bytes);
    }
  }
}

}  // namespace
}  // namespace taut::rpc
