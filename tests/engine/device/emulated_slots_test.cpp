// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "tests/engine/device/emulated_test_support.h"

namespace haq::device::test {
namespace {

std::vector<ExpertForm> all_forms() {
  return {{Activation::kSwiGlu, 96, 80, DType::kI8, false},
          {Activation::kRelu, 64, 72, DType::kI8, true},
          {Activation::kGptOss, 80, 96, DType::kI8, true},
          {Activation::kSwiGlu, 40, 24, DType::kI8, true},
          {Activation::kSwiGlu, 96, 80, DType::kBF16, false},
          {Activation::kGptOss, 64, 64, DType::kF32, true}};
}

std::string describe(const ExpertForm& form) {
  return fmt::format("activation {}, {} x {}, {}", static_cast<int>(form.activation), form.hidden,
                     form.inner, to_string(form.dtype));
}

TEST(EmulatedSlots, ComputeTheBitsOfTheHostDevice) {
  constexpr std::size_t kExperts = 3;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kNative}) {
    if (!host::can_run(isa)) continue;
    EmulatedOptions options;
    options.max_isa = isa;
    options.threads = isa == Isa::kScalar ? 1 : 2;
    const auto device = emulated(options);
    const auto reference = device_with(Isa::kScalar, 1);
    for (const ExpertForm& form : all_forms()) {
      for (const bool adversarial : {false, true}) {
        const auto arena = device->make_slots(layout_of(form), kExperts);
        std::vector<FfnSpec> host;
        std::vector<const FfnSpec*> on_host, in_slots;
        for (unsigned n = 0; n < kExperts; ++n) {
          const auto expert = random_expert(form, n + 1, adversarial);
          host.push_back(prepared(*reference, form, *expert, form.path()));
          arena->upload(static_cast<int>(kExperts - 1 - n), expert);
        }
        for (unsigned n = 0; n < kExperts; ++n) {
          on_host.push_back(&host[n]);
          in_slots.push_back(&arena->ffn(static_cast<int>(kExperts - 1 - n)));
        }
        for (const std::int64_t tokens : {1, 5, 70}) {
          const Routed routed(tokens, kExperts, 5);
          const auto x = random_floats(tokens * form.hidden, 3, adversarial);
          EXPECT_TRUE(same_bits(run_ffn(*reference, on_host, routed, x, form.hidden),
                                run_ffn(*device, in_slots, routed, x, form.hidden)))
              << describe(form) << ", " << to_string(isa) << ", " << tokens << " tokens";
        }
      }
    }
  }
}

TEST(EmulatedSlots, ALaterUploadReplacesAnEarlierOne) {
  const ExpertForm form;
  const auto device = emulated();
  const auto arena = device->make_slots(layout_of(form), 2);
  const auto reference = device_with(Isa::kNative, 1);
  const Routed routed(4, 1, 5);
  const auto x = random_floats(4 * form.hidden, 3);
  for (unsigned round = 0; round < 20; ++round) {
    // Three in a row: the slot holds the last, whether or not the others had arrived.
    std::shared_ptr<const ExpertWeights> expert;
    for (unsigned n = 0; n < 3; ++n) {
      expert = random_expert(form, 3 * round + n + 1);
      arena->upload(1, expert);
    }
    const FfnSpec host = prepared(*reference, form, *expert, form.path());
    const FfnSpec* in_slot = &arena->ffn(1);
    EXPECT_TRUE(arena->arrived(1));
    EXPECT_TRUE(same_bits(run_ffn(*reference, {&host}, routed, x, form.hidden),
                          run_ffn(*device, {in_slot}, routed, x, form.hidden)));
  }
  EXPECT_FALSE(arena->arrived(0));
  const LinkCounts counts = device->link();
  EXPECT_EQ(counts.copies, 60);
  EXPECT_EQ(counts.bytes, 60 * static_cast<std::int64_t>(arena->slot_bytes()));
  EXPECT_DOUBLE_EQ(counts.busy_us,
                   60 * 10 + static_cast<double>(counts.bytes) / (device->link_gb_s() * 1e3));
}

TEST(EmulatedSlots, UploadsRunBesideComputingOnOtherSlots) {
  const ExpertForm form{Activation::kSwiGlu, 128, 96};
  const auto device = emulated();
  const auto reference = device_with(Isa::kNative, 1);
  constexpr int kSlots = 4, kSteps = 100;
  const auto arena = device->make_slots(layout_of(form), kSlots);
  std::vector<std::shared_ptr<const ExpertWeights>> experts;
  std::vector<FfnSpec> host;
  for (unsigned n = 0; n < 7; ++n) {
    experts.push_back(random_expert(form, n + 1));
    host.push_back(prepared(*reference, form, *experts.back(), form.path()));
  }
  std::vector<std::size_t> held(kSlots);
  for (std::size_t s = 0; s < kSlots; ++s) {
    held[s] = s;
    arena->upload(static_cast<int>(s), experts[s]);
  }
  std::mt19937 random(17);
  for (int step = 0; step < kSteps; ++step) {
    // Two slots compute while the other two are filled.
    const std::size_t a = random() % kSlots, b = (a + 1) % kSlots;
    const Routed routed(6, 2, static_cast<unsigned>(step));
    const auto x = random_floats(6 * form.hidden, static_cast<unsigned>(step));
    const DeviceRows in(*device, x, form.hidden), out(*device, 12, form.hidden);
    const std::vector<const FfnSpec*> in_slots{&arena->ffn(static_cast<int>(a)),
                                               &arena->ffn(static_cast<int>(b))};
    const std::vector<const FfnSpec*> on_host{&host[held[a]], &host[held[b]]};
    device->ffn(in.rows(), routed.groups(in_slots), out.rows());
    for (std::size_t s = 0; s < kSlots; ++s) {
      if (s == a || s == b) continue;
      held[s] = random() % experts.size();
      arena->upload(static_cast<int>(s), experts[held[s]]);
    }
    const auto expected = run_ffn(*reference, on_host, routed, x, form.hidden);
    EXPECT_TRUE(same_bits(expected, out.read())) << "step " << step;
  }
}

TEST(EmulatedSlots, PacingChangesNoResult) {
  const ExpertForm form;
  const auto expert = random_expert(form, 1);
  const auto reference = device_with(Isa::kNative, 1);
  const FfnSpec host = prepared(*reference, form, *expert, form.path());
  const Routed routed(3, 1, 5);
  const auto x = random_floats(3 * form.hidden, 3);
  EmulatedOptions options;
  options.link_gb_s = 0.05;
  options.link_latency_us = 200;
  options.pace_link = true;
  const auto device = make_emulated_device(options);
  const auto arena = device->make_slots(layout_of(form), 3);
  for (int slot = 0; slot < 3; ++slot) arena->upload(slot, expert);
  for (int slot = 2; slot >= 0; --slot) {
    EXPECT_TRUE(same_bits(run_ffn(*reference, {&host}, routed, x, form.hidden),
                          run_ffn(*device, {&arena->ffn(slot)}, routed, x, form.hidden)));
  }
  EXPECT_EQ(device->link().copies, 3);
}

TEST(EmulatedSlots, SixteenBitCopiesHoldTheScaledWeights) {
  // Seen through the identity: one hot row in, rows of weights out. -128 included.
  ExpertForm form{Activation::kRelu, 32, 32};
  auto expert = std::make_shared<ExpertWeights>(*random_expert(form, 1));
  std::vector<std::int8_t> q = random_int8(32 * 32, 5, -128, 127);
  q[0] = -128;
  std::vector<float> scale;
  for (int r = 0; r < 32; ++r) scale.push_back(0.01F + 0.001F * static_cast<float>(r));
  // Up passes what is positive, so that down's weights come out as they are held.
  std::vector<std::int8_t> identity(32 * 32, 0);
  for (std::size_t i = 0; i < 32; ++i) identity[i * 33] = 64;
  expert->up = weights_int8(identity, std::vector<float>(32, 1.0F / 64), 32, 32);
  expert->down = weights_int8(q, scale, 32, 32);
  EmulatedOptions options;
  options.hold = DType::kBF16;
  const auto device = emulated(options);
  EXPECT_FALSE(device->info().bit_identical);
  EXPECT_THAT(device->info().name, ::testing::HasSubstr("not bit-identical"));
  const SlotLayout source = layout_of(form), held = device->held_form(source);
  EXPECT_EQ(held.dtype, DType::kBF16);
  EXPECT_EQ(held.bytes(), 2U * 2 * 32 * 32);
  const auto arena = device->make_slots(source, 1);
  EXPECT_EQ(arena->slot_bytes(), held.bytes());
  arena->upload(0, expert);
  std::vector<float> x(32 * 32, 0.0F);
  for (std::size_t i = 0; i < 32; ++i) x[i * 33] = 1.0F;
  const auto y = run_ffn(*device, {&arena->ffn(0)}, Routed(32, 1, 5), x, 32);
  for (std::size_t in = 0; in < 32; ++in) {
    for (std::size_t out = 0; out < 32; ++out) {
      const float weight = static_cast<float>(q[out * 32 + in]) * scale[out];
      EXPECT_EQ(y[in * 32 + out], to_float(to_bf16(weight))) << out << ", " << in;
    }
  }
}

TEST(EmulatedSlots, RefuseWhatDoesNotFit) {
  const ExpertForm form;
  const auto device = emulated();
  const auto arena = device->make_slots(layout_of(form), 2);
  const auto code_of = [&](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kCancelled;
  };
  EXPECT_EQ(code_of([&] { arena->ffn(0); }), ErrorCode::kInternal);  // nothing there
  EXPECT_EQ(code_of([&] { arena->ffn(2); }), ErrorCode::kInternal);
  EXPECT_EQ(code_of([&] { arena->upload(-1, random_expert(form, 1)); }), ErrorCode::kInternal);
  EXPECT_EQ(code_of([&] { arena->upload(0, nullptr); }), ErrorCode::kInternal);
  for (const ExpertForm& other : all_forms()) {
    if (layout_of(other) == layout_of(form)) continue;
    EXPECT_EQ(code_of([&] { arena->upload(0, random_expert(other, 1)); }), ErrorCode::kInternal)
        << describe(other);
  }
  EXPECT_EQ(code_of([&] { device->make_slots(layout_of(form), 0); }), ErrorCode::kInternal);
  EXPECT_FALSE(arena->arrived(0));
}

TEST(EmulatedSlots, AnArenaEndsWithCopiesAndWorkUnderWay) {
  const ExpertForm form;
  EmulatedOptions options;
  options.link_latency_us = 1e6;  // a second each
  const auto device = make_emulated_device(options);
  const auto expert = random_expert(form, 1);
  for (int round = 0; round < 3; ++round) {
    const auto arena = device->make_slots(layout_of(form), 50);
    for (int slot = 0; slot < 50; ++slot) arena->upload(slot, expert);
  }
  EXPECT_LT(device->link().copies, 150);  // what had not begun was dropped
  const auto quick = emulated();
  for (int round = 0; round < 10; ++round) {
    const auto arena = quick->make_slots(layout_of(form), 2);
    arena->upload(0, expert);
    const DeviceRows in(*quick, random_floats(8 * form.hidden, 3), form.hidden);
    const DeviceRows out(*quick, 8, form.hidden);
    const Routed routed(8, 1, 5);
    for (int n = 0; n < 20; ++n) {
      quick->ffn(in.rows(), routed.groups({&arena->ffn(0)}), out.rows());
    }
  }
}

}  // namespace
}  // namespace haq::device::test
