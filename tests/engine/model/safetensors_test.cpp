// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/safetensors.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/engine/model/builder.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::model {
namespace {

using test::expect_error;
using test_data::join;

SafetensorsHeader parse(const std::string& file) {
  return SafetensorsHeader::parse(std::as_bytes(std::span(file.data(), file.size())), "test.st");
}

std::string with_header(const std::string& header, std::size_t data_bytes) {
  return join(header, std::string(data_bytes, 'x'));
}

TEST(Safetensors, ReadsTensorsMetadataAndEmptyOnes) {
  const auto header = parse(with_header(
      R"({"__metadata__": {"format": "pt"},
          "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
          "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
          "none": {"dtype": "I8", "shape": [0, 7], "data_offsets": [4, 4]},
          "odd": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [16, 19]},
          "new": {"dtype": "Q9", "shape": [3], "data_offsets": [19, 24]}}      )",
      24));
  EXPECT_EQ(header.tensors.size(), 5U);
  EXPECT_EQ(header.tensors.at("b").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(header.tensors.at("b").dtype, DType::kBF16);
  EXPECT_FALSE(header.tensors.at("odd").dtype.has_value());
  EXPECT_EQ(header.tensors.at("new").dtype_name, "Q9");
  EXPECT_EQ(header.metadata.at("format"), "pt");
}

TEST(Safetensors, RefusesLyingHeaders) {
  const auto one = [](const std::string& tensor, std::size_t bytes = 16) {
    return with_header(R"({"weird": )" + tensor + "}", bytes);
  };
  const auto corrupt = [](const std::string& file, const std::vector<std::string>& parts) {
    SCOPED_TRACE(parts.front());
    expect_error(ErrorCode::kCorrupt, parts, [&] { parse(file); });
  };
  corrupt("", {"test.st", "too short"});
  corrupt("1234567", {"too short"});
  corrupt(std::string(8, '\0'), {"does not start with"});
  corrupt(with_header("[]", 0), {"does not start with"});
  corrupt(with_header("{", 0), {"JSON"});
  corrupt(join("{}", "left over"), {"the tensors cover 0"});
  corrupt(one("3"), {"weird", "expected an object"});
  corrupt(one(R"({"dtype": "F32", "shape": [4]})"), {"weird", "data_offsets"});
  corrupt(one(R"({"dtype": 7, "shape": [4], "data_offsets": [0, 16]})"), {"weird", "dtype"});
  corrupt(one(R"({"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]})"), {"weird", "shape"});
  corrupt(one(R"({"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]})"), {"weird", "shape"});
  corrupt(one(R"({"dtype": "F32", "shape": "4", "data_offsets": [0, 16]})"), {"weird", "shape"});
  corrupt(one(R"({"dtype": "F32", "shape": [1,1,1,1,1,1,1,1,4], "data_offsets": [0, 16]})"),
          {"weird", "shape"});
  corrupt(one(R"({"dtype": "F32", "shape": [4], "data_offsets": [16, 0]})"),
          {"weird", "ascending"});
  corrupt(one(R"({"dtype": "F32", "shape": [4], "data_offsets": [0]})"), {"weird", "pair"});
  corrupt(one(R"({"dtype": "F32", "shape": [4], "data_offsets": [0, 17]})"), {"weird", "only 16"});
  corrupt(one(R"({"dtype": "F32", "shape": [4], "data_offsets": [0, 18446744073709551615]})"),
          {"weird", "offsets"});
  corrupt(one(R"({"dtype": "F32", "shape": [3], "data_offsets": [0, 16]})"),
          {"weird", "16 bytes", "F32", "[3]"});
  corrupt(one(R"({"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 16]})"),
          {"weird", "overflows"});
  corrupt(one(R"({"dtype": "F32", "shape": [4611686018427387905], "data_offsets": [0, 4]})"),
          {"weird"});
  corrupt(one(R"({"dtype": "F32", "shape": [3], "data_offsets": [4, 16]})"), {"weird", "hole"});
  corrupt(one(R"({"dtype": "F32", "shape": [3], "data_offsets": [0, 12]})"), {"cover 12"});
  corrupt(with_header(R"({"a": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]},
                          "b": {"dtype": "I8", "shape": [9], "data_offsets": [7, 16]}})",
                      16),
          {"\"b\"", "overlaps"});
  corrupt(with_header(R"({"a": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]},
                          "a": {"dtype": "I8", "shape": [8], "data_offsets": [8, 16]}})",
                      16),
          {"\"a\"", "twice"});
  corrupt(with_header(R"({"__metadata__": {"n": 3}})", 0), {"__metadata__", "\"n\""});
  corrupt(with_header(R"({"__metadata__": []})", 0), {"__metadata__"});
}

TEST(Safetensors, RefusesHugeHeaderLengths) {
  std::string file = with_header("{}", 0);
  const auto set_length = [&](std::uint64_t length) {
    std::memcpy(file.data(), &length, sizeof length);
  };
  set_length(3);
  expect_error(ErrorCode::kCorrupt, {"truncated"}, [&] { parse(file); });
  set_length(100'000'001);
  expect_error(ErrorCode::kLimit, {"100000000"}, [&] { parse(file); });
  set_length(~std::uint64_t{0});
  expect_error(ErrorCode::kLimit, {"limit"}, [&] { parse(file); });
  std::string deep = R"({"a": )";
  for (int i = 0; i < 100; ++i) deep += "[";
  expect_error(ErrorCode::kLimit, {"nested"}, [&] { parse(with_header(deep, 0)); });
}

/// What every accepted header promises to the rest of the program.
void check_promises(const std::string& file, const SafetensorsHeader& header) {
  const std::size_t data = file.size() - header.data_start;
  std::size_t covered = 0;
  for (const auto& [name, tensor] : header.tensors) {
    ASSERT_LE(tensor.begin, tensor.end);
    ASSERT_LE(tensor.end, data);
    covered += tensor.bytes();
    if (!tensor.dtype) continue;
    std::size_t bytes = size_of(*tensor.dtype);
    for (const auto size : tensor.shape) bytes *= static_cast<std::size_t>(size);
    ASSERT_EQ(bytes, tensor.bytes()) << name;
  }
  ASSERT_EQ(covered, data);
}

TEST(Safetensors, SurvivesRandomDamage) {
  const std::string original = test_data::safetensors(test_data::golden_tensors("qwen2"));
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, original.data(), 8);
  std::mt19937 random(1);
  const auto below = [&](std::size_t n) { return random() % n; };
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string file = original;
    switch (round % 4) {
      case 0:
        file.resize(below(file.size()));
        break;
      case 1:
        for (std::size_t i = 0; i <= below(4); ++i) {
          file[8 + below(header_bytes)] = static_cast<char>(below(256));
        }
        break;
      case 2:  // another digit: offsets and shapes that are still well-formed numbers
        for (;;) {
          char& letter = file[8 + below(header_bytes)];
          if (letter < '0' || letter > '9') continue;
          letter = static_cast<char>('0' + below(10));
          break;
        }
        break;
      default:
        file[below(8)] = static_cast<char>(below(256));
        break;
    }
    try {
      const auto header = parse(file);
      check_promises(file, header);
    } catch (const Error&) {
      ++refused;
    }
  }
  // Some damage is harmless (a letter in a name, a digit replaced by itself); most must be noticed.
  EXPECT_GT(refused, 2000);
}

TEST(TensorSet, ChecksTheIndexAgainstTheShards) {
  const test::TempDir dir;
  const auto write = [&](const std::string& name, const std::string& text) {
    test_data::write_file(dir.path() / name, text);
  };
  const auto open = [&] { return TensorSet::open(dir.path()); };
  expect_error(ErrorCode::kNotFound, {"model.safetensors"}, open);
  write("pytorch_model.bin", "");
  expect_error(ErrorCode::kUnsupported, {"pytorch_model.bin", "safetensors"}, open);

  const test_data::Tensors first = {{"a", {"I8", {4}, "aaaa"}}, {"extra", {"I8", {1}, "x"}}};
  const test_data::Tensors second = {{"b", {"I8", {4}, "bbbb"}}};
  write("one.safetensors", test_data::safetensors(first, {{"key", "value"}}));
  write("two.safetensors", test_data::safetensors(second));
  const std::string index = "model.safetensors.index.json";
  write(index,
        R"({"metadata": {}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
  const TensorSet set = open();
  EXPECT_EQ(set.files().size(), 2U);
  ASSERT_NE(set.find("b"), nullptr);
  EXPECT_EQ(static_cast<char>(set.find("b")->data()[0]), 'b');
  EXPECT_EQ(set.find("extra"), nullptr);  // not in the index: not part of the model
  EXPECT_EQ(set.metadata("key"), "value");

  write(index, R"({"weight_map": {"a": "two.safetensors"}})");
  expect_error(ErrorCode::kCorrupt, {"two.safetensors", "\"a\""}, open);
  write(index,
        R"({"weight_map": {"a": "one.safetensors", "b": "3.safetensors", "c": "4.safetensors"}})");
  expect_error(ErrorCode::kNotFound, {"missing shards", "3.safetensors, 4.safetensors"}, open);
  for (const char* outside :
       {"../x", "/etc/passwd", "sub/one.safetensors", "..", ".", "", "a\\\\b"}) {
    write(index, std::string(R"({"weight_map": {"a": ")") + outside + "\"}}");
    expect_error(ErrorCode::kCorrupt, {"\"a\"", "same folder"}, open);
  }
  write(index, R"({"weight_map": {"a": 3}})");
  expect_error(ErrorCode::kCorrupt, {"\"a\""}, open);
  write(index, R"({"weight_map": []})");
  expect_error(ErrorCode::kCorrupt, {"weight_map"}, open);
  write(index, R"({"weight_map": {}})");
  expect_error(ErrorCode::kCorrupt, {"weight_map", "empty"}, open);
  write(index, R"({"weight_map")");
  expect_error(ErrorCode::kCorrupt, {"JSON"}, open);

  write("model.safetensors", test_data::safetensors(second));  // the single file wins
  EXPECT_EQ(open().files().size(), 1U);
}

}  // namespace
}  // namespace haq::model
