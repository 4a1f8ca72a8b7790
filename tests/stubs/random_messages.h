// Random init structs with everything that their views need, and the same messages made by FlatBuffers' own builder.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "everything.taut.h"
#include "shared_kinds.taut.h"
#include "support/seed.h"

namespace taut::testing {

// Keeps the containers that init structs view.
class RandomMessages {
 public:
  explicit RandomMessages(Random& random) : random_(random) {}

  everything::ScalarsInit scalars() {
    if (random_.one_in(4)) return {};
    return {.i8 = word<std::int8_t>(),
            .u8 = word<std::uint8_t>(),
            .i16 = word<std::int16_t>(),
            .u16 = word<std::uint16_t>(),
            .i32 = word<std::int32_t>(),
            .u32 = word<std::uint32_t>(),
            .i64 = word<std::int64_t>(),
            .u64 = word<std::uint64_t>(),
            .f32 = real<float>(),
            .f64 = real<double>(),
            .flag = coin(),
            .colour = colour(),
            .grade = static_cast<everything::Grade>(static_cast<int>(random_.below(4)) - 2),
            .sparse = sparse(),
            .rights = static_cast<everything::Rights>(random_.below(8)),
            .wide = coin() ? everything::Wide::least : everything::Wide::most,
            .three = bytes3(),
            .last = word<std::uint8_t>()};
  }

  everything::NullableInit nullable() {
    everything::NullableInit init;
    if (coin()) init.i8 = word<std::int8_t>();
    if (coin()) init.u64 = word<std::uint64_t>();
    if (coin()) init.f64 = real<double>();
    if (coin()) init.flag = coin();
    if (coin()) init.month = static_cast<everything::Month>(1 + random_.below(3));
    if (coin()) init.point = shared::kinds::Point(real<float>(), real<double>());
    init.always = shared::kinds::Point(real<float>(), real<double>());
    return init;
  }

  everything::LeafInit leaf() {
    everything::LeafInit init;
    if (coin()) init.text = text(20);
    init.sixteen = everything::Sixteen(word<std::uint64_t>(), word<std::uint64_t>());
    return init;
  }

  shared::kinds::TagInit tag() { return {.name = text(9), .weight = coin() ? 3 : word<std::int32_t>()}; }

  everything::EverythingInit everything() {
    everything::EverythingInit init;
    init.scalars = scalars();
    if (coin()) init.nullable = nullable();
    if (coin()) init.empty = everything::EmptyInit{};
    init.text = text(40);
    if (coin()) init.note = text(100);
    init.bytes = items<std::uint8_t>(70, [&] { return word<std::uint8_t>(); });
    if (coin()) init.flags = bools();
    if (coin()) init.shorts = items<std::int16_t>(9, [&] { return word<std::int16_t>(); });
    if (coin()) init.doubles = items<double>(5, [&] { return real<double>(); });
    if (coin()) init.colours = items<everything::Colour>(9, [&] { return colour(); });
    if (coin()) init.sparse = items<everything::Sparse>(5, [&] { return sparse(); });
    if (coin()) init.levels = items<shared::kinds::Level>(5, [&] { return shared::kinds::Level::low; });
    init.outer = outer();
    if (coin()) init.maybe_outer = outer();
    if (coin()) init.outers = items<everything::Outer>(4, [&] { return outer(); });
    if (coin()) {
      init.sixteens = items<everything::Sixteen>(4, [&] { return everything::Sixteen(word<std::uint64_t>(), 2); });
    }
    if (coin()) init.threes = items<everything::Bytes3>(6, [&] { return bytes3(); });
    if (coin()) init.words = items<std::string_view>(5, [&] { return text(18); });
    if (coin()) init.leaf = leaf();
    init.leaves = items<everything::LeafInit>(4, [&] { return leaf(); });
    if (coin()) init.tags = items<shared::kinds::TagInit>(4, [&] { return tag(); });
    init.number = word<std::uint32_t>();
    return init;
  }

  everything::TreeInit tree(int depth = 0) {
    everything::TreeInit init;
    init.value = word<std::int32_t>();
    if (depth < 5 && coin()) init.children = items<everything::TreeInit>(3, [&] { return tree(depth + 1); });
    return init;
  }

 private:
  bool coin() { return random_.one_in(2); }
  template <class T>
  T word() {
    return static_cast<T>(random_.word());
  }
  // Numbers that survive their way through text.
  template <class T>
  T real() {
    return static_cast<T>(static_cast<std::int32_t>(random_.below(2000)) - 1000) / T{8};
  }
  everything::Colour colour() { return static_cast<everything::Colour>(random_.below(3)); }
  everything::Sparse sparse() {
    constexpr everything::Sparse values[] = {everything::Sparse::minus, everything::Sparse::zero,
                                             everything::Sparse::one, everything::Sparse::big};
    return values[random_.below(4)];
  }
  everything::Inner inner() { return everything::Inner(colour(), word<std::int16_t>()); }
  everything::Outer outer() {
    const everything::Colour colours[3] = {colour(), colour(), colour()};
    const everything::Inner pair[2] = {inner(), inner()};
    return everything::Outer(inner(), flatbuffers::make_span(colours), flatbuffers::make_span(pair),
                             word<std::int64_t>());
  }
  everything::Bytes3 bytes3() {
    const std::uint8_t data[3] = {word<std::uint8_t>(), 1, word<std::uint8_t>()};
    return everything::Bytes3(flatbuffers::make_span(data));
  }

  std::string_view text(std::size_t most) {
    std::string& result = strings_.emplace_back();
    for (std::size_t left = random_.below(most + 1); left != 0; --left) {
      result += static_cast<char>('a' + random_.below(26));
    }
    return result;
  }

  template <class T, class F>
  Items<T> items(std::size_t most, F&& make) {
    auto list = std::make_shared<std::vector<T>>();
    for (std::size_t left = random_.below(most + 1); left != 0; --left) list->push_back(make());
    kept_.push_back(list);
    return Items<T>(*list);
  }
  Items<bool> bools() {
    auto list = std::make_shared<std::array<bool, 6>>();
    for (bool& one : *list) one = coin();
    kept_.push_back(list);
    return Items<bool>(std::span<const bool>(*list).first(random_.below(7)));
  }

  Random& random_;
  std::deque<std::string> strings_;
  std::deque<std::shared_ptr<void>> kept_;
};

// The stock builder's message of the same values. It leaves defaults out and orders fields in its own way.
class StockBuilder {
 public:
  explicit StockBuilder(bool force_defaults = false) { fbb_.ForceDefaults(force_defaults); }

  flatbuffers::Offset<everything::Scalars> add(const everything::ScalarsInit& i) {
    return everything::CreateScalars(fbb_, i.i8, i.u8, i.i16, i.u16, i.i32, i.u32, i.i64, i.u64, i.f32, i.f64, i.flag,
                                     i.colour, i.grade, i.sparse, i.rights, i.wide, &i.three, i.last);
  }
  flatbuffers::Offset<everything::Nullable> add(const everything::NullableInit& i) {
    const auto optional = [](const auto& value) {
      using T = typename std::decay_t<decltype(value)>::value_type;
      return value ? flatbuffers::Optional<T>(*value) : flatbuffers::Optional<T>();
    };
    return everything::CreateNullable(fbb_, optional(i.i8), optional(i.u64), optional(i.f64), optional(i.flag),
                                      optional(i.month), i.point ? &*i.point : nullptr, &i.always);
  }
  flatbuffers::Offset<everything::Leaf> add(const everything::LeafInit& i) {
    const auto text = string(i.text);
    return everything::CreateLeaf(fbb_, text, &i.sixteen);
  }
  flatbuffers::Offset<shared::kinds::Tag> add(const shared::kinds::TagInit& i) {
    const auto name = fbb_.CreateString(i.name.data(), i.name.size());
    return shared::kinds::CreateTag(fbb_, name, i.weight);
  }
  flatbuffers::Offset<everything::Tree> add(const everything::TreeInit& i) {
    const auto children = tables<everything::Tree>(i.children);
    return everything::CreateTree(fbb_, i.value, children);
  }
  flatbuffers::Offset<everything::Everything> add(const everything::EverythingInit& i) {
    const auto scalars = add(i.scalars);
    const auto nullable = i.nullable ? add(*i.nullable) : flatbuffers::Offset<everything::Nullable>();
    const auto empty = i.empty ? everything::CreateEmpty(fbb_) : flatbuffers::Offset<everything::Empty>();
    const auto text = fbb_.CreateString(i.text.data(), i.text.size());
    const auto note = string(i.note);
    const auto bytes = fbb_.CreateVector(i.bytes.data(), i.bytes.size());
    const auto flags = i.flags.present()
                           ? fbb_.CreateVector(reinterpret_cast<const std::uint8_t*>(i.flags.data()), i.flags.size())
                           : flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>>();
    const auto shorts = scalars_of(i.shorts);
    const auto doubles = scalars_of(i.doubles);
    const auto colours = scalars_of(i.colours);
    const auto sparse = scalars_of(i.sparse);
    const auto levels = scalars_of(i.levels);
    const auto outers = structs_of(i.outers);
    const auto sixteens = structs_of(i.sixteens);
    const auto threes = structs_of(i.threes);
    std::vector<flatbuffers::Offset<flatbuffers::String>> list;
    for (std::size_t n = 0; n != i.words.size(); ++n)
      list.push_back(fbb_.CreateString(i.words[n].data(), i.words[n].size()));
    const auto words = i.words.present()
                           ? fbb_.CreateVector(list)
                           : flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>>();
    const auto leaf = i.leaf ? add(*i.leaf) : flatbuffers::Offset<everything::Leaf>();
    auto leaves = tables<everything::Leaf>(i.leaves);
    if (leaves.IsNull()) leaves = fbb_.CreateVector(std::vector<flatbuffers::Offset<everything::Leaf>>{});
    const auto tags = tables<shared::kinds::Tag>(i.tags);
    return everything::CreateEverything(fbb_, scalars, nullable, empty, text, note, bytes, flags, shorts, doubles,
                                        colours, sparse, levels, &i.outer, i.maybe_outer ? &*i.maybe_outer : nullptr,
                                        outers, sixteens, threes, words, leaf, leaves, tags, i.number);
  }

  template <class T>
  std::span<const std::byte> finish(flatbuffers::Offset<T> root) {
    fbb_.Finish(root);
    return std::as_bytes(std::span(fbb_.GetBufferPointer(), fbb_.GetSize()));
  }
  flatbuffers::FlatBufferBuilder& builder() { return fbb_; }

 private:
  flatbuffers::Offset<flatbuffers::String> string(std::string_view text) {
    return text.data() != nullptr ? fbb_.CreateString(text.data(), text.size())
                                  : flatbuffers::Offset<flatbuffers::String>();
  }
  template <class T>
  flatbuffers::Offset<flatbuffers::Vector<T>> scalars_of(const Items<T>& items) {
    if (!items.present()) return {};
    return fbb_.CreateVector(items.data(), items.size());
  }
  template <class T>
  flatbuffers::Offset<flatbuffers::Vector<const T*>> structs_of(const Items<T>& items) {
    if (!items.present()) return {};
    return fbb_.CreateVectorOfStructs(items.data(), items.size());
  }
  template <class T>
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<T>>> tables(
      const Items<typename Schema<T>::Init>& items) {
    if (!items.present()) return {};
    std::vector<flatbuffers::Offset<T>> list;
    for (std::size_t i = 0; i != items.size(); ++i) list.push_back(add(items[i]));
    return fbb_.CreateVector(list);
  }

  flatbuffers::FlatBufferBuilder fbb_;
};

}  // namespace taut::testing
