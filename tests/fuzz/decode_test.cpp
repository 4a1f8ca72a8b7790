// Decoding for people what nobody vouches for: right where the message is right, a refusal where it is wrong, bounded
// whatever it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decode_seeds.h"
#include "say.h"
#include "support/seed.h"

namespace taut::fuzz {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Message {
  explicit Message(const Seed& seed) : made(make(seed)), table_number(table_of(seed, made)) {
    const auto checked = tool::check_schema(made.schema, "the schema");
    if (!checked) throw std::runtime_error(std::string(checked.error().what()));
    schema = *checked;
    table = schema->objects()->Get(table_number);
  }
  [[nodiscard]] Result<tool::Decoded> decode(const tool::DecodeLimits& limits = {}) const {
    return tool::decode(*schema, *table, made.message, limits);
  }
  Made made;
  std::uint8_t table_number;
  const reflection::Schema* schema;
  const reflection::Object* table;
};

bool is_json(const std::string& text) {
  flatbuffers::Parser parser(seed_options());
  flexbuffers::Builder builder;
  return parser.ParseFlexBuffer(text.c_str(), nullptr, &builder);
}

class DecodeTest : public ::testing::TestWithParam<Seed> {};
INSTANTIATE_TEST_SUITE_P(Seeds, DecodeTest, ::testing::ValuesIn(kSeeds));

TEST_P(DecodeTest, SaysWhatFlatBuffersItselfWouldSay) {
  const Message message(GetParam());
  const auto decoded = message.decode();
  ASSERT_TRUE(decoded) << decoded.error().what();
  EXPECT_FALSE(decoded->cut);
  ASSERT_TRUE(is_json(decoded->json)) << decoded->json;
  // Read back, it is the message again.
  flatbuffers::Parser parser(seed_options());
  ASSERT_TRUE(parser.Parse(GetParam().schema));
  parser.SetRootType(GetParam().table);
  std::string expected, got;
  ASSERT_TRUE(flatbuffers::GenerateText(parser, message.made.message.data(), &expected));
  ASSERT_TRUE(parser.ParseJson(decoded->json.c_str())) << parser.error_ << "\n" << decoded->json;
  ASSERT_TRUE(flatbuffers::GenerateText(parser, parser.builder_.GetBufferPointer(), &got));
  EXPECT_EQ(got, expected);
}

TEST_P(DecodeTest, EveryPrefixIsRefusedOrDecoded) {
  Message message(GetParam());
  const auto whole = message.made.message;
  std::size_t refused = 0;
  for (std::size_t bytes = 0; bytes != whole.size(); ++bytes) {
    message.made.message.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    message.made.message.shrink_to_fit();  // the address sanitizer sees a read behind it
    const auto decoded = message.decode();
    if (decoded) continue;
    ++refused;
    EXPECT_EQ(decoded.error().code(), Code::invalid_argument);
    EXPECT_THAT(std::string(decoded.error().what()), HasSubstr("no valid T"));
  }
  EXPECT_GT(refused, whole.size() / 2);
}

// The same function as the fuzzer's. A minute of one core is the fuzzer's work, a second of it is enough to notice a
// check that went missing.
TEST_P(DecodeTest, MutatedInputsAreRefusedOrDecoded) {
  taut::testing::Random random;
  const Message message(GetParam());
  const auto good = make_input(0, message.table_number, message.made.schema, message.made.message);
  ASSERT_TRUE(decode_input(good));
  static constexpr std::uint8_t kEdges[] = {0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xfc, 0xfe, 0xff};
  unsigned decoded = 0;
  constexpr unsigned kRounds = 20'000;
  for (unsigned round = 0; round != kRounds; ++round) {
    auto input = good;
    // As often in the message as in the schema, which is longer.
    const std::size_t begin = random.one_in(2) ? kPrefix + message.made.schema.size() : 0;
    for (std::uint64_t changes = 1 + random.below(4); changes != 0; --changes) {
      const std::size_t at = begin + random.below(input.size() - begin);
      if (random.one_in(2)) {
        input[at] = std::byte{kEdges[random.below(std::size(kEdges))]};
      } else {
        input[at] ^= std::byte{static_cast<std::uint8_t>(1u << random.below(8))};
      }
    }
    if (random.one_in(16)) input.resize(begin + random.below(input.size() - begin));
    decoded += decode_input(input) ? 1 : 0;
  }
  // Some change nothing that matters, and some are found out.
  EXPECT_GT(decoded, kRounds / 50);
  EXPECT_LT(decoded, kRounds);
}

TEST(DecodeTest, ARequiredFieldThatIsAbsentIsNamedWrong) {
  Message message({"table T { s:string; }", "T", "{}"});
  const Message strict({"table T { s:string (required); }", "T", R"({"s":""})"});
  const auto decoded = tool::decode(*strict.schema, *strict.table, message.made.message);
  ASSERT_FALSE(decoded);
  EXPECT_THAT(std::string(decoded.error().what()), HasSubstr("a required field is absent"));
}

TEST(DecodeTest, LimitsLeaveOutAndSaySo) {
  const Message deep(kSeeds[6]);
  const auto cut_deep = deep.decode({.depth = 3});
  ASSERT_TRUE(cut_deep);
  EXPECT_EQ(cut_deep->json, R"({"next":{"next":{"next":"..."}}})");
  EXPECT_TRUE(cut_deep->cut);

  const Message wide({"table T { v:[int]; s:string; t:int; }", "T", R"({"v":[1,2,3,4],"s":"abc\u00e9def","t":9})"});
  const auto cut_wide = wide.decode({.elements = 2, .string_bytes = 4});
  ASSERT_TRUE(cut_wide);
  EXPECT_EQ(cut_wide->json, R"({"v":[1,2,"... 2 more"],"s":"abc...","t":9})");
  EXPECT_TRUE(cut_wide->cut);

  const auto cut_short = wide.decode({.text_bytes = 10});
  ASSERT_TRUE(cut_short);
  EXPECT_TRUE(cut_short->cut);
  EXPECT_TRUE(is_json(cut_short->json)) << cut_short->json;
  EXPECT_THAT(cut_short->json, Not(HasSubstr("\"t\"")));
}

// A few offsets name one table again and again: each level doubles it, and 31 levels would be 2^31 tables.
TEST(DecodeTest, ATableThatIsNamedOftenDoesNotMakeALongText) {
  const Message shape({"table T { a:T; b:T; }", "T", "{}"});
  flatbuffers::FlatBufferBuilder builder;
  flatbuffers::uoffset_t inner = builder.EndTable(builder.StartTable());
  for (int level = 0; level != 30; ++level) {
    const auto start = builder.StartTable();
    builder.AddOffset(4, flatbuffers::Offset<void>(inner));
    builder.AddOffset(6, flatbuffers::Offset<void>(inner));
    inner = builder.EndTable(start);
  }
  builder.Finish(flatbuffers::Offset<void>(inner));
  const auto message = bytes_of(builder);
  const auto decoded = tool::decode(*shape.schema, *shape.table, message);
  ASSERT_TRUE(decoded) << decoded.error().what();
  EXPECT_TRUE(decoded->cut);
  EXPECT_LT(decoded->json.size(), 2 * tool::DecodeLimits{}.text_bytes);
  EXPECT_TRUE(is_json(decoded->json));
}

// What the Verifier of FlatBuffers lets pass, since it looks at bytes only.
class SchemaLies : public ::testing::Test {
 protected:
  explicit SchemaLies(Seed seed = kSeeds[3]) : made(make(seed)) {}
  template <class Value>
  static void set(const void* table, flatbuffers::voffset_t field, Value value) {
    auto* target = const_cast<flatbuffers::Table*>(static_cast<const flatbuffers::Table*>(table));
    ASSERT_TRUE(target->SetField<Value>(field, value, static_cast<Value>(value + 1)));
  }
  const reflection::Field* field(const char* object, const char* name) {
    const auto* found = tool::table_named(*reflection::GetSchema(made.schema.data()), object);
    for (const auto* each : *found->fields()) {
      if (each->name()->string_view() == name) return each;
    }
    return nullptr;
  }
  std::string refusal() {
    flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(made.schema.data()), made.schema.size());
    EXPECT_TRUE(reflection::VerifySchemaBuffer(verifier));
    const auto checked = tool::check_schema(made.schema, "the schema");
    return checked ? "none" : std::string(checked.error().what());
  }
  Made made;
};

TEST_F(SchemaLies, AStructThatHoldsItself) {
  set<std::int32_t>(field("Q", "p")->type(), reflection::Type::VT_INDEX, field("T", "q")->type()->index());
  EXPECT_THAT(refusal(), HasSubstr("holds itself"));
}

TEST_F(SchemaLies, ATypeThatIsNotThere) {
  set<std::int32_t>(field("T", "q")->type(), reflection::Type::VT_INDEX, 99);
  EXPECT_THAT(refusal(), HasSubstr("a type that is not there"));
}

TEST_F(SchemaLies, ABaseTypeThatThereIsNot) {
  set<std::uint8_t>(field("Q", "p")->type(), reflection::Type::VT_BASE_TYPE, 200);
  EXPECT_THAT(refusal(), HasSubstr("a type that there is not"));
}

TEST_F(SchemaLies, AFieldOutsideOfItsStruct) {
  set<std::uint16_t>(field("Q", "n"), reflection::Field::VT_OFFSET, 1000);
  EXPECT_THAT(refusal(), HasSubstr("outside of its bytes"));
}

TEST_F(SchemaLies, AnOffsetThatNoTableHas) {
  set<std::uint16_t>(field("T", "qs"), reflection::Field::VT_OFFSET, 7);
  EXPECT_THAT(refusal(), HasSubstr("an offset that cannot be"));
}

TEST_F(SchemaLies, ANameThatATerminalWouldActOn) {
  auto* name = const_cast<char*>(field("T", "qs")->name()->c_str());
  name[0] = '\x1b';
  EXPECT_THAT(refusal(), HasSubstr("name cannot be one"));
}

TEST(JsonTextTest, WhatATerminalMightActOnIsEscapedAndWhatIsNoTextReplaced) {
  EXPECT_EQ(tool::json_text("a\"\\\n\x1b[0m\x7f"), "\"a\\\"\\\\\\u000a\\u001b[0m\\u007f\"");
  EXPECT_EQ(tool::json_text("\xc2\x9b"), "\"\\u009b\"");
  EXPECT_EQ(tool::json_text("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\"");
  for (const char* wrong : {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    EXPECT_THAT(tool::json_text(wrong), ::testing::StartsWith("\"\\ufffd")) << wrong;
  }
}

}  // namespace
}  // namespace taut::fuzz
