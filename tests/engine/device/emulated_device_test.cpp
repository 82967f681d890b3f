// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "tests/engine/device/emulated_test_support.h"

namespace haq::device::test {
namespace {

using ::testing::HasSubstr;

template <class Action>
std::string error_of(ErrorCode code, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(EmulatedDevice, TellsWhatItIs) {
  EmulatedOptions options;
  options.name = "a card (emulated)";
  options.memory_bytes = 12345678;
  const DeviceInfo info = emulated(options)->info();
  EXPECT_EQ(info.name, "a card (emulated)");
  EXPECT_EQ(info.kind, "emulated");
  EXPECT_EQ(info.memory_bytes, 12345678U);
  EXPECT_TRUE(info.emulated);
  EXPECT_FALSE(info.host_memory);
  EXPECT_TRUE(info.bit_identical);
}

TEST(EmulatedDevice, ModelsTheTimeOfAnExpert) {
  EmulatedOptions options;
  options.launch_us = 7;
  options.memory_gb_s = 100;
  options.tflops = 0.5;
  const auto device = emulated(options);
  SlotLayout layout = layout_of({Activation::kSwiGlu, 1024, 512});
  const double weights_us = static_cast<double>(layout.bytes()) / 100e3;
  const double token_us = 2.0 * 3 * 1024 * 512 / 0.5e6;
  EXPECT_DOUBLE_EQ(device->modelled_expert_us(layout, 1), 7 + weights_us);
  EXPECT_DOUBLE_EQ(device->modelled_expert_us(layout, 100), 7 + 100 * token_us);
  layout.gate = false;
  EXPECT_DOUBLE_EQ(device->modelled_expert_us(layout, 300), 7 + 200 * token_us);
}

TEST(EmulatedDevice, RefusesFiguresOutOfRange) {
  const auto refused = [](const auto& change) {
    EmulatedOptions options;
    change(options);
    return error_of(ErrorCode::kInvalidArgument, [&] { make_emulated_device(options); });
  };
  EXPECT_THAT(refused([](EmulatedOptions& o) { o.link_gb_s = 0; }), HasSubstr("link speed"));
  EXPECT_THAT(refused([](EmulatedOptions& o) { o.link_gb_s = std::nan(""); }), HasSubstr("nan"));
  EXPECT_THAT(refused([](EmulatedOptions& o) { o.tflops = -1; }), HasSubstr("arithmetic"));
  EXPECT_THAT(refused([](EmulatedOptions& o) { o.memory_gb_s = INFINITY; }), HasSubstr("memory"));
  EXPECT_THAT(refused([](EmulatedOptions& o) { o.threads = 0; }), HasSubstr("threads"));
  EXPECT_THAT(refused([](EmulatedOptions& o) { o.hold = DType::kF16; }), HasSubstr("F16"));
}

TEST(EmulatedDevice, CountsItsMemory) {
  EmulatedOptions options;
  options.memory_bytes = 100'000;
  const auto device = emulated(options);
  const ExpertForm form;  // 23,040 bytes of weights and 3 scales vectors
  const SlotLayout layout = layout_of(form);
  auto buffer = device->allocate(60'000);
  EXPECT_THAT(error_of(ErrorCode::kOutOfMemory, [&] { device->make_slots(layout, 2); }),
              ::testing::AllOf(HasSubstr("2 experts"), HasSubstr("60000"), HasSubstr("100000"),
                               HasSubstr(std::to_string(2 * layout.bytes()))));
  EXPECT_THAT(error_of(ErrorCode::kOutOfMemory, [&] { device->allocate(40'001); }),
              HasSubstr("40001"));
  const auto arena = device->make_slots(layout, 1);
  // Uploads take nothing beyond the arena, however many there are.
  for (unsigned n = 0; n < 50; ++n) arena->upload(0, random_expert(form, n + 1));
  arena->ffn(0);
  const auto rest = device->allocate(40'000 - layout.bytes());
  error_of(ErrorCode::kOutOfMemory, [&] { device->allocate(1); });
  buffer.reset();
  const auto expert = random_expert(form, 1);
  {
    const FfnSpec f = prepared(*device, form, *expert, form.path());
    EXPECT_EQ(f.up->packed_bytes(), 0U);
    EXPECT_EQ(f.up->host_weights(), nullptr);
    EXPECT_THAT(error_of(ErrorCode::kUnsupported, [&] { slot_layout(f); }), HasSubstr("host"));
    error_of(ErrorCode::kOutOfMemory, [&] { device->allocate(60'000); });
  }
  buffer = device->allocate(60'000);  // what was prepared is free again
  error_of(ErrorCode::kOutOfMemory, [&] { prepared(*device, form, *expert, form.path()); });
}

TEST(EmulatedDevice, CountsKeysAndValues) {
  KvLayout layout;
  layout.layers = 2;
  layout.kv_heads = 2;
  layout.k_dim = layout.v_dim = 16;
  EmulatedOptions options;
  options.memory_bytes = 40'000;  // two pages of 16 KiB
  const auto device = emulated(options);
  const auto cache = device->make_kv_cache(layout);
  cache->reserve(100);
  EXPECT_EQ(cache->bytes(), 32768U);
  error_of(ErrorCode::kOutOfMemory, [&] { cache->reserve(129); });
  EXPECT_EQ(cache->bytes(), 32768U);
  cache->set_length(100);
  EXPECT_EQ(cache->length(), 100);
}

TEST(EmulatedDevice, MemoryOfTheHostIsNotItsOwn) {
  const auto device = emulated();
  std::vector<float> on_host(64, 1.0F);
  const DeviceRows own(*device, 4, 16);
  const Rows foreign = rows_of(on_host, 4, 16);
  error_of(ErrorCode::kInternal, [&] { device->scale(foreign, 2); });
  error_of(ErrorCode::kInternal, [&] { device->copy(own.rows(), foreign); });
  Rows longer = own.rows();
  longer.rows = 5;
  error_of(ErrorCode::kInternal, [&] { device->scale(longer, 2); });
  error_of(ErrorCode::kInternal,
           [&] { device->copy_to_host(on_host.data(), own.rows().data + 1, 64 * sizeof(float)); });
  const auto host = device_with(Isa::kNative, 1);
  const ExpertForm form;
  const FfnSpec f = prepared(*host, form, *random_expert(form, 1), form.path());
  const DeviceRows x(*device, 1, form.hidden), y(*device, 1, form.hidden);
  const std::vector<std::int32_t> row{0};
  const FfnGroup group{&f, row, row};
  error_of(ErrorCode::kInternal, [&] { device->ffn(x.rows(), {&group, 1}, y.rows()); });
  EXPECT_EQ(own.read(), std::vector<float>(64, -7.0F));  // nothing of it was done
}

TEST(EmulatedDeviceDeathTest, TheHostCannotReadItsMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto device = emulated();
  const auto buffer = device->allocate(64);
  EXPECT_DEATH(static_cast<volatile float*>(buffer->data())[0] = 1.0F, "");
}

TEST(EmulatedDevice, SubmittedValuesMayBeReused) {
  const auto device = emulated();
  constexpr std::int64_t kCols = 4096;
  const DeviceRows x(*device, random_floats(64 * kCols, 1), kCols), y(*device, 64, kCols);
  std::vector<float> row(static_cast<std::size_t>(kCols), 3.0F);
  // Work that is still under way reads the old row, and the new one is read before it changes.
  for (int n = 0; n < 20; ++n) device->copy(x.rows(), y.rows());
  device->copy_to_device(y.rows().data, row.data(), row.size() * sizeof(float));
  row.assign(row.size(), -1.0F);
  const std::vector<float> result = y.read();
  EXPECT_EQ(std::vector<float>(result.begin(), result.begin() + kCols),
            std::vector<float>(static_cast<std::size_t>(kCols), 3.0F));
}

TEST(EmulatedDevice, SynchronizeRethrowsTheFirstFailure) {
  const auto device = emulated();
  const ExpertForm form;
  const auto arena = device->make_slots(layout_of(form), 1);
  arena->upload(0, random_expert(form, 7));
  std::vector<float> values = random_floats(2 * form.hidden, 1);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  const DeviceRows bad(*device, values, form.hidden), y(*device, 2, form.hidden);
  const Routed routed(2, 1, 1);
  for (int round = 0; round < 3; ++round) {
    device->ffn(bad.rows(), routed.groups({&arena->ffn(0)}), y.rows());
    device->copy(bad.rows(), y.rows());  // left out
    EXPECT_THAT(error_of(ErrorCode::kNumeric, [&] { device->synchronize(); }),
                HasSubstr("experts.7.up"));
    device->synchronize();
    EXPECT_EQ(y.read(), std::vector<float>(y.read().size(), -7.0F));
  }
  device->ffn(bad.rows(), routed.groups({&arena->ffn(0)}), y.rows());
  error_of(ErrorCode::kNumeric, [&] { y.read(); });
  // The device goes on.
  values[3] = 0.0F;
  device->copy_to_device(bad.rows().data, values.data(), values.size() * sizeof(float));
  device->ffn(bad.rows(), routed.groups({&arena->ffn(0)}), y.rows());
  const auto host = device_with(Isa::kNative, 1);
  const FfnSpec f = prepared(*host, form, *random_expert(form, 7), form.path());
  EXPECT_TRUE(same_bits(y.read(), run_ffn(*host, {&f}, routed, values, form.hidden)));
}

TEST(EmulatedDevice, EndsWithAFailureNobodyAskedFor) {
  const auto device = emulated();
  const ExpertForm form;
  const auto arena = device->make_slots(layout_of(form), 1);
  arena->upload(0, random_expert(form, 7));
  const DeviceRows bad(*device, std::vector<float>(static_cast<std::size_t>(form.hidden), INFINITY),
                       form.hidden);
  const DeviceRows y(*device, 1, form.hidden);
  device->ffn(bad.rows(), Routed(1, 1, 1).groups({&arena->ffn(0)}), y.rows());
}

TEST(CardPresets, AreCompleteAndUnique) {
  std::set<std::string> names;
  for (const CardPreset& card : card_presets()) {
    EXPECT_TRUE(names.insert(card.name).second) << card.name;
    EXPECT_EQ(&card_preset(card.name), &card);
    EXPECT_FALSE(std::string(card.source).empty());
    EmulatedOptions options;
    options.memory_bytes = static_cast<std::size_t>(card.memory_gib * (1U << 30));
    options.memory_gb_s = card.memory_gb_s;
    options.tflops = card.int8_tops;
    options.link_gb_s = card.link_gb_s;
    EXPECT_NO_THROW(make_emulated_device(options)) << card.name;
  }
  for (const LinkPreset& link : link_presets()) {
    EXPECT_TRUE(names.insert(link.name).second) << link.name;
    EXPECT_EQ(&link_preset(link.name), &link);
  }
  EXPECT_DOUBLE_EQ(link_preset("pcie4x16").gb_s, 25);
  EXPECT_DOUBLE_EQ(link_preset("pcie3x8").gb_s, 6.25);
  EXPECT_THAT(error_of(ErrorCode::kInvalidArgument, [] { card_preset("rtx-1"); }),
              HasSubstr("rtx-1"));
  try {
    link_preset("agp");
  } catch (const Error& error) {
    EXPECT_THAT(error.hint(), HasSubstr("pcie5x16"));
  }
}

}  // namespace
}  // namespace haq::device::test
