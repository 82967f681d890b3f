// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/safetensors_writer.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/model/safetensors.h"
#include "tests/support/errors.h"
#include "tests/support/paths.h"

namespace haq::quant {
namespace {

using test::code_of;

namespace fs = std::filesystem;

std::vector<std::byte> random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 0xffU);
  return bytes;
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

TEST(SafetensorsWriter, WhatIsWrittenIsRead) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "model.safetensors";
  const std::vector<TensorSpec> specs = {{"a \"quoted\" näme", DType::kF32, {3, 5}},
                                         {"b", DType::kBF16, {7}},
                                         {"c", DType::kI8, {2, 9}}};
  SafetensorsWriter writer(path, {}, specs, {{"format", "pt"}, {"text", "line\nline"}});
  std::vector<std::vector<std::byte>> data;
  for (const auto& spec : specs) {
    data.push_back(random_bytes(spec.bytes(), 7));
    // In two pieces: the writer sees bytes, not tensors.
    writer.write(std::span(data.back()).first(3));
    writer.write(std::span(data.back()).subspan(3));
  }
  writer.commit();
  EXPECT_EQ(fs::file_size(path), writer.file_bytes());

  const auto file = model::SafetensorsFile::open(path);
  EXPECT_EQ(file->header().metadata.at("text"), "line\nline");
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const auto& info = file->header().tensors.at(specs[i].name);
    EXPECT_EQ(info.dtype, specs[i].dtype);
    EXPECT_EQ(info.shape, specs[i].shape);
    const auto bytes = file->data(info);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), data[i].begin(), data[i].end()));
  }
}

TEST(SafetensorsWriter, EveryTensorLiesOnABoundaryOfItsElementAndMostOn64) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    const test::TempDir folder;
    std::vector<TensorSpec> specs;
    for (int i = 0; i < 20; ++i) {
      const DType type = std::array{DType::kF32, DType::kBF16, DType::kI8}[random() % 3];
      const bool even = random() % 2 == 0;
      const std::int64_t rows = even ? 64 : 1 + static_cast<std::int64_t>(random() % 9);
      specs.push_back(
          {fmt::format("t{}", i), type, {rows, 1 + static_cast<std::int64_t>(random() % 9)}});
    }
    const fs::path path = folder.path() / "x.safetensors";
    const auto order = in_file_order(specs);
    ASSERT_EQ(order.size(), specs.size());
    SafetensorsWriter writer(path, {}, order,
                             {{"round", std::string(static_cast<std::size_t>(round), 'x')}});
    for (const auto& spec : order) writer.write(random_bytes(spec.bytes(), 1));
    writer.commit();
    const auto file = model::SafetensorsFile::open(path);
    EXPECT_EQ(file->header().data_start % 64, 0U);
    for (const auto& spec : specs) {
      const auto& info = file->header().tensors.at(spec.name);
      EXPECT_EQ(info.begin % size_of(spec.dtype), 0U) << spec.name;
      if (spec.bytes() % 64 == 0) {
        EXPECT_EQ(info.begin % 64, 0U) << spec.name;
      }
    }
  }
}

TEST(SafetensorsWriter, WithoutCommitNothingIsLeft) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "model.safetensors";
  {
    SafetensorsWriter writer(path, {}, {{"a", DType::kI8, {4}}}, {});
    writer.write(random_bytes(4, 1));
  }
  EXPECT_EQ(entries(folder.path()), 0U);
}

TEST(SafetensorsWriter, TheTemporaryFileStaysInTheStagingFolder) {
  const test::TempDir folder;
  fs::create_directory(folder.path() / "staging");
  const fs::path path = folder.path() / "model.safetensors";
  SafetensorsWriter writer(path, folder.path() / "staging", {{"a", DType::kI8, {4}}}, {});
  EXPECT_EQ(entries(folder.path()), 1U);
  EXPECT_EQ(entries(folder.path() / "staging"), 1U);
  writer.write(random_bytes(4, 1));
  writer.commit();
  EXPECT_EQ(entries(folder.path() / "staging"), 0U);
  EXPECT_TRUE(fs::is_regular_file(path));
}

TEST(SafetensorsWriter, MissingBytesAndDoubleNamesAreDefects) {
  const test::TempDir folder;
  const fs::path path = folder.path() / "model.safetensors";
  EXPECT_EQ(code_of([&] {
              SafetensorsWriter writer(path, {}, {{"a", DType::kI8, {4}}}, {});
              writer.write(random_bytes(3, 1));
              writer.commit();
            }),
            ErrorCode::kInternal);
  EXPECT_EQ(code_of([&] {
              SafetensorsWriter(path, {}, {{"a", DType::kI8, {4}}, {"a", DType::kI8, {4}}}, {});
            }),
            ErrorCode::kInternal);
  EXPECT_EQ(code_of([] {
              (void)TensorSpec{"a", DType::kI8, {0}}.bytes();
            }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      code_of([] {
        (void)TensorSpec{"a", DType::kF32, {std::int64_t{1} << 40, std::int64_t{1} << 40}}.bytes();
      }),
      ErrorCode::kLimit);
  EXPECT_EQ(entries(folder.path()), 0U);
}

TEST(SafetensorsWriter, MoreThanTheDiskHoldsIsRefusedWithTheNumbers) {
  const test::TempDir folder;
  const std::int64_t huge = std::int64_t{1} << 55;
  try {
    SafetensorsWriter(folder.path() / "x.safetensors", {}, {{"a", DType::kI8, {huge}}}, {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
    EXPECT_NE(std::string(error.what()).find("bytes are needed"), std::string::npos);
  }
  EXPECT_EQ(entries(folder.path()), 0U);
}

}  // namespace
}  // namespace haq::quant
